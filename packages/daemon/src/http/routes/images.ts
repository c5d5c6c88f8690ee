/** /images of the Docker Engine API. */
import {
  ImageCreateQuerySchema,
  ImageDeleteItemSchema,
  ImageDeleteQuerySchema,
  ImageHistoryItemSchema,
  ImageInspectSchema,
  ImageListQuerySchema,
  ImageLoadQuerySchema,
  ImagePruneQuerySchema,
  ImagePruneResultSchema,
  ImageSaveQuerySchema,
  ImageSummarySchema,
  ImageTagQuerySchema,
  type ProgressMessage,
  ProgressMessageSchema,
} from '@tsd/shared/api-images';
import { ErrorResponseSchema } from '@tsd/shared/api-system';
import { TsdError } from '@tsd/shared/errors';
import { parseFilters } from '@tsd/shared/filters';
import { familiarString } from '@tsd/shared/image-reference';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { type Static, Type } from 'typebox';
import type { LayerProgress } from '../../images/archive-contents.ts';
import { LIST_FILTER_KEYS, PRUNE_FILTER_KEYS } from '../../images/image-filters.ts';
import { imageHistory } from '../../images/image-history.ts';
import type { AddedImage, ImageStore } from '../../images/image-store.ts';
import type { ImageUsers } from '../../images/image-users.ts';
import { importImage } from '../../images/import-image.ts';
import { inspectImage } from '../../images/inspect-image.ts';
import { listImages } from '../../images/list-images.ts';
import { loadImage } from '../../images/load-image.ts';
import { type Platform, parsePlatform } from '../../images/platform.ts';
import { pruneImages } from '../../images/prune-images.ts';
import type { PullImageDeps } from '../../images/pull-image.ts';
import { removeImage } from '../../images/remove-image.ts';
import { saveImages } from '../../images/save-images.ts';
import { tagImage, targetReference } from '../../images/tag-image.ts';
import type { LayerStore } from '../../storage/layer-store.ts';
import { compareVersions } from '../api-version.ts';
import { uploadStream } from '../body-parsing.ts';
import { answerWithBytes } from '../bytes-answer.ts';
import { answerWithProgress } from '../progress-answer.ts';
import { queryFlag, queryText } from '../query-values.ts';
import { answerPull } from './image-pull.ts';

export interface ImageRoutesDeps extends PullImageDeps {
  readonly store: ImageStore;
  readonly layerStore: LayerStore;
  readonly imageUsers: ImageUsers;
}

/** Between two progress messages of a layer; what Docker's client draws needs no more. */
const PROGRESS_INTERVAL_MS = 100;

const NameParams = Type.Object({ name: Type.String({ minLength: 1 }) });
type NameParams = Static<typeof NameParams>;

export async function imageRoutes(app: FastifyInstance, deps: ImageRoutesDeps): Promise<void> {
  registerQueries(app, deps);
  registerUploads(app, deps);
  registerSave(app, deps);
  registerChanges(app, deps);
}

function registerQueries(app: FastifyInstance, deps: ImageRoutesDeps): void {
  app.get<{ Querystring: Static<typeof ImageListQuerySchema> }>(
    '/images/json',
    { schema: describe('Lists images', Type.Array(ImageSummarySchema), { querystring: ImageListQuerySchema }) },
    async (request) => {
      const filters = parseFilters(queryText(request.query.filters), LIST_FILTER_KEYS);
      const images = listImages(deps, { filters, sharedSize: queryFlag(request.query['shared-size']) });
      return images.map((image) => ({ ...image, ...oldFields(request.apiVersion, image) }));
    },
  );
  app.get<{ Params: NameParams }>(
    '/images/:name/json',
    { schema: describe('Shows an image', ImageInspectSchema, { params: NameParams }) },
    async (request) => {
      const image = inspectImage(deps, request.params.name);
      return isBefore(request.apiVersion, '1.44') ? { ...image, VirtualSize: image.Size } : image;
    },
  );
  app.get<{ Params: NameParams }>(
    '/images/:name/history',
    { schema: describe('Shows how an image was made', Type.Array(ImageHistoryItemSchema), { params: NameParams }) },
    async (request) => imageHistory(deps, request.params.name),
  );
  app.get('/images/search', { schema: { hide: true } }, async () => {
    throw new TsdError(
      'not_implemented',
      'searching is not supported by tsd: registries have no common way to search; use the website of the registry, ' +
        'such as https://hub.docker.com/search',
    );
  });
}

function registerUploads(app: FastifyInstance, deps: ImageRoutesDeps): void {
  app.post<{ Querystring: Static<typeof ImageLoadQuerySchema> }>(
    '/images/load',
    {
      schema: describe('Loads images from a docker-archive or an OCI layout', ProgressMessageSchema, {
        querystring: ImageLoadQuerySchema,
      }),
    },
    async (request, reply) => {
      const platform = jsonPlatform(request.query.platform);
      const source = uploadStream(request);
      const isQuiet = queryFlag(request.query.quiet);
      return answerWithProgress(reply, async (emit) => {
        const onProgress = isQuiet ? undefined : layerProgress(emit);
        for (const added of await loadImage(deps, source, { platform, onProgress })) reportLoaded(added, emit);
      });
    },
  );
  app.post<{ Querystring: Static<typeof ImageCreateQuerySchema> }>(
    '/images/create',
    {
      schema: describe('Pulls an image, or imports a root file system', ProgressMessageSchema, {
        querystring: ImageCreateQuerySchema,
      }),
    },
    async (request, reply) => {
      const { query } = request;
      if (query.fromImage) return answerPull(deps, request, reply);
      if (query.fromSrc !== '-') {
        throw query.fromSrc
          ? new TsdError(
              'not_implemented',
              'fromSrc: importing from a URL is not implemented by tsd: send the archive itself',
            )
          : new TsdError('bad_parameter', 'fromSrc or fromImage is required');
      }
      const source = uploadStream(request);
      const changes = texts(query.changes);
      const reference = query.repo ? targetReference({ repository: query.repo, tag: query.tag ?? '' }) : undefined;
      const platform = query.platform ? parsePlatform(query.platform) : undefined;
      return answerWithProgress(reply, async (emit) => {
        const added = await importImage(deps, source, { reference, changes, message: query.message ?? '', platform });
        emit({ status: added.image.id });
      });
    },
  );
}

function registerSave(app: FastifyInstance, deps: ImageRoutesDeps): void {
  const answer = async (reply: FastifyReply, names: readonly string[], platform: string | string[] | undefined) => {
    if (texts(platform).length > 0) {
      throw new TsdError('not_implemented', 'platform: images here have one platform each; save without it');
    }
    const archive = await saveImages(deps, names);
    try {
      reply.header('content-type', 'application/x-tar').header('content-length', archive.sizeBytes);
      return await answerWithBytes(reply, archive.stream);
    } finally {
      archive.close();
    }
  };
  app.get<{ Querystring: Static<typeof ImageSaveQuerySchema> }>(
    '/images/get',
    {
      schema: describe('Saves images into one archive', Type.Unsafe<string>({ type: 'string', format: 'binary' }), {
        querystring: ImageSaveQuerySchema,
      }),
    },
    async (request, reply) => answer(reply, texts(request.query.names), request.query.platform),
  );
  app.get<{ Params: NameParams; Querystring: Static<typeof ImageSaveQuerySchema> }>(
    '/images/:name/get',
    {
      schema: describe('Saves an image', Type.Unsafe<string>({ type: 'string', format: 'binary' }), {
        params: NameParams,
        querystring: ImageSaveQuerySchema,
      }),
    },
    async (request, reply) => answer(reply, [request.params.name], request.query.platform),
  );
}

function registerChanges(app: FastifyInstance, deps: ImageRoutesDeps): void {
  app.post<{ Params: NameParams; Querystring: Static<typeof ImageTagQuerySchema> }>(
    '/images/:name/tag',
    {
      schema: {
        ...describe('Gives an image another name', undefined, { params: NameParams, querystring: ImageTagQuerySchema }),
        response: { 201: Type.Null(), default: ErrorResponseSchema },
      },
    },
    async (request, reply) => {
      if (!request.query.repo) throw new TsdError('bad_parameter', 'repo: the new name is required');
      tagImage(deps, request.params.name, { repository: request.query.repo, tag: request.query.tag ?? '' });
      return reply.code(201).send();
    },
  );
  app.delete<{ Params: NameParams; Querystring: Static<typeof ImageDeleteQuerySchema> }>(
    '/images/:name',
    {
      schema: describe('Removes a name of an image, or the image', Type.Array(ImageDeleteItemSchema), {
        params: NameParams,
        querystring: ImageDeleteQuerySchema,
      }),
    },
    async (request) => (await removeImage(deps, request.params.name, { force: queryFlag(request.query.force) })).items,
  );
  app.post<{ Querystring: Static<typeof ImagePruneQuerySchema> }>(
    '/images/prune',
    { schema: describe('Removes unused images', ImagePruneResultSchema, { querystring: ImagePruneQuerySchema }) },
    async (request) => {
      const { items, reclaimedBytes } = await pruneImages(deps, parseFilters(request.query.filters, PRUNE_FILTER_KEYS));
      return { ImagesDeleted: items.length > 0 ? items : null, SpaceReclaimed: reclaimedBytes };
    },
  );
}

function describe(summary: string, answer: unknown, parts: object): object {
  const response = { ...(answer === undefined ? {} : { 200: answer }), default: ErrorResponseSchema };
  return { tags: ['Image'], summary, ...parts, response };
}

/** Messages as Docker's: at most ten a second for each layer, and its last one. */
function layerProgress(emit: (message: ProgressMessage) => void): (progress: LayerProgress) => void {
  let lastId = '';
  let lastMs = 0;
  return ({ id, currentBytes, totalBytes }) => {
    const nowMs = performance.now();
    if (id === lastId && nowMs - lastMs < PROGRESS_INTERVAL_MS && currentBytes < totalBytes) return;
    lastId = id;
    lastMs = nowMs;
    emit({ status: 'Loading layer', progressDetail: { current: currentBytes, total: totalBytes }, id });
  };
}

function reportLoaded({ image, tags, replaced }: AddedImage, emit: (message: ProgressMessage) => void): void {
  for (const { reference, imageId } of replaced) {
    const name = familiarString(reference);
    emit({ stream: `The image ${name} already exists, renaming the old one with ID ${imageId} to empty string\n` });
  }
  for (const tag of tags) emit({ stream: `Loaded image: ${familiarString(tag)}\n` });
  if (tags.length === 0) emit({ stream: `Loaded image ID: ${image.id}\n` });
}

/** What older clients expect: `<none>` names before 1.43, VirtualSize before 1.44. */
function oldFields(
  version: string,
  image: Static<typeof ImageSummarySchema>,
): Partial<Static<typeof ImageSummarySchema>> {
  const isNameless = image.RepoTags.length === 0 && image.RepoDigests.length === 0;
  return {
    ...(isNameless && isBefore(version, '1.43') ? { RepoTags: ['<none>:<none>'], RepoDigests: ['<none>@<none>'] } : {}),
    ...(isBefore(version, '1.44') ? { VirtualSize: image.Size } : {}),
  };
}

function isBefore(version: string, other: string): boolean {
  return compareVersions(version, other) < 0;
}

function texts(value: string | readonly string[] | undefined): readonly string[] {
  if (value === undefined || value === '') return [];
  return typeof value === 'string' ? [value] : value;
}

/** `platform` of load: an OCI platform as JSON, or docker's text form. */
function jsonPlatform(value: string | string[] | undefined): Platform | undefined {
  const [text, ...others] = texts(value);
  if (text === undefined) return undefined;
  if (others.length > 0) throw new TsdError('bad_parameter', 'platform: give one platform');
  if (!text.startsWith('{')) return parsePlatform(text);
  try {
    const { os, architecture, variant } = JSON.parse(text) as Record<string, unknown>;
    return parsePlatform([os, architecture, variant].filter((part) => part !== undefined && part !== '').join('/'));
  } catch (error) {
    throw new TsdError('bad_parameter', `platform: invalid platform ${JSON.stringify(text)}`, { cause: error });
  }
}
