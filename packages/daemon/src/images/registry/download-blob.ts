/** Downloads a blob: exactly the promised bytes, resumed where a connection breaks. */
import { TsdError } from '@tsd/shared/errors';
import { waitToRetry } from './back-off.ts';
import { discardBody, type HttpResponse } from './connections.ts';
import type { EndpointSession } from './registry-endpoint.ts';
import { networkError, RegistryError, requestText } from './registry-error.ts';
import type { BlobDescriptor, TransferOptions } from './remote-repository.ts';
import { responseError } from './response-error.ts';

export interface DownloadOptions extends TransferOptions {
  readonly path: string;
  readonly scopes: readonly string[];
  /** Told who gives bytes, as often as they come. */
  readonly onSource: (session: EndpointSession) => void;
  /** Told who has nothing more to give, when there is another to ask. */
  readonly onFailure: (session: EndpointSession, error: unknown) => void;
}

/** Resumptions of one blob: these, and one more for each MiB. A registry that gives a byte per connection ends here. */
const RESUMES = 50;
const BYTES_PER_RESUME = 1024 * 1024;
/** Less than this between two failures is no progress. */
const PROGRESS_BYTES = 16 * 1024;

/**
 * @param mirrors who is asked first, in this order; those that are taken from the set meanwhile are not
 * @param registry who is asked when no mirror has anything more to give
 * @throws TsdError of the registry
 */
export async function* downloadBlob(
  mirrors: ReadonlySet<EndpointSession>,
  registry: EndpointSession,
  blob: BlobDescriptor,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { signal, onBytes, onSource, onFailure } = options;
  let offset = 0;
  const from = async function* (session: EndpointSession): AsyncGenerator<Uint8Array, void> {
    for await (const chunk of downloadFrom(session, blob, offset, options)) {
      onSource(session);
      offset += chunk.length;
      onBytes?.(offset);
      yield chunk;
    }
  };
  for (const mirror of mirrors) {
    try {
      return yield* from(mirror);
    } catch (error) {
      signal.throwIfAborted();
      onFailure(mirror, error);
    }
  }
  yield* from(registry);
}

async function* downloadFrom(
  session: EndpointSession,
  blob: BlobDescriptor,
  start: number,
  options: DownloadOptions,
): AsyncGenerator<Uint8Array, void> {
  const { signal, onWait } = options;
  const mostResumes = RESUMES + Math.ceil(blob.sizeBytes / BYTES_PER_RESUME);
  let offset = start;
  for (let failures = 0, resumes = 0; ; ) {
    const before = offset;
    try {
      const response = await request(session, blob, offset, options);
      for await (const chunk of content(response, blob, offset)) {
        offset += chunk.length;
        yield chunk;
      }
      if (offset === blob.sizeBytes) return;
      throw new RegistryError(
        'unavailable',
        `${requestText('GET', response.url)}: unexpected EOF (${offset} of ${blob.sizeBytes} bytes of ${blob.digest})`,
        { retry: 'soon' },
      );
    } catch (error) {
      if (offset - before >= PROGRESS_BYTES) failures = 0;
      failures++;
      if (++resumes > mostResumes) throw error;
      await waitToRetry(error, failures, session.endpoint.backOff, {
        signal,
        retries: offset > 0 ? ['soon', 'transfers'] : ['soon'],
        onWait,
      });
    }
  }
}

/** Asks for the rest; checks that the answer is it. */
async function request(
  session: EndpointSession,
  { digest, sizeBytes }: BlobDescriptor,
  offset: number,
  { path, scopes, signal }: DownloadOptions,
): Promise<HttpResponse> {
  const response = await session.once({
    method: 'GET',
    target: path,
    scopes,
    headers: offset > 0 ? { range: `bytes=${offset}-` } : {},
    signal,
  });
  if (response.status !== 200 && response.status !== 206) throw await responseError(response);
  const refuse = async (problem: string): Promise<never> => {
    await discardBody(response);
    throw new TsdError('bad_parameter', `${requestText('GET', response.url)}: ${problem}`);
  };
  const range = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(response.headers['content-range'] ?? '');
  if (response.status === 206 && Number(range?.[1]) !== offset) {
    return refuse(`the registry sends another range (${response.headers['content-range'] ?? 'none'}) than asked for`);
  }
  const announced = response.headers['content-length'];
  const expected = response.status === 206 ? sizeBytes - offset : sizeBytes;
  if (announced !== undefined && Number(announced) !== expected) {
    return refuse(`blob ${digest} has ${announced} bytes where ${expected} are expected`);
  }
  return response;
}

/** The bytes from `offset` on; a registry that knows no ranges sends those before it again. */
async function* content(
  response: HttpResponse,
  { digest, sizeBytes }: BlobDescriptor,
  offset: number,
): AsyncGenerator<Uint8Array, void> {
  let skip = response.status === 206 ? 0 : offset;
  let left = sizeBytes - offset;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      const wanted = skip === 0 ? chunk : chunk.subarray(Math.min(skip, chunk.length));
      skip -= chunk.length - wanted.length;
      left -= wanted.length;
      if (left < 0) throw new TsdError('bad_parameter', `blob ${digest} is longer than its ${sizeBytes} bytes`);
      if (wanted.length > 0) yield wanted;
    }
  } catch (error) {
    throw networkError(error, 'GET', response.url);
  }
}
