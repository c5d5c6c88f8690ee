/** The EROFS image of a layer: written from its tar, in one of two modes that the image itself tells apart. */
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { copyPlacement } from './erofs/copy-placement.ts';
import { SUPER_BLOCK_BYTES, SUPER_BLOCK_OFFSET, SUPER_DEVICES_OFFSET } from './erofs/erofs-format.ts';
import { encodeErofsImage } from './erofs/erofs-image.ts';
import { indexPlacement } from './erofs/index-placement.ts';
import type { LayerTree } from './erofs/layer-tree.ts';

/** `index`: blocks of 512 bytes, content stays in the tar, the image's second device (Linux 6.12). `copy`: blocks of 4 KiB, all content inside. */
export type LayerImageMode = 'index' | 'copy';

export interface LayerImageOptions {
  /** The layer's uncompressed tar, whole. */
  readonly tarPath: string;
  readonly tarSizeBytes: number;
  /** sha256:… of the tar. */
  readonly diffId: string;
  readonly mode: LayerImageMode;
  /** A file that does not exist yet. */
  readonly imagePath: string;
}

/**
 * Writes the image; to synchronise it is left to the caller. The same tar gives the same bytes in the same mode.
 * @throws TsdError bad_parameter: beyond what an image can hold.
 */
export function writeLayerImage(tree: LayerTree, options: LayerImageOptions): void {
  const image = openSync(options.imagePath, 'wx', 0o600);
  try {
    for (const piece of encodeLayerImage(tree, options)) {
      for (let done = 0; done < piece.length; ) done += writeSync(image, piece, done);
    }
  } finally {
    closeSync(image);
  }
}

/** What `writeLayerImage` writes, piece by piece. */
export function* encodeLayerImage(
  tree: LayerTree,
  { tarPath, tarSizeBytes, diffId, mode }: Omit<LayerImageOptions, 'imagePath'>,
): Generator<Buffer> {
  const tar = openSync(tarPath, 'r');
  try {
    const readTar = (offset: number, length: number): Buffer => {
      const data = Buffer.allocUnsafe(length);
      for (let done = 0; done < length; ) {
        const bytes = readSync(tar, data, done, length - done, offset + done);
        if (bytes === 0) throw new Error(`${tarPath} ends before offset ${offset + length}`);
        done += bytes;
      }
      return data;
    };
    const placement = mode === 'copy' ? copyPlacement({ readTar }) : indexPlacement({ tarSizeBytes, readTar });
    yield* encodeErofsImage(tree, { placement, uuid: Buffer.from(diffId.slice(-64, -32), 'hex') });
  } finally {
    closeSync(tar);
  }
}

/** The mode of a written image: with an extra device it is an index. A damaged image gives either. */
export function layerImageMode(imagePath: string): LayerImageMode {
  const image = openSync(imagePath, 'r');
  try {
    const superBlock = Buffer.alloc(SUPER_BLOCK_BYTES);
    readSync(image, superBlock, 0, SUPER_BLOCK_BYTES, SUPER_BLOCK_OFFSET);
    return superBlock.readUInt16LE(SUPER_DEVICES_OFFSET) > 0 ? 'index' : 'copy';
  } finally {
    closeSync(image);
  }
}
