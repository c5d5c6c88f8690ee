/** Recognises and undoes a layer's compression. */
import type { Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';

export type LayerCompression = 'none' | 'gzip' | 'zstd';

const OUTPUT_CHUNK_BYTES = 1024 * 1024;
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
 * Decompresses a stream. A piece of `source` is no longer used once the next one is asked for; a piece given out stays valid.
 * @throws TsdError bad_parameter: damaged or cut off.
 */
export async function* decompress(
  source: AsyncIterable<Buffer>,
  compression: Exclude<LayerCompression, 'none'>,
): AsyncGenerator<Buffer> {
  const options = { chunkSize: OUTPUT_CHUNK_BYTES };
  const transform: Transform = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options);
  const feed = async (): Promise<void> => {
    for await (const piece of source) {
      await new Promise<void>((resolve, reject) => {
        transform.write(piece, (error) => (error ? reject(error) : resolve()));
      });
    }
    transform.end();
  };
  let sourceError: unknown;
  feed().catch((error: unknown) => {
    // Its own error comes out of the transform below, the source's has to be passed on.
    sourceError ??= transform.errored === null && !transform.destroyed ? error : undefined;
    transform.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const piece of transform) yield piece as Buffer;
  } catch (error) {
    if (sourceError !== undefined) throw sourceError;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!/^(Z_|ZSTD_|ERR_ZLIB)/.test(code)) throw error;
    throw new TsdError('bad_parameter', `the layer's ${compression} data is damaged or cut off (${code})`, {
      cause: error,
    });
  } finally {
    transform.destroy();
  }
}
