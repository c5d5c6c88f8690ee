/** Layers mounted, in both modes of their images, against what tar(1) extracts: content, modes, owners, times, attributes, links. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { archive, pax, type TarMember } from '../packages/daemon/test/tar-builder.ts';
import { type Bench, bench, compareWithTar, FSCK_GAP, KERNELS } from './layers/bench.ts';
import { makeRandomTree } from './layers/random-tree.ts';
import { debianRootMissing, debianRootTar } from './support/images.ts';

t.setTimeout(400_000);

const TARS = 300;

const notRoot = process.getuid?.() !== 0 && 'mounting needs root';

/** A bench for each way to store and mount layers. */
function benches(tap: Test): Bench[] {
  if (FSCK_GAP !== false) tap.comment(FSCK_GAP);
  return KERNELS.map(({ support }) => bench(tap, support));
}

t.test('a Debian root file system', { skip: notRoot || debianRootMissing() }, async (t) => {
  await compareWithTar(t, benches(t), debianRootTar(), 'debian');
});

/** What tar -c is told, one after the other. */
const FORMATS: readonly (readonly string[])[] = [
  ['--format=posix', '--xattrs', '--xattrs-include=*'],
  ['--format=posix', '--xattrs', '--xattrs-include=*', '--sparse'],
  ['--format=posix', '--sparse', '--sparse-version=0.1'],
  ['--format=posix', '--sparse', '--sparse-version=0.0'],
  ['--format=gnu'],
  ['--format=gnu', '--sparse', '--hole-detection=raw'],
  ['--format=oldgnu', '--sparse'],
];

t.test(`${TARS} random trees in every format of tar`, { skip: notRoot }, async (t) => {
  const all = benches(t);
  const { directory } = all[0] as Bench;
  for (let i = 0; i < TARS; i++) {
    const tree = join(directory, `tree-${i}`);
    mkdirSync(tree);
    // Mostly small, for there is most to go wrong in their number; some that fill many blocks.
    makeRandomTree(tree, 1000 + i, i % 60 === 0 ? 250 : 25);
    const tar = join(directory, `${i}.tar`);
    const format = FORMATS[i % FORMATS.length] as readonly string[];
    execFileSync('tar', ['-c', '-f', tar, '-C', tree, '--numeric-owner', ...format, '.'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    rmSync(tree, { recursive: true });
    await compareWithTar(t, all, tar, `seed ${1000 + i}, ${format.join(' ')}`);
    rmSync(tar);
    if (!t.passing()) break;
  }
});

t.test('a deep tree', { skip: notRoot }, async (t) => {
  const all = benches(t);
  const { directory } = all[0] as Bench;
  const parts: (Buffer | TarMember)[] = [{ name: './', type: '5', mode: 0o755 }];
  let path = '';
  // As deep as a path may be long.
  for (let depth = 0; path.length < 3990; depth++) {
    path += `directory-${depth}/`;
    const mtime = 1_000_000_000 + depth;
    parts.push(pax([['path', path]]), { name: 'd', type: '5', mode: 0o700 + (depth % 64), uid: depth, mtime });
    parts.push(pax([['path', `${path}file`]]), { name: 'f', data: `${depth};`.repeat(depth * 20), mtime });
  }
  const tar = join(directory, 'deep.tar');
  writeFileSync(tar, archive(...parts));
  await compareWithTar(t, all, tar, 'deep');
});
