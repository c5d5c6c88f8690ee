/**
 * gzip files (RFC 1952) in a thread of their own: decompressed in place and without garbage. Where the event loop has other
 * things to do, see layer-decompression.ts.
 */
import { TsdError } from '@tsd/shared/errors';
import { InflateError, Inflater } from '../os/inflate.ts';

const INPUT_BYTES = 256 * 1024;
const OUTPUT_BYTES = 256 * 1024;

/**
 * Decompresses all members. A piece is valid until the next one is asked for, and so is a piece of `source`.
 * @throws TsdError bad_parameter: damaged, cut off or followed by something else.
 */
export async function* gunzip(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const inflater = new Inflater({ inputBytes: INPUT_BYTES, outputBytes: OUTPUT_BYTES });
  try {
    /** Of a member. */
    let isAtEnd = false;
    for await (const piece of source) {
      for (let rest = piece; rest.length > 0; ) {
        rest = rest.subarray(inflater.give(rest));
        while (true) {
          if (isAtEnd) {
            if (inflater.inputBytes === 0) break;
            beginMember(inflater);
          }
          const { data, isEnd } = decompressed(inflater);
          isAtEnd = isEnd;
          if (data.length > 0) yield data;
          // Output that was filled to its end may go on.
          if (!isEnd && inflater.inputBytes === 0 && data.length < OUTPUT_BYTES) break;
        }
      }
    }
    if (!isAtEnd) throw damaged('Z_BUF_ERROR');
  } finally {
    inflater.close();
  }
}

function beginMember(inflater: Inflater): void {
  if (inflater.nextByte === 0) {
    throw new TsdError('bad_parameter', "the layer's gzip data is followed by something else");
  }
  inflater.reset();
}

function decompressed(inflater: Inflater): ReturnType<Inflater['next']> {
  try {
    return inflater.next();
  } catch (error) {
    throw error instanceof InflateError ? damaged(error.code, error) : error;
  }
}

function damaged(code: string, cause?: unknown): TsdError {
  return new TsdError('bad_parameter', `the gzip data is damaged or cut off (${code})`, { cause });
}
