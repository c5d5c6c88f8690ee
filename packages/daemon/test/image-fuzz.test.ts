/** Archives with random damage: each loads or is refused as a bad parameter, and a refused one leaves nothing behind. */
import { gzipSync } from 'node:zlib';
import { TsdError } from '@tsd/shared/errors';
import t from 'tap';
import { loadImage } from '../src/images/load-image.ts';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import {
  blobMember,
  configFor,
  descriptorOf,
  dockerMembers,
  imageBench,
  inPieces,
  layerOf,
  tarOf,
} from './image-archives.ts';

const ROUNDS = Number(process.env['TSD_FUZZ_ROUNDS'] ?? 150);
const SEED = Number(process.env['TSD_FUZZ_SEED'] ?? 20_240_506);

/** mulberry32: the same damage each time. */
function randomFrom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

const layers = [await layerOf('bottom'), await layerOf('top')];
const config = configFor(layers);
const manifest = Buffer.from(
  JSON.stringify({
    config: descriptorOf(config, MEDIA_TYPE.config),
    layers: layers.map((layer) => descriptorOf(gzipSync(layer), MEDIA_TYPE.layer)),
  }),
);
const index = JSON.stringify({ manifests: [descriptorOf(manifest, MEDIA_TYPE.manifest)] });
const archives = [
  await tarOf(dockerMembers(layers)),
  await tarOf([
    ...layers.map((layer) => blobMember(gzipSync(layer))),
    blobMember(config),
    blobMember(manifest),
    { name: 'index.json', content: index },
  ]),
  gzipSync(await tarOf(dockerMembers(layers))),
];

t.test(`${ROUNDS} damaged archives`, async (t) => {
  const bench = imageBench();
  t.teardown(bench.close);
  const random = randomFrom(SEED);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = damage(archives[round % archives.length] ?? Buffer.alloc(0), random);
    try {
      for (const { image } of await loadImage(bench, inPieces(bytes, 1 + random(5000)))) {
        await bench.store.layers.discard(
          bench.store.remove(image.id, { keepHidden: false }).map((layer) => layer.diffId),
        );
      }
    } catch (error) {
      refused++;
      if (!(error instanceof TsdError) || error.code !== 'bad_parameter') {
        t.fail(`round ${round} of seed ${SEED}`, { error });
        return;
      }
    }
    if (bench.files().length > 0 || bench.store.count() > 0 || bench.store.layerIds().length > 0) {
      t.fail(`round ${round} of seed ${SEED} left something behind`);
      return;
    }
  }
  t.ok(refused > ROUNDS / 4, `${refused} were refused`);
});

function damage(original: Buffer, random: (below: number) => number): Buffer {
  let bytes = Buffer.from(original);
  for (let count = 1 + random(3); count > 0; count--) {
    const at = random(bytes.length);
    switch (random(5)) {
      case 0:
        bytes[at] = random(256);
        break;
      case 1:
        bytes = bytes.subarray(0, at);
        break;
      case 2:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random(1024))]);
        break;
      case 3:
        bytes = Buffer.concat([
          bytes.subarray(0, at),
          bytes.subarray(random(bytes.length)).subarray(0, 512),
          bytes.subarray(at),
        ]);
        break;
      default:
        // Within a header, with its checksum put right: what the fields say is then believed.
        fixChecksum(bytes, at - (at % 512), random);
    }
    if (bytes.length === 0) return bytes;
  }
  return bytes;
}

function fixChecksum(bytes: Buffer, block: number, random: (below: number) => number): void {
  if (block + 512 > bytes.length || bytes.toString('latin1', block + 257, block + 262) !== 'ustar') return;
  bytes[block + random(500)] = random(2) === 0 ? 0x30 + random(10) : random(256);
  bytes.write('        ', block + 148);
  let sum = 0;
  for (let i = 0; i < 512; i++) sum += bytes[block + i] ?? 0;
  bytes.write(`${sum.toString(8).padStart(6, '0')}\0 `, block + 148);
}
