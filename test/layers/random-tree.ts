/** Trees of every kind of file, from a seed: what tests archive, ingest and compare. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  ftruncateSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  openSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { checked, libc } from '../../packages/daemon/src/os/libc.ts';

/** Numbers in [0, below), the same ones for the same seed (mulberry32). */
export function randomNumbers(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

const SIZES = [0, 1, 100, 511, 512, 513, 1000, 4095, 4096, 4097, 20_000, 300_000];

/** Fills an existing empty directory. Names are bytes, UTF-8 or not; some files have extended attributes. */
export function makeRandomTree(root: string, seed: number, entries: number): void {
  const random = randomNumbers(seed);
  const directories: Buffer[] = [Buffer.from(root)];
  const files: Buffer[] = [];
  const owned: { path: Buffer; symlink: boolean }[] = [];
  const name = (): Buffer => {
    const length = random(10) === 0 ? 1 + random(200) : 1 + random(12);
    const bytes = Buffer.alloc(length);
    for (let i = 0; i < length; i++) {
      const byte = random(4) === 0 ? 1 + random(255) : 97 + random(26);
      bytes[i] = byte === 0x2f ? 0x5f : byte;
    }
    return bytes;
  };
  for (let i = 0; i < entries; i++) {
    const parent = directories[random(directories.length)] as Buffer;
    const path = Buffer.concat([parent, Buffer.from(`/${i}-`), name()]);
    // Beyond what a path may be, the host's own calls fail.
    if (path.length > 3000) continue;
    const kind = random(20);
    if (kind < 4) {
      mkdirSync(path);
      directories.push(path);
    } else if (kind < 12) {
      const size = SIZES[random(SIZES.length)] as number;
      writeFileSync(path, Buffer.alloc(size, `${i} ${random(1000)};`));
      files.push(path);
    } else if (kind < 14) {
      symlinkSync(
        Buffer.concat([Buffer.from('../'.repeat(random(3))), ...Array.from({ length: 1 + random(5) }, name)]),
        path,
      );
    } else if (kind < 16 && files.length > 0) {
      linkSync(files[random(files.length)] as Buffer, path);
      continue;
    } else if (kind < 18) {
      writeSparse(path, random);
      files.push(path);
    } else {
      const types = [constants.S_IFIFO, constants.S_IFCHR, constants.S_IFBLK];
      const type = types[kind === 18 ? 0 : 1 + random(2)] as number;
      makeNode(path, type, kind === 18 ? [0, 0] : [1 + random(500), random(100_000)]);
    }
    owned.push({ path, symlink: kind >= 12 && kind < 14 });
  }
  // Attributes last: making children changes their directories' times.
  for (const { path, symlink } of owned.reverse()) {
    const time = random(2_000_000_000) + random(1000) / 1000;
    const uid = random(3) === 0 ? random(100_000) : 0;
    if (symlink) {
      lchownSync(path, uid, random(70_000));
      lutimesSync(path, time, time);
    } else {
      chownSync(path, uid, random(70_000));
      chmodSync(path, random(0o10000));
      if (random(5) === 0) setRandomXattrs(path, random);
      utimesSync(path, time, time);
    }
  }
}

/** `trusted.*` goes on everything, `user.*` on files and directories only; a change of the owner would take the capability. */
function setRandomXattrs(path: Buffer, random: (below: number) => number): void {
  const status = lstatSync(path);
  const names = [`trusted.t${random(100)}`];
  if (status.isFile() || status.isDirectory()) names.push('user.empty', `user.${'n'.repeat(1 + random(200))}`);
  for (const name of names) {
    const value = Buffer.from(Array.from({ length: name === 'user.empty' ? 0 : random(600) }, () => random(256)));
    setXattr(path, name, value);
  }
  // cap_net_raw, effective and permitted, version 2.
  if (status.isFile() && random(2) === 0)
    setXattr(path, 'security.capability', Buffer.from('0100000200200000000000000000000000000000', 'hex'));
}

/** mknod(2). */
const mknod = libc.func('int mknod(const uint8_t *path, uint32_t mode, uint64_t device)') as (
  path: Buffer,
  mode: number,
  device: bigint,
) => number;

function makeNode(path: Buffer, type: number, [major, minor]: readonly [number, number]): void {
  // As glibc's makedev(3).
  const device = (BigInt(minor & ~0xff) << 12n) | (BigInt(major) << 8n) | BigInt(minor & 0xff);
  checked('mknod', mknod(terminated(path), type | 0o600, device));
}

/** As C takes it. */
function terminated(path: Buffer): Buffer {
  return Buffer.concat([path, Buffer.alloc(1)]);
}

const lsetxattr = libc.func(
  'int lsetxattr(const uint8_t *path, const char *name, const uint8_t *value, size_t size, int flags)',
) as (path: Buffer, name: string, value: Buffer, size: number, flags: number) => number;

function setXattr(path: Buffer, name: string, value: Buffer): void {
  checked('lsetxattr', lsetxattr(terminated(path), name, value, value.length, 0), name);
}

function writeSparse(path: Buffer, random: (below: number) => number): void {
  const fd = openSync(path, 'w');
  const size = 50_000 + random(3_000_000);
  for (let i = random(6); i > 0; i--) writeSync(fd, Buffer.alloc(1 + random(9000), 'data'), 0, undefined, random(size));
  ftruncateSync(fd, Math.max(size, 1));
  closeSync(fd);
}
