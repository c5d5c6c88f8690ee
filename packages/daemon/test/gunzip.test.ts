import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { gunzip } from '../src/storage/gunzip.ts';

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  // One buffer for all pieces: none may be looked at once the next is asked for.
  const piece = Buffer.alloc(pieceBytes);
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    yield piece.subarray(0, bytes.copy(piece, 0, at, at + pieceBytes));
    piece.fill(0xee);
  }
}

async function unpack(bytes: Buffer, pieceBytes = 1 << 20): Promise<Buffer> {
  const found: Buffer[] = [];
  for await (const piece of gunzip(inPieces(bytes, pieceBytes))) found.push(Buffer.from(piece));
  return Buffer.concat(found);
}

const text = Buffer.from(randomBytes(200_000).toString('base64').repeat(3));

t.test('one member, several, empty ones, in pieces of every size', async (t) => {
  const members = Buffer.concat([gzipSync(text), gzipSync(''), gzipSync('end')]);
  for (const pieceBytes of [1000, 4096, 256 * 1024, 256 * 1024 + 1, members.length]) {
    t.ok((await unpack(members, pieceBytes)).equals(Buffer.concat([text, Buffer.from('end')])), `${pieceBytes}`);
  }
  t.equal((await unpack(gzipSync(text.subarray(0, 300)), 1)).length, 300, 'byte by byte');
  t.equal((await unpack(gzipSync(''))).length, 0);
  for (const sizeBytes of [256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 512 * 1024]) {
    t.equal((await unpack(gzipSync(Buffer.alloc(sizeBytes)))).length, sizeBytes);
  }
});

t.test('many at the same time', async (t) => {
  const all = await Promise.all(Array.from({ length: 20 }, (_, n) => unpack(gzipSync(text.subarray(n)), 5000 + n)));
  for (const [n, unpacked] of all.entries()) t.ok(unpacked.equals(text.subarray(n)));
});

t.test('damaged, cut off, followed by something', async (t) => {
  const packed = gzipSync(text);
  const flipped = Buffer.from(packed);
  flipped.writeUInt8((flipped[1000] as number) ^ 0xff, 1000);
  const wrongSum = Buffer.from(packed);
  wrongSum.writeUInt32LE(0, packed.length - 8);
  for (const [bytes, message] of [
    [Buffer.alloc(0), /cut off/],
    [Buffer.from('no gzip at all'), /Z_DATA_ERROR/],
    [flipped, /Z_DATA_ERROR/],
    [wrongSum, /Z_DATA_ERROR/],
    [packed.subarray(0, 5), /Z_BUF_ERROR/],
    [packed.subarray(0, packed.length - 1), /Z_BUF_ERROR/],
    [Buffer.concat([packed, Buffer.alloc(10)]), /followed by something else/],
    [Buffer.concat([packed, Buffer.from('junk')]), /Z_DATA_ERROR/],
  ] as const) {
    await t.rejects(unpack(bytes), { code: 'bad_parameter', message });
    await t.rejects(unpack(bytes, 777), { code: 'bad_parameter', message });
  }
});

t.test('a consumer that stops early, and a source that fails', async (t) => {
  for (let count = 1; count < 4; count++) {
    let left = count;
    for await (const piece of gunzip(inPieces(gzipSync(text), 1000))) {
      t.ok(piece.length > 0);
      if (--left === 0) break;
    }
  }
  const fails = async function* (): AsyncGenerator<Buffer> {
    yield gzipSync(text).subarray(0, 1000);
    throw new Error('reset by peer');
  };
  await t.rejects(
    (async () => {
      for await (const _ of gunzip(fails()));
    })(),
    { message: 'reset by peer' },
  );
});
