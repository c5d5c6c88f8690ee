/** Uploads a blob: OCI distribution-spec, "pushing blobs". */
import { TsdError } from '@tsd/shared/errors';
import { waitToRetry } from './back-off.ts';
import { discardBody, type HttpResponse } from './connections.ts';
import { type EndpointSession, resolveLocation } from './registry-endpoint.ts';
import { RegistryError, requestText } from './registry-error.ts';
import type { BlobSource, OnBytes, TransferOptions } from './remote-repository.ts';
import { responseError } from './response-error.ts';

export interface UploadOptions extends TransferOptions {
  /** `library/alpine/blobs`. */
  readonly blobsPath: string;
  readonly scopes: readonly string[];
  /** An upload that the registry has begun already, when it would not mount the blob. */
  readonly location?: URL | undefined;
}

/** Where an upload stands. */
interface Upload {
  readonly location: URL;
  readonly offset: number;
}

/** What is sent at once after a break; before the first, all is, as Docker does. */
const RESUMED_CHUNK_BYTES = 16 * 1024 * 1024;

/** Puts a blob into the repository; resumes where the registry says how far it came, else begins again. */
export async function uploadBlob(session: EndpointSession, blob: BlobSource, options: UploadOptions): Promise<void> {
  const { signal, onWait } = options;
  let upload: Upload | null = options.location === undefined ? null : { location: options.location, offset: 0 };
  let chunkBytes = Number.POSITIVE_INFINITY;
  for (let failures = 0, furthest = 0; ; ) {
    try {
      upload ??= { location: await startUpload(session, options), offset: 0 };
      while (upload.offset < blob.sizeBytes) {
        upload = await sendChunk(session, blob, upload, Math.min(upload.offset + chunkBytes, blob.sizeBytes), options);
      }
      await finishUpload(session, blob, upload.location, options);
      return;
    } catch (error) {
      if (upload !== null && upload.offset > furthest) {
        furthest = upload.offset;
        failures = 0;
      }
      const retries = ['soon', 'transfers'] as const;
      await waitToRetry(error, ++failures, session.endpoint.backOff, { signal, retries, onWait });
      if (upload !== null) upload = await uploadStatus(session, upload.location, blob, options);
      chunkBytes = RESUMED_CHUNK_BYTES;
    }
  }
}

async function startUpload(session: EndpointSession, options: UploadOptions): Promise<URL> {
  const { blobsPath, scopes, signal } = options;
  const response = await session.once({
    method: 'POST',
    target: `${blobsPath}/uploads/`,
    scopes,
    headers: { 'content-length': '0' },
    signal,
  });
  if (response.status !== 202) throw await responseError(response);
  await discardBody(response);
  return resolveLocation(response.headers.location, response);
}

async function sendChunk(
  session: EndpointSession,
  blob: BlobSource,
  { location, offset }: Upload,
  end: number,
  { scopes, signal, onBytes }: UploadOptions,
): Promise<Upload> {
  const isWhole = offset === 0 && end === blob.sizeBytes;
  const response = await session.once({
    method: 'PATCH',
    target: location,
    scopes,
    headers: {
      'content-type': 'application/octet-stream',
      'content-length': String(end - offset),
      ...(isWhole ? {} : { 'content-range': `${offset}-${end - 1}` }),
    },
    body: () => bytesBetween(blob, offset, end, onBytes),
    signal,
  });
  if (response.status === 416) {
    const refusal = await responseError(response);
    // It has another part of the blob than this side believes: it is asked which.
    throw new RegistryError(refusal.code, refusal.message, { retry: 'soon', cause: refusal });
  }
  if (response.status !== 202 && response.status !== 204) throw await responseError(response);
  await discardBody(response);
  const next = resolveLocation(response.headers.location ?? location.href, response);
  // A registry may have taken less than it was given.
  const reached = rangeEnd(response) ?? end;
  if (reached > end || reached <= offset) throw strangeRange(response);
  return { location: next, offset: reached };
}

async function* bytesBetween(
  blob: BlobSource,
  start: number,
  end: number,
  onBytes: OnBytes | undefined,
): AsyncGenerator<Uint8Array, void> {
  let offset = start;
  for await (const chunk of blob.open(start)) {
    const piece = chunk.length > end - offset ? chunk.subarray(0, end - offset) : chunk;
    yield piece;
    offset += piece.length;
    onBytes?.(offset);
    if (offset === end) return;
  }
  throw new TsdError('internal', `blob ${blob.digest} ends after ${offset} of its ${blob.sizeBytes} bytes`);
}

async function finishUpload(
  session: EndpointSession,
  blob: BlobSource,
  location: URL,
  { scopes, signal }: UploadOptions,
): Promise<void> {
  const target = new URL(location);
  target.searchParams.set('digest', blob.digest);
  const response = await session.once({ method: 'PUT', target, scopes, headers: { 'content-length': '0' }, signal });
  if (response.status !== 201 && response.status !== 204) throw await responseError(response);
  await discardBody(response);
}

/** How far a broken upload came; null when it has to begin again. */
async function uploadStatus(
  session: EndpointSession,
  location: URL,
  blob: BlobSource,
  { scopes, signal }: UploadOptions,
): Promise<Upload | null> {
  let response: HttpResponse;
  try {
    response = await session.once({ method: 'GET', target: location, scopes, signal });
  } catch {
    // Whatever is wrong, a new upload will tell.
    signal.throwIfAborted();
    return null;
  }
  await discardBody(response);
  if (response.status !== 204 && response.status !== 202) return null;
  // Registries say `0-0` of an empty upload as well.
  const end = rangeEnd(response) ?? 0;
  const offset = end === 1 ? 0 : end;
  if (offset > blob.sizeBytes) return null;
  return { location: resolveLocation(response.headers.location ?? location.href, response), offset };
}

/** `Range: 0-99` says that 100 bytes are there. */
function rangeEnd({ headers }: HttpResponse): number | null {
  const last = /^(?:bytes=)?0-(\d{1,15})$/.exec(String(headers['range'] ?? ''))?.[1];
  return last === undefined ? null : Number(last) + 1;
}

function strangeRange(response: HttpResponse): RegistryError {
  return new RegistryError(
    'bad_parameter',
    `${requestText(response.method, response.url)}: the registry acknowledges the range ${String(response.headers['range'])}`,
  );
}
