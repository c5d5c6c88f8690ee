/** Decompresses an archive as a whole, whichever way it is compressed. */
import { Readable, type Transform } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';
import type { ByteStream } from './byte-stream.ts';
import { SNIFF_BYTES, sniffContent } from './sniff-content.ts';

const CHUNK_BYTES = 256 * 1024;

/**
 * The plain bytes of a stream that is plain, gzip or zstd; closes it at the end.
 * @throws TsdError `bad_parameter`: empty, damaged, or compressed in another way (on iteration).
 */
export async function* decompressed(stream: ByteStream): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* decode(stream);
  } finally {
    await stream.close();
  }
}

async function* decode(stream: ByteStream): AsyncGenerator<Uint8Array, void, void> {
  const head = await stream.peek(SNIFF_BYTES);
  if (head.length === 0) throw new TsdError('bad_parameter', 'the archive is empty');
  const kind = sniffContent(head);
  switch (kind) {
    case 'gzip':
      return yield* through(stream, createGunzip({ chunkSize: CHUNK_BYTES }), kind);
    case 'zstd':
      return yield* through(stream, createZstdDecompress({ chunkSize: CHUNK_BYTES }), kind);
    case 'bzip2':
    case 'xz':
      throw new TsdError('bad_parameter', `the archive is compressed with ${kind}: decompress it first (${kind} -d)`);
    default:
      yield* stream.rest();
  }
}

async function* through(stream: ByteStream, decoder: Transform, kind: string): AsyncGenerator<Uint8Array, void, void> {
  const source = Readable.from(stream.rest(), { objectMode: true });
  let sourceFailure: unknown;
  source.once('error', (error) => {
    sourceFailure = error;
    decoder.destroy(error);
  });
  source.pipe(decoder);
  try {
    for await (const chunk of decoder) yield chunk as Buffer;
  } catch (error) {
    if (sourceFailure !== undefined) throw sourceFailure;
    throw new TsdError('bad_parameter', `the archive is not valid ${kind} or is truncated`, { cause: error });
  } finally {
    source.destroy();
    decoder.destroy();
  }
}
