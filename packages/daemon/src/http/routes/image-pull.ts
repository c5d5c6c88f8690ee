/** What asks registries for images: pulls (`POST /images/create?fromImage=…`) and /distribution. */
import { DistributionInspectSchema, type ImageCreateQuery } from '@tsd/shared/api-images';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { withDefaultTag } from '@tsd/shared/image-reference';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { type Static, Type } from 'typebox';
import { describeRemoteImage } from '../../images/describe-remote-image.ts';
import { parsePlatform } from '../../images/platform.ts';
import { type PullImageDeps, pullImage } from '../../images/pull-image.ts';
import { pullReference } from '../../images/pull-reference.ts';
import { createPullReport } from '../../images/pull-report.ts';
import type { RegistryCredentials } from '../../images/registry/remote-repository.ts';
import { abortWhenGone } from '../abort-when-gone.ts';
import { answerWithProgress } from '../progress-answer.ts';
import { decodeRegistryAuth } from '../registry-credentials.ts';

const NameParams = Type.Object({ name: Type.String({ minLength: 1 }) });

export async function distributionRoutes(app: FastifyInstance, deps: Pick<PullImageDeps, 'registry'>): Promise<void> {
  app.get<{ Params: Static<typeof NameParams> }>(
    '/distribution/:name/json',
    {
      schema: {
        tags: ['Distribution'],
        summary: 'Shows what a registry has under a name',
        params: NameParams,
        response: { 200: DistributionInspectSchema, default: ErrorResponseSchema },
      },
    },
    async (request, reply) => {
      const reference = withDefaultTag(pullReference(request.params.name, ''));
      return withoutPrompt(describeRemoteImage(deps, reference, credentialsOf(request), abortWhenGone(reply)));
    },
  );
}

/** A client that goes away cancels its pull. */
export function answerPull(
  deps: PullImageDeps,
  request: FastifyRequest<{ Querystring: ImageCreateQuery }>,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { fromImage = '', tag = '', platform } = request.query;
  const wanted = {
    reference: pullReference(fromImage, tag),
    platform: platform ? parsePlatform(platform) : undefined,
    credentials: credentialsOf(request),
  };
  const signal = abortWhenGone(reply);
  return withoutPrompt(answerWithProgress(reply, (emit) => pullImage(deps, wanted, createPullReport(emit), signal)));
}

/**
 * A registry that asks for credentials is a 403 here: for a 401 Docker's client asks for a user name on stdin, in scripts
 * too, which dockerd's clients never meet (it answers 500).
 */
async function withoutPrompt<Answer>(work: Promise<Answer>): Promise<Answer> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof TsdError && error.code === 'unauthorized') {
      throw new TsdError('forbidden', error.message, { cause: error });
    }
    throw error;
  }
}

function credentialsOf(request: FastifyRequest): RegistryCredentials | null {
  return decodeRegistryAuth(request.headers['x-registry-auth']);
}
