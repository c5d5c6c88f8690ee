/** What the encoder writes is what the parser, and GNU tar, read. */
import { execFileSync } from 'node:child_process';
import t from 'tap';
import { encodeMember, extentBytes, paddingBytes, type TarMember } from '../src/storage/tar/encode-member.ts';
import { DEFAULT_TAR_LIMITS, type TarEntry } from '../src/storage/tar/tar-entry.ts';
import { TarParser } from '../src/storage/tar/tar-parser.ts';

const FILE: TarMember = {
  type: 'file',
  path: 'a/file',
  linkPath: '',
  mode: 0o4755,
  uid: 1000,
  gid: 1001,
  mtimeSeconds: 1_700_000_000,
  mtimeNanoseconds: 0,
  deviceMajor: 0,
  deviceMinor: 0,
  sizeBytes: 0,
  xattrs: [],
  extents: null,
};

function archive(members: readonly TarMember[]): Buffer {
  const parts = members.flatMap((member) => {
    const bytes = member.extents === null ? member.sizeBytes : extentBytes(member.extents);
    return [encodeMember(member), Buffer.alloc(bytes, 'x'), Buffer.alloc(paddingBytes(bytes))];
  });
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

function parse(bytes: Buffer): TarEntry[] {
  const entries: TarEntry[] = [];
  const parser = new TarParser((entry) => entries.push(entry), DEFAULT_TAR_LIMITS);
  parser.write(bytes);
  parser.end();
  return entries;
}

t.test('a plain file is one ustar block', async (t) => {
  const bytes = archive([{ ...FILE, sizeBytes: 700 }]);
  t.equal(bytes.length, 512 + 1024 + 1024);
  t.match(parse(bytes)[0], { type: 'file', path: 'a/file', mode: 0o4755, uid: 1000, gid: 1001, sizeBytes: 700 });
});

t.test('every field survives', async (t) => {
  const members: TarMember[] = [
    { ...FILE, path: 'x'.repeat(100) },
    { ...FILE, path: `${'d/'.repeat(60)}${'y'.repeat(255)}` },
    { ...FILE, path: 'latin1 \xff\x80 \xe9\n', mtimeNanoseconds: 1 },
    { ...FILE, mtimeSeconds: -2, mtimeNanoseconds: 500_000_000 },
    { ...FILE, mtimeSeconds: -1, mtimeNanoseconds: 0 },
    { ...FILE, mtimeSeconds: -1, mtimeNanoseconds: 999_999_999 },
    { ...FILE, mtimeSeconds: 8 ** 11 + 5, mtimeNanoseconds: 7 },
    { ...FILE, uid: 4_294_967_294, gid: 2_097_152 },
    { ...FILE, type: 'directory', path: 'dir', mode: 0o1777 },
    { ...FILE, type: 'symlink', linkPath: `${'../'.repeat(50)}\xfe` },
    { ...FILE, type: 'hardlink', linkPath: 'z'.repeat(101) },
    { ...FILE, type: 'char', deviceMajor: 4095, deviceMinor: 1_048_575 },
    { ...FILE, type: 'block', deviceMajor: 8, deviceMinor: 1 },
    { ...FILE, type: 'fifo' },
    {
      ...FILE,
      xattrs: [
        { name: 'user.bytes', value: Buffer.from([0, 10, 61, 255]) },
        { name: 'user.empty', value: Buffer.alloc(0) },
        // The length of a record counts its own digits: around each power of ten.
        ...Array.from({ length: 120 }, (_, i) => ({ name: `user.${i}`, value: Buffer.alloc(40 + i, 'v') })),
      ],
    },
  ];
  const entries = parse(archive(members));
  t.equal(entries.length, members.length);
  for (const [index, { extents: _, ...member }] of members.entries()) {
    const path = member.type === 'directory' ? `${member.path}/` : member.path;
    t.match(entries[index], { ...member, path }, path);
  }
});

t.test('a size beyond eleven octal digits', async (t) => {
  const parser = new TarParser((entry) => t.equal(entry.sizeBytes, 10 * 1024 ** 3), DEFAULT_TAR_LIMITS);
  parser.write(encodeMember({ ...FILE, sizeBytes: 10 * 1024 ** 3 }));
});

t.test('sparse files, read by the parser and by GNU tar', async (t) => {
  const sparse: TarMember[] = [
    { ...FILE, path: 'middle', sizeBytes: 10_000_000, extents: [{ offset: 5_000_000, length: 700 }] },
    {
      ...FILE,
      path: 'ends',
      sizeBytes: 9000,
      extents: [
        { offset: 0, length: 512 },
        { offset: 8192, length: 808 },
      ],
    },
    { ...FILE, path: `deep/${'n'.repeat(200)}`, sizeBytes: 3_000_000_000_000, extents: [] },
    { ...FILE, path: 'after', sizeBytes: 3 },
  ];
  const bytes = archive(sparse);
  const entries = parse(bytes);
  for (const [index, { path, sizeBytes, extents }] of sparse.entries()) {
    t.match(entries[index], { path, sizeBytes });
    const found = entries[index]?.sparseExtents?.map(({ offset, length }) => ({ offset, length })) ?? null;
    t.strictSame(found, extents);
  }
  const listed = execFileSync('tar', ['--list', '--verbose'], { input: bytes, encoding: 'utf8' }).trim().split('\n');
  for (const [index, { path, sizeBytes }] of sparse.entries())
    t.match(listed[index], new RegExp(` ${sizeBytes} .* ${path}$`));
  const content = execFileSync('tar', ['--extract', '--to-stdout', 'ends'], { input: bytes });
  t.equal(content.length, 9000);
  t.equal(content[0], 120);
  t.equal(content[512], 0);
  t.equal(content[8999], 120);
});
