/** Recognises and undoes a layer's compression. */
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

const MAX_OUTPUT_CHUNK_BYTES = 256 * 1024;
const MIN_OUTPUT_CHUNK_BYTES = 64 * 1024;
/** Enough for every magic number below. */
export const MAGIC_BYTES = 6;

/**
 * Compression by magic number (RFC 1952, RFC 8878).
 * @throws TsdError bad_parameter: compressed with something that is not supported.
 */
export function detectCompression(head: Buffer): LayerCompression {
  if (startsWith(head, [0x1f, 0x8b])) return 'gzip';
  if (startsWith(head, [0x28, 0xb5, 0x2f, 0xfd])) return 'zstd';
  // A zstd skippable frame may come first.
  if (head.length >= 4 && ((head[0] as number) & 0xf0) === 0x50 && startsWith(head.subarray(1), [0x2a, 0x4d, 0x18]))
    return 'zstd';
  if (startsWith(head, [0x42, 0x5a, 0x68])) throw unsupported('bzip2');
  if (startsWith(head, [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0])) throw unsupported('xz');
  return 'none';
}

function startsWith(head: Buffer, magic: readonly number[]): boolean {
  return head.length >= magic.length && magic.every((byte, i) => head[i] === byte);
}

function unsupported(name: string): TsdError {
  return new TsdError('bad_parameter', `layers compressed with ${name} are not supported; use gzip, zstd or none`);
}

/**
 * Decompresses a stream: all members of a gzip file, all frames of a zstd one. A piece of `source` is no longer used once
 * the next one is asked for; a piece given out stays valid.
 * @throws TsdError bad_parameter: damaged, cut off or followed by something else.
 */
export async function* decompress(
  source: AsyncIterable<Buffer>,
  compression: Exclude<LayerCompression, 'none'>,
): AsyncGenerator<Buffer> {
  const input = new Input(source);
  let chunkBytes = MAX_OUTPUT_CHUNK_BYTES;
  do {
    let expandedBytes = 0;
    for await (const piece of decompressOne(input, compression, chunkBytes)) {
      expandedBytes += piece.length;
      yield piece;
    }
    // Some writers make a frame of every file: do not take a large buffer for each.
    chunkBytes = Math.min(MAX_OUTPUT_CHUNK_BYTES, Math.max(MIN_OUTPUT_CHUNK_BYTES, expandedBytes));
    // Node's gunzip goes on with the next member by itself, its zstd stops at the end of a frame.
    if (compression === 'gzip' && input.hasRest)
      throw new TsdError('bad_parameter', "the layer's gzip data is followed by something else");
  } while (input.hasRest);
}

/** The compressed pieces; one that was used in part can be put back. */
class Input {
  private readonly pieces: AsyncIterator<Buffer>;
  private rest: Buffer | null = null;

  constructor(source: AsyncIterable<Buffer>) {
    this.pieces = source[Symbol.asyncIterator]();
  }

  get hasRest(): boolean {
    return this.rest !== null;
  }

  putBack(rest: Buffer): void {
    this.rest = rest;
  }

  async next(): Promise<Buffer | null> {
    const { rest } = this;
    this.rest = null;
    if (rest !== null) return rest;
    const next = await this.pieces.next();
    return next.done === true ? null : next.value;
  }
}

async function* decompressOne(
  input: Input,
  compression: Exclude<LayerCompression, 'none'>,
  chunkSize: number,
): AsyncGenerator<Buffer> {
  const options = { chunkSize };
  const transform = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  /** The piece being decompressed, and how much was before it. */
  let current: { readonly piece: Buffer; readonly before: number } | null = null;
  const unused = (): Buffer | null => {
    if (current === null) return null;
    const used = transform.bytesWritten - current.before;
    return used < current.piece.length ? current.piece.subarray(used) : null;
  };
  const feed = async (): Promise<void> => {
    for (let piece = await input.next(); piece !== null; piece = await input.next()) {
      current = { piece, before: transform.bytesWritten };
      await write(transform, piece);
      // The end of the compressed data lies within the piece.
      if (unused() !== null) return;
    }
    transform.end();
  };
  let sourceError: unknown;
  feed().catch((error: unknown) => {
    // Decompression's own error comes out of the transform, the source's has to be passed on.
    if (transform.errored === null && !transform.destroyed) sourceError = error;
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const piece of transform) yield piece as Buffer;
    const rest = unused();
    if (rest !== null) input.putBack(rest);
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!/^(Z_|ZSTD_|ERR_ZLIB)/.test(code)) throw error;
    throw new TsdError('bad_parameter', `the ${compression} data is damaged or cut off (${code})`, {
      cause: error,
    });
  } finally {
    transform.destroy();
  }
}

function write(transform: Transform, piece: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    transform.write(piece, (error) => (error ? reject(error) : resolve()));
  });
}
