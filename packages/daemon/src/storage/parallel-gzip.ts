/**
 * gzip of a file in several threads (the format: RFC 1952; the way: pigz). The file is cut into chunks that are deflated
 * independently, each with the end of the one before as its dictionary; one after the other they are an ordinary gzip
 * member. It depends on the bytes alone, so a layer that is compressed again gets the same digest.
 */
import type { FileHandle } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { promisify } from 'node:util';
import { constants, crc32, deflateRaw, type InputType, type ZlibOptions } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';

/**
 * A Debian root file system of 174 MB takes 1.6 s of processor time and gives 67.9 MB; 1.5 s and 69.1 MB with level 1, 2.0 s
 * and 65.2 MB with level 4, 3.0 s and 63.7 MB with gzip's default, 6. What is compressed is kept, but somebody waits for it.
 */
const LEVEL = 2;
const CHUNK_BYTES = 1024 * 1024;
/** Deflate's window: how far a dictionary is of use. */
const WINDOW_BYTES = 32 * 1024;
const BUFFER_BYTES = WINDOW_BYTES + CHUNK_BYTES;
/** What zlib is given at a time; a chunk seldom needs more. */
const OUTPUT_BYTES = 512 * 1024;
/** No name, no time, "unknown" system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
/** zlib works in libuv's threads, of which there are four: one is left to everyone else's files. */
const MAX_PARALLEL = 3;
/** Chunks of a file that are read, or deflated and not yet taken, beside those being deflated. */
const SPARE_CHUNKS = 2;

const deflate = promisify<InputType, ZlibOptions, Buffer>(deflateRaw);

/** How many chunks are deflated at a time, whatever the number of files. */
export interface GzipThreads {
  readonly count: number;
  /** Waits for a free thread. */
  run<T>(work: () => Promise<T>): Promise<T>;
}

/** @param count by default one more than there are processors, which then never wait for the event loop to hand out work */
export function createGzipThreads(count = Math.min(MAX_PARALLEL, availableParallelism() + 1)): GzipThreads {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    count,
    async run(work) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next === undefined) free++;
        else next();
      }
    },
  };
}

interface Chunk {
  /** Holds the chunk, and is used again when that is done with. */
  readonly buffer: Buffer;
  readonly plain: Buffer;
  readonly deflated: Buffer;
}

/**
 * The pieces of the gzip member, of about a chunk each at most. Holds a few chunks in memory, and leaves the file open.
 *
 * @param onPlain given the file's bytes, in order, as they go into what is yielded; they stay as they are during the call
 * @throws TsdError `internal` when the file is shorter than `sizeBytes`
 */
export async function* parallelGzip(
  file: FileHandle,
  sizeBytes: number,
  threads: GzipThreads,
  onPlain: (piece: Buffer) => void = () => undefined,
): AsyncGenerator<Buffer, void, void> {
  const pending: Promise<Chunk>[] = [];
  const buffers: Buffer[] = [];
  let crc = 0;
  let nextOffset = 0;
  yield HEADER;
  try {
    for (;;) {
      while (pending.length < threads.count + SPARE_CHUNKS && (nextOffset < sizeBytes || nextOffset === 0)) {
        const offset = nextOffset;
        const buffer = buffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
        const chunk = deflateChunk(file, buffer, { offset, sizeBytes }, threads);
        // It may fail while an earlier one is waited for: its error is seen in its turn.
        chunk.catch(() => undefined);
        pending.push(chunk);
        nextOffset += CHUNK_BYTES;
      }
      const chunk = await pending.shift();
      if (chunk === undefined) break;
      crc = crc32(chunk.plain, crc);
      onPlain(chunk.plain);
      buffers.push(chunk.buffer);
      yield chunk.deflated;
    }
  } finally {
    // A consumer that stops early leaves reads under way.
    await Promise.allSettled(pending);
  }
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(crc, 0);
  trailer.writeUInt32LE(sizeBytes % 2 ** 32, 4);
  yield trailer;
}

async function deflateChunk(
  file: FileHandle,
  buffer: Buffer,
  { offset, sizeBytes }: { readonly offset: number; readonly sizeBytes: number },
  threads: GzipThreads,
): Promise<Chunk> {
  const start = Math.max(0, offset - WINDOW_BYTES);
  const end = Math.min(sizeBytes, offset + CHUNK_BYTES);
  const bytes = buffer.subarray(0, end - start);
  for (let done = 0; done < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) throw new TsdError('internal', `the file ends after ${start + done} of ${sizeBytes} bytes`);
    done += bytesRead;
  }
  const plain = bytes.subarray(offset - start);
  const options: ZlibOptions = {
    level: LEVEL,
    chunkSize: OUTPUT_BYTES,
    finishFlush: end === sizeBytes ? constants.Z_FINISH : constants.Z_SYNC_FLUSH,
    ...(start < offset ? { dictionary: bytes.subarray(0, offset - start) } : {}),
  };
  const deflated = await threads.run(() => deflate(plain, options));
  return { buffer, plain, deflated };
}
