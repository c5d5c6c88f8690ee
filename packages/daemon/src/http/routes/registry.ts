/** /auth of the Docker Engine API. */
import { type RegistryAuth, RegistryAuthSchema, RegistryLoginSchema } from '@tsd/shared/api-registry';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import type { FastifyInstance } from 'fastify';
import type { RegistryClient } from '../../images/registry/remote-repository.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { registryCredentials } from '../registry-credentials.ts';

export interface RegistryRoutesDeps {
  /** Made at its first use. */
  readonly registry: () => Promise<Pick<RegistryClient, 'checkCredentials'>>;
}

/** Where a client logs in that names no registry (moby, registry.IndexServer). */
const DEFAULT_SERVER_ADDRESS = 'https://index.docker.io/v1/';

export async function registryRoutes(app: FastifyInstance, deps: RegistryRoutesDeps): Promise<void> {
  app.post<{ Body: RegistryAuth | undefined }>(
    '/auth',
    {
      schema: {
        tags: ['System'],
        summary: 'Checks credentials for a registry; nothing of them is kept',
        body: RegistryAuthSchema,
        response: { 200: RegistryLoginSchema, default: ErrorResponseSchema },
      },
    },
    async ({ body }, reply) => {
      const credentials = registryCredentials(body ?? {});
      if (credentials === null) throw new TsdError('bad_parameter', 'username and password: there are no credentials');
      const serverAddress = body?.serveraddress || DEFAULT_SERVER_ADDRESS;
      const registry = await deps.registry();
      const identityToken = await registry.checkCredentials(serverAddress, credentials, abortWhenGone(reply));
      return { Status: 'Login Succeeded', IdentityToken: identityToken };
    },
  );
}
