import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { createGzipThreads, parallelGzip } from '../src/storage/parallel-gzip.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-gzip-'));
t.teardown(() => rmSync(directory, { recursive: true }));

async function gzip(bytes: Buffer, threads: number, sizeBytes = bytes.length): Promise<Buffer> {
  const path = join(directory, 'file');
  writeFileSync(path, bytes);
  const file = await open(path, 'r');
  try {
    const pieces: Buffer[] = [];
    for await (const piece of parallelGzip(file, sizeBytes, createGzipThreads(threads)))
      pieces.push(Buffer.from(piece));
    return Buffer.concat(pieces);
  } finally {
    await file.close();
  }
}

/** Bytes that compress, with repetitions across the chunks' borders. */
function text(sizeBytes: number): Buffer {
  const words = Array.from({ length: 500 }, () => randomBytes(6).toString('hex'));
  const parts: string[] = [];
  for (let bytes = 0; bytes < sizeBytes; bytes += 13) parts.push(words[Math.floor(Math.random() * 500)] ?? '', ' ');
  return Buffer.from(parts.join('')).subarray(0, sizeBytes);
}

t.test('gunzip gives back what went in, whatever its size', async (t) => {
  const mebibyte = 1024 * 1024;
  for (const sizeBytes of [0, 1, 511, mebibyte - 1, mebibyte, mebibyte + 1, 2 * mebibyte, 5 * mebibyte + 77]) {
    for (const bytes of [text(sizeBytes), randomBytes(sizeBytes)]) {
      t.ok(gunzipSync(await gzip(bytes, 3)).equals(bytes), `${sizeBytes} bytes`);
    }
  }
});

t.test('the number of threads changes nothing', async (t) => {
  const bytes = text(7_000_000);
  const digests = new Set<string>();
  for (const threads of [1, 2, 3, 8])
    digests.add(
      createHash('sha256')
        .update(await gzip(bytes, threads))
        .digest('hex'),
    );
  t.equal(digests.size, 1);
});

t.test('several files share the threads', async (t) => {
  const threads = createGzipThreads(2);
  let running = 0;
  let most = 0;
  await Promise.all(
    Array.from({ length: 9 }, () =>
      threads.run(async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
      }),
    ),
  );
  t.equal(most, 2);
  await t.rejects(
    threads.run(() => Promise.reject(new Error('x'))),
    { message: 'x' },
  );
  t.equal(await threads.run(async () => 7), 7, 'a failure gives its thread back');
});

t.test('a file that is shorter than it should be', async (t) => {
  await t.rejects(gzip(text(3_000_000), 2, 4_000_000), { code: 'internal', message: /ends after 3000000 of 4000000/ });
});

t.test('a consumer that stops early leaves nothing under way', async (t) => {
  const path = join(directory, 'long');
  writeFileSync(path, text(20_000_000));
  const file = await open(path, 'r');
  for await (const _piece of parallelGzip(file, 20_000_000, createGzipThreads(3))) break;
  const pieces = parallelGzip(file, 20_000_000, createGzipThreads(3));
  await pieces.next();
  await pieces.next();
  await pieces.return();
  await file.close();
  t.pass('the file closes without a read on it');
});
