/** Decompresses an archive as a whole, whichever way it is compressed. */
import { TsdError } from '@tsd/shared/errors';
import { decompress } from '../storage/layer-decompression.ts';
import { DEFAULT_LAYER_LIMITS, type LayerLimits } from '../storage/layer-limits.ts';
import type { ByteStream } from './byte-stream.ts';
import { SNIFF_BYTES, sniffContent } from './sniff-content.ts';

export type ExpansionLimits = Pick<LayerLimits, 'freeExpansionBytes' | 'maxExpansionRatio'>;

/**
 * The plain bytes of a stream that is plain, gzip or zstd; closes it at the end.
 * @throws TsdError `bad_parameter`: empty, damaged, compressed in another way, or a decompression bomb (on iteration).
 */
export async function* decompressed(
  stream: ByteStream,
  limits: ExpansionLimits = DEFAULT_LAYER_LIMITS,
): AsyncGenerator<Buffer, void, void> {
  try {
    const head = await stream.peek(SNIFF_BYTES);
    if (head.length === 0) throw new TsdError('bad_parameter', 'the archive is empty');
    const kind = sniffContent(head);
    if (kind === 'bzip2' || kind === 'xz') {
      throw new TsdError('bad_parameter', `the archive is compressed with ${kind}: decompress it first (${kind} -d)`);
    }
    if (kind === 'gzip' || kind === 'zstd') yield* expanded(stream, kind, limits);
    else yield* stream.rest();
  } finally {
    await stream.close();
  }
}

async function* expanded(
  stream: ByteStream,
  kind: 'gzip' | 'zstd',
  { freeExpansionBytes, maxExpansionRatio }: ExpansionLimits,
): AsyncGenerator<Buffer, void, void> {
  let expandedBytes = 0;
  for await (const chunk of decompress(stream.rest(), kind)) {
    expandedBytes += chunk.length;
    if (expandedBytes > freeExpansionBytes && expandedBytes > stream.readBytes * maxExpansionRatio) {
      throw new TsdError(
        'bad_parameter',
        `the archive expands to more than ${maxExpansionRatio} times its compressed size: refused as a decompression bomb`,
      );
    }
    yield chunk;
  }
}
