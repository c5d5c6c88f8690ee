/** POST /images/{name}/push of the Docker Engine API. */
import { ImagePushQuerySchema, ProgressMessageSchema } from '@tsd/shared/api-images';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { parseReference, repositoryName } from '@tsd/shared/image-reference';
import type { FastifyInstance } from 'fastify';
import { type Static, Type } from 'typebox';
import { type PushImageDeps, pushImage } from '../../images/push-image.ts';
import { pushMessages } from '../../images/push-messages.ts';
import type { RegistryClient, RemoteRepository } from '../../images/registry/remote-repository.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { answerWithProgress } from '../progress-answer.ts';
import { decodeRegistryAuth } from '../registry-credentials.ts';

export interface ImagePushDeps extends PushImageDeps {
  readonly registry: () => Promise<Pick<RegistryClient, 'repository'>>;
}

const NameParams = Type.Object({ name: Type.String({ minLength: 1 }) });

export async function imagePushRoutes(app: FastifyInstance, deps: ImagePushDeps): Promise<void> {
  app.post<{ Params: Static<typeof NameParams>; Querystring: Static<typeof ImagePushQuerySchema> }>(
    '/images/:name/push',
    {
      schema: {
        tags: ['Image'],
        summary: 'Pushes an image, or all tags of a repository',
        params: NameParams,
        querystring: ImagePushQuerySchema,
        response: { 200: ProgressMessageSchema, default: ErrorResponseSchema },
      },
    },
    async (request, reply) => {
      const { tag = '', platform = '' } = request.query;
      if (platform !== '') {
        throw new TsdError('not_implemented', 'platform: images here have one platform each; push without it');
      }
      const named = parseReference(request.params.name);
      // Clients put the tag into the parameter; without it all tags are meant, unless the name holds one.
      const reference = tag === '' ? named : parseReference(`${repositoryName(named)}:${tag}`);
      const credentials = decodeRegistryAuth(request.headers['x-registry-auth']);
      const signal = abortWhenGone(reply);
      return answerWithProgress(reply, async (emit) => {
        emit({ status: `The push refers to repository [${repositoryName(reference)}]` });
        const registry = await deps.registry();
        const repositoryOf = (name: string): RemoteRepository => {
          const { domain, path } = parseReference(name);
          const access = name === repositoryName(reference) ? 'push' : 'pull';
          // They are for this registry alone.
          return registry.repository({ domain, path }, domain === reference.domain ? credentials : null, access);
        };
        await pushImage(deps, { reference, repositoryOf }, pushMessages(emit), signal);
      });
    },
  );
}
