import t, { type Test } from 'tap';
import { DEFAULT_TAR_LIMITS, type TarEntry, type TarLimits } from '../src/storage/tar/tar-entry.ts';
import { TarParser } from '../src/storage/tar/tar-parser.ts';
import { archive, END, member, pax, type TarMember } from './tar-builder.ts';

function parse(tar: Buffer, limits: Partial<TarLimits> = {}, chunkBytes = tar.length): TarEntry[] {
  const entries: TarEntry[] = [];
  const parser = new TarParser((entry) => entries.push(entry), { ...DEFAULT_TAR_LIMITS, ...limits });
  for (let at = 0; at < tar.length; at += chunkBytes) {
    // A copy that is wiped afterwards: what the parser keeps must be its own.
    const chunk = Buffer.from(tar.subarray(at, at + chunkBytes));
    parser.write(chunk);
    chunk.fill(0xee);
  }
  parser.end();
  return entries;
}

function one(...parts: readonly (Buffer | TarMember)[]): TarEntry {
  const entries = parse(archive(...parts));
  if (entries.length !== 1) throw new Error(`${entries.length} entries`);
  return entries[0] as TarEntry;
}

function refused(tap: Test, tar: Buffer, message: RegExp, limits: Partial<TarLimits> = {}): void {
  for (const chunkBytes of [tar.length, 7]) {
    tap.throws(() => parse(tar, limits, chunkBytes), { name: 'TsdError', code: 'bad_parameter', message });
  }
}

t.test('a plain file', async (t) => {
  const entry = one({ name: 'etc/passwd', data: 'root', mode: 0o4755, uid: 12, gid: 34, mtime: 99 });
  t.strictSame(entry, {
    type: 'file',
    path: 'etc/passwd',
    linkPath: '',
    mode: 0o4755,
    uid: 12,
    gid: 34,
    mtimeSeconds: 99,
    mtimeNanoseconds: 0,
    deviceMajor: 0,
    deviceMinor: 0,
    sizeBytes: 4,
    payloadOffset: 512,
    sparseExtents: null,
    xattrs: [],
  });
});

t.test('types', async (t) => {
  const cases: [TarMember, Partial<TarEntry>][] = [
    [
      { name: 'd/', type: '5' },
      { type: 'directory', path: 'd/' },
    ],
    [
      { name: 'l', type: '2', linkName: '/a b' },
      { type: 'symlink', linkPath: '/a b' },
    ],
    [
      { name: 'h', type: '1', linkName: 'x' },
      { type: 'hardlink', linkPath: 'x' },
    ],
    [
      { name: 'c', type: '3', major: 1, minor: 3 },
      { type: 'char', deviceMajor: 1, deviceMinor: 3 },
    ],
    [
      { name: 'b', type: '4', major: 8, minor: 300000 },
      { type: 'block', deviceMajor: 8, deviceMinor: 300000 },
    ],
    [{ name: 'p', type: '6' }, { type: 'fifo' }],
    [{ name: 'f', type: '7' }, { type: 'file' }],
    [{ name: 'f', type: '\0', magic: 'none' }, { type: 'file' }],
    [{ name: 'd/', type: '\0', magic: 'none' }, { type: 'directory' }],
  ];
  for (const [given, expected] of cases) t.match(one(given), expected, JSON.stringify(given.type));
});

t.test('only files have content: a size elsewhere is ignored', async (t) => {
  const entries = parse(
    archive({ name: 'd', type: '5', size: 4096 }, { name: 'l', type: '1', linkName: 'd', size: 512 }, { name: 'f' }),
  );
  t.strictSame(
    entries.map(({ path, sizeBytes }) => [path, sizeBytes]),
    [
      ['d', 0],
      ['l', 0],
      ['f', 0],
    ],
  );
});

t.test('names', async (t) => {
  t.equal(one({ name: 'file', prefix: 'a/b' }).path, 'a/b/file', 'ustar prefix');
  t.equal(one({ name: 'file', prefix: 'a/b', magic: 'gnu' }).path, 'file', 'GNU has no prefix');
  t.equal(one({ name: 'x'.repeat(100) }).path, 'x'.repeat(100), 'a name field without a terminator');
  t.equal(one({ name: 'caf\xe9\xff\x01' }).path, 'caf\xe9\xff\x01', 'bytes that are not UTF-8');
  const star = member({ name: 'f', prefix: 'p', patch: (h) => h.write('tar\0', 508, 'latin1') });
  t.equal(one(star).path, 'p/f', 'star');
});

t.test('GNU long names and links', async (t) => {
  const long = `${'d/'.repeat(200)}\xfe`;
  const longLink = 'é'.repeat(80);
  const entries = parse(
    archive(
      { name: '././@LongLink', type: 'L', data: `${long}\0` },
      { name: '././@LongLink', type: 'K', data: longLink },
      { name: 'short', type: '2', linkName: 'short', magic: 'gnu' },
      { name: 'next', magic: 'gnu' },
    ),
  );
  t.equal(entries[0]?.path, long);
  t.equal(entries[0]?.linkPath, longLink);
  t.equal(entries[1]?.path, 'next', 'they hold for one member');
});

t.test('PAX records', async (t) => {
  const entries = parse(
    archive(
      pax(
        [
          ['uid', '7'],
          ['mtime', '5'],
          ['comment', 'all of them'],
        ],
        'g',
      ),
      pax([
        ['path', 'p\n\xff=x'],
        ['linkpath', 'somewhere'],
        ['uid', '3000000000'],
        ['gid', '100000'],
        ['mtime', '1700000000.123456789123'],
        ['SCHILY.xattr.user.a', 'x\0\n\xff'],
        ['SCHILY.xattr.security.capability', '\x01\0\0\x02'],
      ]),
      { name: 'ignored', type: '2', linkName: 'ignored' },
      pax([
        ['size', '3'],
        ['uid', ''],
      ]),
      { name: 'f', size: 0, patch: (h) => h.write('00000000003\0', 124, 'latin1') },
      member({ name: 'never' }).subarray(0, 0),
      Buffer.concat([Buffer.from('abc'), Buffer.alloc(509)]),
      { name: 'last' },
    ),
  );
  t.match(entries[0], {
    path: 'p\n\xff=x',
    linkPath: 'somewhere',
    uid: 3000000000,
    gid: 100000,
    mtimeSeconds: 1700000000,
    mtimeNanoseconds: 123456789,
    xattrs: [{ name: 'user.a', value: Buffer.from('x\0\n\xff', 'latin1') }],
  });
  t.match(entries[1], { path: 'f', uid: 0, sizeBytes: 3, mtimeSeconds: 5 }, 'an empty value undoes the global one');
  t.match(entries[2], { path: 'last', uid: 7, mtimeSeconds: 5 }, 'the global header goes on');
  t.equal(entries.length, 3);
});

t.test('times before 1970 and in fractions', async (t) => {
  const time = (mtime: string): [number, number] => {
    const { mtimeSeconds, mtimeNanoseconds } = one(pax([['mtime', mtime]]), { name: 'f' });
    return [mtimeSeconds, mtimeNanoseconds];
  };
  t.strictSame(time('-1.5'), [-2, 500_000_000]);
  t.strictSame(time('-3'), [-3, 0]);
  t.strictSame(time('0.000000001'), [0, 1]);
  t.strictSame(time('12.'), [12, 0]);
  t.equal(one({ name: 'f', mtime: -86400 }).mtimeSeconds, -86400, 'base-256');
  refused(t, archive(pax([['mtime', 'yesterday']]), { name: 'f' }), /mtime is not a time/);
});

t.test('numbers in base-256', async (t) => {
  const big = 2 ** 33 + 5;
  t.match(one({ name: 'f', uid: 4_000_000_000, gid: 2_097_152, mtime: big }), {
    uid: 4_000_000_000,
    gid: 2_097_152,
    mtimeSeconds: big,
  });
  const parser = new TarParser((entry) => t.equal(entry.sizeBytes, 2 ** 35), DEFAULT_TAR_LIMITS);
  parser.write(member({ name: 'huge', size: 2 ** 35 }));
  t.throws(() => parser.end(), /truncated/);
});

t.test('sparse files', async (t) => {
  const data = Buffer.concat([Buffer.alloc(512, 'a'), Buffer.alloc(100, 'b')]);
  const expected = (offset: number): unknown => ({
    type: 'file',
    path: 'sparse',
    sizeBytes: 10_000,
    sparseExtents: [
      { offset: 1024, length: 512, archiveOffset: offset },
      { offset: 4096, length: 100, archiveOffset: offset + 512 },
    ],
  });
  const gnu = (extra: readonly [string, string][]): Buffer => pax([['GNU.sparse.name', 'sparse'], ...extra]);
  t.match(
    one(
      gnu([
        ['GNU.sparse.size', '10000'],
        ['GNU.sparse.numblocks', '2'],
        ['GNU.sparse.offset', '1024'],
        ['GNU.sparse.numbytes', '512'],
        ['GNU.sparse.offset', '4096'],
        ['GNU.sparse.numbytes', '100'],
      ]),
      { name: 'GNUSparseFile.1/sparse', data },
    ),
    expected(1536),
    '0.0',
  );
  t.match(
    one(
      gnu([
        ['GNU.sparse.size', '10000'],
        ['GNU.sparse.map', '1024,512,4096,100'],
      ]),
      { name: 'x', data },
    ),
    expected(1536),
    '0.1',
  );
  const map = Buffer.alloc(512);
  map.write('3\n1024\n512\n4096\n100\n10000\n0\n');
  const version1 = gnu([
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.realsize', '10000'],
  ]);
  t.match(one(version1, { name: 'x', data: Buffer.concat([map, data]) }), expected(2048), '1.0');
  const old = member({
    name: 'sparse',
    type: 'S',
    magic: 'gnu',
    data,
    patch: (h) => {
      h.write('00000002000\0', 386, 'latin1');
      h.write('00000001000\0', 398, 'latin1');
      h.write('00000010000\0', 410, 'latin1');
      h.write('00000000144\0', 422, 'latin1');
      h.write('00000023420\0', 483, 'latin1');
    },
  });
  t.match(one(old), expected(512), 'GNU old format');
});

t.test('a long 1.0 map, in small chunks', async (t) => {
  const pieces = 400;
  const numbers = [pieces];
  for (let i = 0; i < pieces; i++) numbers.push(i * 1_000_000, 3);
  const text = Buffer.from(`${numbers.join('\n')}\n`);
  const map = Buffer.concat([text, Buffer.alloc((512 - (text.length % 512)) % 512)]);
  const data = Buffer.concat([map, Buffer.alloc(pieces * 3, 'z')]);
  const tar = archive(
    pax([
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', 's'],
      ['GNU.sparse.realsize', '400000000'],
    ]),
    { name: 'x', data },
    { name: 'after', data: 'after' },
  );
  for (const chunkBytes of [tar.length, 512, 1000, 1]) {
    const entries = parse(tar, {}, chunkBytes);
    t.equal(entries[0]?.sparseExtents?.length, pieces, `chunks of ${chunkBytes}`);
    t.equal(entries[0]?.sparseExtents?.at(-1)?.archiveOffset, 1536 + map.length + (pieces - 1) * 3);
    t.equal(entries[1]?.path, 'after');
    t.equal(tar.toString('latin1', entries[1]?.payloadOffset, (entries[1]?.payloadOffset ?? 0) + 5), 'after');
  }
});

t.test('old GNU sparse with map blocks after the header', async (t) => {
  const entry = (block: Buffer, at: number, offset: number, length: number): void => {
    block.write(`${offset.toString(8).padStart(11, '0')}\0`, at, 'latin1');
    block.write(`${length.toString(8).padStart(11, '0')}\0`, at + 12, 'latin1');
  };
  const pieces = 30;
  const extension = (from: number, more: boolean): Buffer => {
    const block = Buffer.alloc(512);
    for (let i = 0; i < 21 && from + i < pieces; i++) entry(block, i * 24, (from + i) * 4096, 512);
    block[504] = more ? 1 : 0;
    return block;
  };
  const header = member({
    name: 's',
    type: 'S',
    magic: 'gnu',
    size: pieces * 512,
    patch: (h) => {
      for (let i = 0; i < 4; i++) entry(h, 386 + i * 24, i * 4096, 512);
      h[482] = 1;
      h.write(`${(pieces * 4096).toString(8).padStart(11, '0')}\0`, 483, 'latin1');
    },
  });
  const tar = archive(header, extension(4, true), extension(25, false), Buffer.alloc(pieces * 512, 's'), {
    name: 'after',
  });
  for (const chunkBytes of [tar.length, 100]) {
    const entries = parse(tar, {}, chunkBytes);
    t.equal(entries[0]?.sizeBytes, pieces * 4096);
    t.equal(entries[0]?.sparseExtents?.length, pieces);
    t.strictSame(entries[0]?.sparseExtents?.[29], { offset: 29 * 4096, length: 512, archiveOffset: 1536 + 29 * 512 });
    t.equal(entries[1]?.path, 'after');
  }
});

t.test('sparse maps that lie', async (t) => {
  const sparse = (map: string, size: string, data = 'x'.repeat(10)): Buffer =>
    archive(
      pax([
        ['GNU.sparse.size', size],
        ['GNU.sparse.map', map],
      ]),
      { name: 's', data },
    );
  refused(t, sparse('0,5,3,5', '100'), /overlaps/);
  refused(t, sparse('95,10', '100'), /beyond/);
  refused(t, sparse('0,20', '100'), /does not match/);
  refused(t, sparse('0,10,', '100'), /not a number/);
  refused(t, sparse('0,1,2', '100'), /malformed/);
  refused(t, sparse('0,10', String(2 ** 50)), /exceeds the limit/);
  refused(t, archive(pax([['GNU.sparse.map', '0,10']]), { name: 's', data: 'x'.repeat(10) }), /how large/);
  const v1 = (data: string): Buffer =>
    archive(
      pax([
        ['GNU.sparse.major', '1'],
        ['GNU.sparse.minor', '0'],
        ['GNU.sparse.realsize', '100'],
      ]),
      { name: 's', data },
    );
  refused(t, v1(`999999\n${'1\n'.repeat(400)}`), /too long or cut off/);
  refused(t, v1('x'.repeat(512)), /malformed/);
  refused(t, v1(''), /no map/);
});

t.test('the end', async (t) => {
  const file = member({ name: 'f', data: 'abc' });
  t.equal(parse(Buffer.alloc(0)).length, 0, 'nothing at all is an empty archive');
  t.equal(parse(END).length, 0, 'only the end mark');
  t.equal(parse(file).length, 1, 'no end mark');
  t.equal(parse(file.subarray(0, 515)).length, 1, 'no padding');
  t.equal(parse(Buffer.concat([file, END.subarray(512)])).length, 1, 'half an end mark');
  t.equal(parse(Buffer.concat([file, END, Buffer.alloc(9999, 7)])).length, 1, 'anything after the end mark');
  t.equal(parse(Buffer.concat([file, END, Buffer.alloc(9999, 7)]), {}, 1).length, 1, 'byte by byte');
});

t.test('cut off', async (t) => {
  const file = member({ name: 'f', data: 'abc'.repeat(400) });
  refused(t, file.subarray(0, 100), /truncated/);
  refused(t, file.subarray(0, 511), /truncated/);
  refused(t, file.subarray(0, 512), /truncated/);
  refused(t, file.subarray(0, 1500), /truncated/);
  refused(t, pax([['path', 'x']]), /incomplete/);
  refused(t, pax([['path', 'x']]).subarray(0, 520), /truncated/);
  refused(t, member({ name: '././@LongLink', type: 'L', data: 'long' }), /incomplete/);
});

t.test('damaged', async (t) => {
  const broken = archive({ name: 'f' });
  broken[10] = 0x41;
  refused(t, broken, /checksum/);
  refused(t, Buffer.alloc(2048, 'not a tar'), /checksum|not a number/);
  refused(t, archive(Buffer.alloc(512), { name: 'f' }), /zero block/);
  refused(t, archive({ name: 'f', patch: (h) => h.write('12x4', 108, 'latin1') }), /uid field/);
  refused(t, archive({ name: 'f', patch: (h) => h.fill(0x80, 124, 125).fill(0x7f, 125, 136) }), /size field/);
  refused(t, archive({ name: 'f', size: -5 }), /negative size/);
  refused(t, archive({ name: 'f', type: 'M' }), /unknown type/);
  refused(t, archive({ name: '', data: 'x' }), /no name/);
  refused(t, archive({ name: 'l', type: '2' }), /no target/);
  refused(t, archive({ name: 'f', uid: -2 }), /owner/);
  refused(t, archive({ name: 'f', uid: 2 ** 32 }), /owner/);
  for (const data of ['5 a=b\n', '99 a=b\n', 'x a=b\n', '6 a=bX', '4 a\n', '5 =b\n', '0 a=b\n']) {
    refused(t, archive({ name: 'x', type: 'x', data }, { name: 'f' }), /PAX header|PAX record/);
  }
  refused(t, archive(pax([['path', 'a\0b']]), { name: 'f' }), /NUL/);
  refused(t, archive(pax([['size', '1e3']]), { name: 'f' }), /not a number/);
  refused(t, archive(pax([['uid', '99999999999999999999']]), { name: 'f' }), /not a number/);
});

t.test('signed checksums of old programs', async (t) => {
  const block = member({ name: 'caf\xe9' });
  let sum = 8 * 32;
  for (let i = 0; i < 512; i++) if (i < 148 || i >= 156) sum += block.readInt8(i);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  t.equal(parse(block)[0]?.path, 'caf\xe9');
});

t.test('limits', async (t) => {
  const files = archive(...Array.from({ length: 20 }, (_, i) => ({ name: `f${i}` })));
  refused(t, files, /more than 19 entries/, { maxEntries: 19 });
  t.equal(parse(files, { maxEntries: 20 }).length, 20);
  const headers = archive(...Array.from({ length: 50 }, () => pax([['comment', 'x']])), { name: 'f' });
  refused(t, headers, /more than 40 headers/, { maxEntries: 10 });
  refused(t, archive(pax([['comment', 'x'.repeat(3000)]]), { name: 'f' }), /exceeds the limit/, {
    maxHeaderBytes: 2048,
  });
  const manyGlobal = Array.from({ length: 101 }, (_, i): [string, string] => [`SCHILY.xattr.user.${i}`, 'x']);
  refused(t, archive(pax(manyGlobal, 'g'), { name: 'f' }), /global PAX records/);
  refused(t, archive({ name: 'L', type: 'L', size: 2 ** 40 }), /exceeds the limit/);
  refused(t, archive(pax([['path', 'a/'.repeat(2500)]]), { name: 'f' }), /longer than 4095/);
  refused(t, archive(pax([['linkpath', 'a'.repeat(5000)]]), { name: 'l', type: '2' }), /longer than 4095/);
  refused(t, files, /larger than 5000 bytes/, { maxArchiveBytes: 5000 });
  const xattrs = pax([
    ['SCHILY.xattr.user.a', 'x'.repeat(600)],
    ['SCHILY.xattr.user.b', 'x'.repeat(600)],
  ]);
  refused(t, archive(xattrs, { name: 'f' }), /attributes of one entry/, { maxXattrBytes: 1000 });
});

t.test('every way of cutting the stream gives the same', async (t) => {
  const tar = archive(
    pax([
      ['path', 'long/'.repeat(60)],
      ['mtime', '1.5'],
    ]),
    { name: 'x', type: '5' },
    { name: 'data', data: 'd'.repeat(1300) },
    { name: '././@LongLink', type: 'L', data: 'n'.repeat(700) },
    { name: 'n', data: 'd' },
    { name: 'end', type: '2', linkName: 'x' },
  );
  const whole = parse(tar);
  for (const chunkBytes of [1, 3, 511, 512, 513, 1024, 1500])
    t.strictSame(parse(tar, {}, chunkBytes), whole, `${chunkBytes}`);
});
