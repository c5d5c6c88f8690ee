import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFrameDecoder } from '@tsd/shared/stream-framing';
import t from 'tap';
import { type ReadLogOptions, readLog } from '../src/containers/read-log.ts';
import { nowNs, timestampOfNs } from '../src/containers/timestamp.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-log-'));
t.teardown(() => rmSync(directory, { recursive: true }));
let logs = 0;
const NEVER: Promise<void> = Promise.withResolvers<void>().promise;

function newLog(): string {
  logs += 1;
  mkdirSync(join(directory, String(logs)));
  return join(directory, String(logs), 'container.log');
}

const BASE_SECONDS = 1_795_000_000;

function record(second: number, stream: 'stdout' | 'stderr', tag: 'F' | 'P', text: string): string {
  return `${timestampOfNs(BigInt(BASE_SECONDS + second) * 1_000_000_000n)} ${stream} ${tag} ${text}\n`;
}

const PLAIN: ReadLogOptions = {
  stdout: true,
  stderr: true,
  since: null,
  until: null,
  timestamps: false,
  multiplexed: false,
  tail: null,
  followUntil: null,
};

async function textOf(file: string, options: Partial<ReadLogOptions> = {}): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of readLog(file, { ...PLAIN, ...options })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

t.test('the text of the records, unfinished lines joined', async (t) => {
  const file = newLog();
  writeFileSync(
    file,
    record(0, 'stdout', 'P', 'long ') + record(0, 'stdout', 'F', 'line') + record(1, 'stdout', 'P', 'end'),
  );
  t.equal(await textOf(file), 'long line\nend');
});

t.test('no log at all is empty', async (t) => {
  t.equal(await textOf(newLog()), '');
  t.equal(await textOf(join(directory, 'missing', 'container.log')), '');
});

t.test('one stream, times, since and until', async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'F', 'a') + record(1, 'stderr', 'F', 'b') + record(2, 'stdout', 'F', 'c'));
  t.equal(await textOf(file, { stderr: false }), 'a\nc\n');
  t.equal(
    await textOf(file, { stdout: false, timestamps: true }),
    `${timestampOfNs(BigInt(BASE_SECONDS + 1) * 1_000_000_000n)} b\n`,
  );
  const at = (second: number) => timestampOfNs(BigInt(BASE_SECONDS + second) * 1_000_000_000n);
  t.equal(await textOf(file, { since: at(1) }), 'b\nc\n');
  t.equal(await textOf(file, { until: at(1) }), 'a\nb\n');
});

t.test('times stand only before the beginning of a line', async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'P', 'x') + record(1, 'stdout', 'F', 'y'));
  t.equal(await textOf(file, { timestamps: true }), `${timestampOfNs(BigInt(BASE_SECONDS) * 1_000_000_000n)} xy\n`);
});

t.test("Docker's frames", async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'F', 'out') + record(1, 'stderr', 'F', 'err') + record(1, 'stdout', 'F', ''));
  const frames: [number, string][] = [];
  const decoder = createFrameDecoder();
  for await (const chunk of readLog(file, { ...PLAIN, multiplexed: true })) {
    decoder.push(chunk, (stream, payload) => frames.push([stream, Buffer.from(payload).toString()]));
  }
  decoder.end();
  t.same(frames, [
    [1, 'out\n'],
    [2, 'err\n'],
    [1, '\n'],
  ]);
});

t.test('tail, over files and blocks', async (t) => {
  const file = newLog();
  const lines = Array.from({ length: 30_000 }, (_, index) => `line ${index} ${'x'.repeat(index % 50)}`);
  const records = lines.map((line, index) => record(index, 'stdout', 'F', line));
  writeFileSync(`${file}.2`, records.slice(0, 10_000).join(''));
  writeFileSync(`${file}.1`, records.slice(10_000, 29_990).join(''));
  writeFileSync(file, records.slice(29_990).join(''));
  for (const count of [0, 1, 9, 10, 11, 19_999, 20_000, 20_001, 25_000, 30_000, 99_999]) {
    const wanted = count === 0 ? [] : lines.slice(-count);
    const text = await textOf(file, { tail: count });
    t.ok(text === wanted.map((line) => `${line}\n`).join(''), `the last ${count}`);
  }
});

t.test('tail counts lines, not records, and a half record not at all', async (t) => {
  const file = newLog();
  writeFileSync(
    file,
    record(0, 'stdout', 'F', 'one') +
      record(1, 'stdout', 'P', 'two ') +
      record(1, 'stdout', 'P', 'two ') +
      record(1, 'stdout', 'F', 'two') +
      record(2, 'stdout', 'P', 'three') +
      record(3, 'stdout', 'F', 'half').slice(0, 20),
  );
  t.equal(await textOf(file, { tail: 1 }), 'three');
  t.equal(await textOf(file, { tail: 2 }), 'two two two\nthree');
});

t.test('bytes that are no record are passed over', async (t) => {
  const file = newLog();
  writeFileSync(file, `rubbish\n${record(0, 'stdout', 'F', 'good')}\n\n${'z'.repeat(60)}\n`);
  t.equal(await textOf(file), 'good\n');
  t.equal(await textOf(file, { tail: 5 }), 'good\n');
});

const MAX_ROTATIONS = 30;

t.test('following: through rotations, to the end of the container', async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'F', 'line 0'));
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const reading = textOf(file, { followUntil: ended });
  const rotate = () => {
    // All of them are kept: a reader that a busy machine holds up loses what is deleted under it, and may.
    for (let number = MAX_ROTATIONS; number > 0; number--) {
      const from = number === 1 ? file : `${file}.${number - 1}`;
      if (existsSync(from)) renameSync(from, `${file}.${number}`);
    }
  };
  const wanted = ['line 0'];
  for (let number = 1; number <= 200; number++) {
    if (number % 7 === 0) rotate();
    wanted.push(`line ${number}`);
    appendFileSync(file, record(number, 'stdout', 'F', `line ${number}`));
    if (number % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  end();
  t.same((await reading).trimEnd().split('\n'), wanted);
});

t.test('following a log that does not exist yet, and one that keeps a single file', async (t) => {
  const file = newLog();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const received: string[] = [];
  const { promise: first, resolve: sawFirst } = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const chunk of readLog(file, { ...PLAIN, followUntil: ended })) {
      received.push(chunk.toString());
      sawFirst();
    }
  })();
  await new Promise((resolve) => setTimeout(resolve, 20));
  writeFileSync(file, record(0, 'stdout', 'F', 'the first, which is long'));
  await first;
  truncateSync(file);
  appendFileSync(file, record(1, 'stdout', 'F', 'second'));
  end();
  await reading;
  t.equal(received.join(''), 'the first, which is long\nsecond\n');
});

t.test('until in the future ends the following', async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'F', 'a'));
  const text = await textOf(file, { followUntil: NEVER, until: timestampOfNs(nowNs() + 50_000_000n) });
  t.equal(text, 'a\n');
});

t.test('a reader that stops early leaves no watcher behind', async (t) => {
  const file = newLog();
  writeFileSync(file, record(0, 'stdout', 'F', 'a'));
  for await (const chunk of readLog(file, { ...PLAIN, followUntil: NEVER })) {
    t.equal(chunk.toString(), 'a\n');
    break;
  }
  t.pass('ended');
});
