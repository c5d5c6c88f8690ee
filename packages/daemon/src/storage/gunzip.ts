/** gzip files (RFC 1952), all members of one, with zlib and without garbage. */
import { TsdError } from '@tsd/shared/errors';
import { InflateError, Inflater } from '../os/inflate.ts';

const INPUT_BYTES = 256 * 1024;
const OUTPUT_BYTES = 256 * 1024;

/**
 * Decompresses while the consumer is busy with the piece before. A piece is valid until the next one is asked for, and so is
 * a piece of `source`.
 * @throws TsdError bad_parameter: damaged, cut off or followed by something else.
 */
export async function* gunzip(source: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  const inflater = new Inflater({ inputBytes: INPUT_BYTES, outputBytes: OUTPUT_BYTES, outputs: 2 });
  const stream = new GzipStream(source, inflater);
  try {
    let next = stream.fill(0);
    for (let index = 0; ; index = 1 - index) {
      const { filled, isEnd } = await next;
      if (!isEnd) {
        next = stream.fill(1 - index);
        // Seen when its turn comes, unless the consumer stops before.
        next.catch(() => undefined);
      }
      if (filled > 0) yield inflater.output(index).subarray(0, filled);
      if (isEnd) return;
    }
  } finally {
    await stream.close();
  }
}

interface Filled {
  readonly filled: number;
  readonly isEnd: boolean;
}

/** What nobody waits for any longer. The inflater's memory is gone by then. */
const ABANDONED: Filled = { filled: 0, isEnd: true };

class GzipStream {
  private readonly source: AsyncIterator<Buffer>;
  private readonly inflater: Inflater;
  /** What of the source's last piece is not in the inflater yet. */
  private rest: Buffer = Buffer.alloc(0);
  private call: Promise<unknown> = Promise.resolve();
  private isClosed = false;

  constructor(source: AsyncIterator<Buffer>, inflater: Inflater) {
    this.source = source;
    this.inflater = inflater;
  }

  /** Fills an output; less than full only at the end. */
  async fill(index: number): Promise<Filled> {
    const { inflater } = this;
    const capacity = inflater.output(index).length;
    for (let filled = 0; filled < capacity; ) {
      const hasInput = inflater.inputBytes > 0 || (await this.refill());
      if (this.isClosed) return ABANDONED;
      if (!hasInput) throw damaged('Z_BUF_ERROR');
      const call = inflater.fill(index, filled);
      this.call = call.catch(() => undefined);
      const result = await call.catch((error: unknown) => {
        throw error instanceof InflateError ? damaged(error.code, error) : error;
      });
      if (this.isClosed) return ABANDONED;
      filled = result.filled;
      if (!result.isEnd) continue;
      const hasMore = inflater.inputBytes > 0 || (await this.refill());
      if (this.isClosed) return ABANDONED;
      if (!hasMore) return { filled, isEnd: true };
      if (inflater.nextByte === 0) {
        throw new TsdError('bad_parameter', "the layer's gzip data is followed by something else");
      }
      inflater.reset();
    }
    return { filled: capacity, isEnd: false };
  }

  /** Waits for what zlib is doing, not for the source. */
  async close(): Promise<void> {
    this.isClosed = true;
    await this.call;
    this.inflater.close();
  }

  /** Gives the inflater new input; false at the source's end. */
  private async refill(): Promise<boolean> {
    while (this.rest.length === 0) {
      const next = await this.source.next();
      if (next.done === true) return false;
      this.rest = next.value;
    }
    if (!this.isClosed) this.rest = this.rest.subarray(this.inflater.give(this.rest));
    return true;
  }
}

function damaged(code: string, cause?: unknown): TsdError {
  return new TsdError('bad_parameter', `the gzip data is damaged or cut off (${code})`, { cause });
}
