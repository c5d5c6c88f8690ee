/** A repository over HTTP: reads from mirrors first, writes to the registry itself. */
import { TsdError } from '@tsd/shared/errors';
import {
  familiarName,
  familiarString,
  type ImageReference,
  isDigest,
  repositoryName,
} from '@tsd/shared/image-reference';
import { MEDIA_TYPE } from '../oci-descriptor.ts';
import { MAX_JSON_BYTES } from '../parse-json.ts';
import { readPastMirrors } from '../past-mirrors.ts';
import { discardBody, type HttpResponse, readBody } from './connections.ts';
import { hasDigest, sha256Digest } from './digest.ts';
import { downloadBlob } from './download-blob.ts';
import { listTags } from './list-tags.ts';
import { type EndpointSession, resolveLocation } from './registry-endpoint.ts';
import { RegistryError } from './registry-error.ts';
import type { BlobDescriptor, RemoteManifest, RemoteRepository, RepositoryAccess } from './remote-repository.ts';
import { responseError } from './response-error.ts';
import { uploadBlob } from './upload-blob.ts';

/** What is understood, and schema 1, so that an old registry sends what can be refused clearly. */
const ACCEPTED_MANIFESTS = [
  MEDIA_TYPE.index,
  MEDIA_TYPE.manifest,
  MEDIA_TYPE.dockerManifestList,
  MEDIA_TYPE.dockerManifest,
  'application/vnd.docker.distribution.manifest.v1+prettyjws',
].join(', ');

/** @param sessions the registry's own and those of its mirrors */
export function createHttpRepository(
  reference: Pick<ImageReference, 'domain' | 'path'>,
  access: RepositoryAccess,
  sessions: { readonly registry: EndpointSession; readonly mirrors: readonly EndpointSession[] },
): RemoteRepository {
  const { domain, path } = reference;
  const { registry } = sessions;
  /** Mirrors that are still asked. */
  const mirrors = new Set(sessions.mirrors);
  /** Who gave bytes of a blob when it was last read. */
  const sources = new Map<string, Set<EndpointSession>>();
  // For every request of a push, as in Docker: some registries create a repository when they hand out a token to push to it,
  // and know nothing of it before.
  const scopes = [`repository:${path}:${access === 'push' ? 'pull,push' : 'pull'}`];
  /** Uploads that the registry began where it would not mount, by digest. */
  const begun = new Map<string, URL>();

  /** A mirror that has not got something may have the next; one that fails or answers nonsense is not asked again. */
  const noteFailure = (mirror: EndpointSession, error: unknown): void => {
    if (error instanceof TsdError && ['unavailable', 'bad_parameter'].includes(error.code)) mirrors.delete(mirror);
  };

  /** Asks mirrors, then the registry, whose error it is that counts. */
  const fromAny = async <Result>(
    signal: AbortSignal,
    read: (session: EndpointSession) => Promise<Result>,
  ): Promise<Result> => {
    for (const mirror of mirrors) {
      try {
        return await read(mirror);
      } catch (error) {
        signal.throwIfAborted();
        noteFailure(mirror, error);
      }
    }
    return read(registry);
  };

  const withManifestTexts = async <Result>(tagOrDigest: string, action: () => Promise<Result>): Promise<Result> => {
    try {
      return await action();
    } catch (error) {
      throw pullError(error, {
        domain,
        path,
        ...(isDigest(tagOrDigest) ? { digest: tagOrDigest } : { tag: tagOrDigest }),
      });
    }
  };

  const readManifest = async (
    session: EndpointSession,
    tagOrDigest: string,
    signal: AbortSignal,
  ): Promise<RemoteManifest> => {
    const response = await session.request({
      method: 'GET',
      target: `${path}/manifests/${tagOrDigest}`,
      scopes,
      headers: { accept: ACCEPTED_MANIFESTS },
      signal,
    });
    if (response.status !== 200) throw await responseError(response);
    const what = `manifest ${tagOrDigest} of ${domain}/${path}`;
    const mediaType = mediaTypeOf(response);
    if (mediaType === 'text/html') {
      await discardBody(response);
      throw new TsdError(
        'bad_parameter',
        `${response.url.host} answers with a web page (text/html) in place of ${what}: is it a registry?`,
      );
    }
    const bytes = await readBody(response, MAX_JSON_BYTES, what);
    const announced = response.headers['docker-content-digest'];
    for (const digest of [isDigest(tagOrDigest) ? tagOrDigest : undefined, announced]) {
      if (typeof digest === 'string' && !hasDigest(bytes, digest)) {
        throw new TsdError('bad_parameter', `${what}: its content does not have the digest ${digest}`);
      }
    }
    return { digest: sha256Digest(bytes), mediaType, bytes };
  };

  const repository: RemoteRepository = {
    name: repositoryName(reference),

    getManifest: (tagOrDigest, signal) =>
      withManifestTexts(tagOrDigest, () => fromAny(signal, (session) => readManifest(session, tagOrDigest, signal))),

    headManifest: (tagOrDigest, signal) =>
      withManifestTexts(tagOrDigest, () =>
        fromAny(signal, async (session) => {
          const response = await session.request({
            method: 'HEAD',
            target: `${path}/manifests/${tagOrDigest}`,
            scopes,
            headers: { accept: ACCEPTED_MANIFESTS },
            signal,
          });
          await discardBody(response);
          if (response.status === 404) return null;
          if (response.status !== 200) throw await responseError(response);
          const digest = response.headers['docker-content-digest'];
          if (typeof digest === 'string' && isDigest(digest)) return { digest, mediaType: mediaTypeOf(response) };
          const { bytes: _, ...head } = await readManifest(session, tagOrDigest, signal);
          return head;
        }),
      ),

    openBlob(blob, options) {
      const givers = new Set<EndpointSession>();
      sources.set(blob.digest, givers);
      return downloadBlob(mirrors, registry, blob, {
        ...options,
        path: `${path}/blobs/${blob.digest}`,
        scopes,
        onSource: (session) => givers.add(session),
        onFailure: noteFailure,
      });
    },

    distrustMirrors(digest) {
      const liars = [...(sources.get(digest) ?? [])].filter((session) => session !== registry);
      for (const liar of liars) mirrors.delete(liar);
      sources.delete(digest);
      return liars.length > 0;
    },

    async readBlob(blob, { signal, maxBytes }) {
      checkSize(blob, maxBytes);
      return readPastMirrors(repository, blob.digest, async () => {
        const chunks: Uint8Array[] = [];
        for await (const chunk of repository.openBlob(blob, { signal })) chunks.push(chunk);
        const bytes = Buffer.concat(chunks);
        if (hasDigest(bytes, blob.digest)) return bytes;
        throw new TsdError(
          'bad_parameter',
          `blob of ${domain}/${path}: its content does not have the digest ${blob.digest}`,
        );
      });
    },

    listTags: (signal) =>
      withManifestTexts('', () => fromAny(signal, (session) => listTags(session, path, scopes, signal))),

    async hasBlob(digest, signal) {
      const response = await registry.request({
        method: 'HEAD',
        target: `${path}/blobs/${digest}`,
        scopes,
        signal,
      });
      await discardBody(response);
      return response.status === 200;
    },

    async mountBlob(digest, fromPath, signal) {
      const query = new URLSearchParams({ mount: digest, from: fromPath });
      let response: HttpResponse;
      try {
        response = await registry.request({
          method: 'POST',
          target: `${path}/blobs/uploads/?${query}`,
          scopes: [...scopes, `repository:${fromPath}:pull`],
          headers: { 'content-length': '0' },
          signal,
        });
      } catch (error) {
        // Whoever may not read there can still upload here.
        if (error instanceof RegistryError && error.code !== 'unavailable') return false;
        throw error;
      }
      await discardBody(response);
      if (response.status === 202) begun.set(digest, resolveLocation(response.headers.location, response));
      return response.status === 201;
    },

    async uploadBlob(blob, options) {
      const location = begun.get(blob.digest);
      begun.delete(blob.digest);
      await uploadBlob(registry, blob, { ...options, blobsPath: `${path}/blobs`, scopes, location });
    },

    async putManifest(tagOrDigest, manifest, signal) {
      const response = await registry.request({
        method: 'PUT',
        target: `${path}/manifests/${tagOrDigest}`,
        scopes,
        headers: { 'content-type': manifest.mediaType, 'content-length': String(manifest.bytes.length) },
        body: () => manifest.bytes,
        signal,
      });
      if (response.status !== 201 && response.status !== 200) throw await responseError(response);
      await discardBody(response);
      const digest = response.headers['docker-content-digest'];
      return typeof digest === 'string' && isDigest(digest) ? digest : sha256Digest(manifest.bytes);
    },
  };
  return repository;
}

function checkSize({ digest, sizeBytes }: BlobDescriptor, maxBytes: number): void {
  if (sizeBytes <= maxBytes) return;
  throw new TsdError('bad_parameter', `blob ${digest} is of ${sizeBytes} bytes; at most ${maxBytes} are accepted`);
}

function mediaTypeOf({ headers }: HttpResponse): string {
  return (headers['content-type'] ?? '').split(';', 1).join('').trim().toLowerCase();
}

/** What dockerd makes of a registry's refusal (moby, distribution/errors.go). */
function pullError(error: unknown, reference: ImageReference): unknown {
  if (!(error instanceof RegistryError)) return error;
  const cause = error.message;
  switch (error.registryCode) {
    case 'DENIED':
      return new TsdError(
        'not_found',
        `pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${cause}`,
        { cause: error },
      );
    case 'MANIFEST_UNKNOWN':
      return new TsdError('not_found', `manifest for ${familiarString(reference)} not found: ${cause}`, {
        cause: error,
      });
    case 'NAME_UNKNOWN':
      return new TsdError('not_found', `repository ${familiarName(reference)} not found: ${cause}`, { cause: error });
    default:
      return error;
  }
}
