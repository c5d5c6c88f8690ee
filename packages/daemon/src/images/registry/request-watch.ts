/**
 * Ends requests that come to nothing. undici's own timeouts begin when a request has its connection, and only then does it hear of
 * an abort; and its patience with an answer knows no difference between an upload that stands still and one that is there.
 */
import { unlessAborted } from '../unless-aborted.ts';
import { RegistryError, type Retry, requestText } from './registry-error.ts';

export interface Timeouts {
  /** For one connection, its TLS handshake included. */
  readonly connectMs: number;
  /** Without a byte in either direction while a body is sent, an answer awaited or read. */
  readonly stallMs: number;
}

export interface RequestWatch {
  /** The body, as it is to be sent: the next piece is asked for when the one before is on its way. */
  sent(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array>;
  /** @throws RegistryError `unavailable` when nothing comes of it; the signal's reason as soon as it aborts */
  answered<T>(send: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** A registry may move or verify a large blob before it answers an upload: so many times the usual patience. */
const UPLOAD_PATIENCE = 10;
/** What has to be taken within `stallMs`: on slow lines some ten KiB a second would be too much to ask. */
const PIECE_BYTES = 64 * 1024;

/** @param isUpload whether the answer may take as long as the registry works on what was sent */
export function watchRequest(
  { method, url, signal }: { readonly method: string; readonly url: URL; readonly signal: AbortSignal },
  { connectMs, stallMs }: Timeouts,
  isUpload: boolean,
): RequestWatch {
  const gaveUp = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let isOver = false;
  const expect = (patienceMs: number, problem: string, retry: Retry): void => {
    clearTimeout(timer);
    if (isOver) return;
    const giveUp = (): void =>
      gaveUp.abort(new RegistryError('unavailable', `${requestText(method, url)}: ${problem}`, { retry }));
    timer = setTimeout(giveUp, patienceMs);
  };
  // To a proxy, through it, and TLS.
  const connectionMs = 2 * connectMs + stallMs;
  const expectAnswer = (moreMs: number): void => {
    // Whoever needs longer for it will need as long for another try.
    if (isUpload) expect(stallMs * UPLOAD_PATIENCE + moreMs, 'the registry took it all and does not answer', 'never');
    else expect(stallMs + moreMs, 'the registry does not answer', 'soon');
  };
  return {
    async *sent(body) {
      for await (const chunk of body) {
        for (let start = 0; start < chunk.length; start += PIECE_BYTES) {
          expect(stallMs, 'the registry stopped taking what is sent', 'soon');
          yield chunk.subarray(start, start + PIECE_BYTES);
          // How long it takes to read the next piece here is not the registry's doing.
          clearTimeout(timer);
        }
      }
      expectAnswer(0);
    },
    async answered(send) {
      const within = AbortSignal.any([signal, gaveUp.signal]);
      expectAnswer(connectionMs);
      try {
        return await unlessAborted(send(within), within);
      } finally {
        isOver = true;
        clearTimeout(timer);
      }
    },
  };
}
