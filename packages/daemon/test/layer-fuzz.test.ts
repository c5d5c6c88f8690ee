/** Damaged archives, thousands of them: each is either refused with an error for the user or makes a sound image. */
import { TsdError } from '@tsd/shared/errors';
import t from 'tap';
import { encodeErofsImage } from '../src/storage/erofs/erofs-image.ts';
import { indexPlacement } from '../src/storage/erofs/index-placement.ts';
import { LayerTree } from '../src/storage/erofs/layer-tree.ts';
import { DEFAULT_TAR_LIMITS } from '../src/storage/tar/tar-entry.ts';
import { TarParser } from '../src/storage/tar/tar-parser.ts';
import { readErofs } from './erofs-reader.ts';
import { archive, member, pax, seal } from './tar-builder.ts';

const ROUNDS = Number(process.env['TSD_FUZZ_ROUNDS'] ?? 4000);

/** Numbers in [0, below), the same ones for the same seed (xorshift). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed | 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const map = Buffer.alloc(512);
map.write('2\n0\n100\n1024\n50\n');
const SEED = archive(
  { name: './', type: '5' },
  { name: 'a/b/file', data: 'x'.repeat(700), prefix: 'pre' },
  pax([
    ['path', 'p/long'],
    ['mtime', '1.5'],
    ['SCHILY.xattr.user.a', 'b'],
    ['uid', '5'],
    ['size', '3'],
  ]),
  { name: 'x', data: 'abc' },
  { name: 'hard', type: '1', linkName: 'p/long' },
  { name: 'sym', type: '2', linkName: 'a/b' },
  { name: 'sym/through', data: 'y' },
  { name: '././@LongLink', type: 'L', data: 'n'.repeat(300) },
  { name: 'n', data: 'z' },
  pax([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'sparse'],
    ['GNU.sparse.realsize', '5000'],
  ]),
  { name: 's', data: Buffer.concat([map, Buffer.alloc(150, 's')]) },
  pax([
    ['GNU.sparse.size', '9000'],
    ['GNU.sparse.map', '512,100,4096,60'],
  ]),
  { name: 's2', data: Buffer.alloc(160, 't') },
  { name: 'd/.wh.gone' },
  { name: 'd/.wh..wh..opq' },
  { name: 'dev', type: '3', major: 1, minor: 3 },
  member({
    name: 'old',
    type: 'S',
    magic: 'gnu',
    data: 'o'.repeat(64),
    patch: (h) => {
      h.write('00000000100\0', 386, 'latin1');
      h.write('00000000100\0', 398, 'latin1');
      h.write('00000001000\0', 483, 'latin1');
    },
  }),
);

/** A few bytes changed, pieces cut, doubled or moved; the checksums are mostly made right again. */
function mutate(random: (below: number) => number): Buffer {
  let tar = Buffer.from(SEED);
  for (let changes = 1 + random(2); changes > 0; changes--) {
    const block = random(tar.length / 512) * 512;
    switch (random(5)) {
      case 0:
        tar = Buffer.concat([tar.subarray(0, block), tar.subarray(block + 512 * random(4))]);
        break;
      case 1:
        tar = Buffer.concat([tar.subarray(0, block + 512 * random(4)), tar.subarray(block)]);
        break;
      case 2:
        tar = tar.subarray(0, random(tar.length) + 1);
        break;
      default: {
        const interesting = [0, 0x2f, 0x2e, 0x30, 0x37, 0x80, 0xff, 0x20, 0x0a, random(256)];
        for (let i = random(6); i >= 0; i--)
          tar[block + random(512)] = interesting[random(interesting.length)] as number;
      }
    }
  }
  for (let block = 0; block + 512 <= tar.length; block += 512)
    if (tar.toString('latin1', block + 257, block + 262) === 'ustar' && random(20) > 0)
      seal(tar.subarray(block, block + 512));
  return tar;
}

t.test(`${ROUNDS} damaged archives`, async (t) => {
  let accepted = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const random = randomNumbers(round * 7919 + 13);
    const tar = mutate(random);
    const pieceBytes = 1 + random(2000);
    try {
      const tree = new LayerTree({ maxNodes: 10_000, maxMetadataBytes: 1e7, maxLookups: 1e6 });
      const parser = new TarParser((entry) => tree.add(entry), { ...DEFAULT_TAR_LIMITS, maxSparseFileBytes: 1e6 });
      for (let at = 0; at < tar.length; at += pieceBytes) parser.write(tar.subarray(at, at + pieceBytes));
      parser.end();
      const readTar = (offset: number, length: number): Buffer => tar.subarray(offset, offset + length);
      const placement = indexPlacement({ tarSizeBytes: tar.length, readTar });
      readErofs(Buffer.concat([...encodeErofsImage(tree, { placement, uuid: Buffer.alloc(16) })]), [tar]);
      accepted++;
    } catch (error) {
      if (error instanceof TsdError && error.code === 'bad_parameter') continue;
      t.fail(`round ${round}: ${error instanceof Error ? error.stack : String(error)}`);
      return;
    }
  }
  t.ok(accepted > ROUNDS / 50 && accepted < ROUNDS, `${accepted} were still good`);
});
