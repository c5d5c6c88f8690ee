import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
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

function record(second: number, stream: 'stdout' | 'stderr', tag: string, text: string): string {
  return `${timestampOfNs(BigInt(BASE_SECONDS + second) * 1_000_000_000n)} ${stream} ${tag} ${text}\n`;
}

const PLAIN: ReadLogOptions = {
  stdout: true,
  stderr: true,
  since: null,
  until: null,
  timestamps: false,
  details: '',
  multiplexed: false,
  tail: null,
  followUntil: null,
  onGap: (files) => t.fail(`${files} files were lost`),
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

t.test('a run that ended without a newline ends its line', async (t) => {
  const file = newLog();
  const at = (second: number) => timestampOfNs(BigInt(BASE_SECONDS + second) * 1_000_000_000n);
  writeFileSync(
    file,
    record(0, 'stdout', 'P', 'long ') +
      record(0, 'stdout', 'P:end', 'abc') +
      record(1, 'stdout', 'P:end', 'abc') +
      record(2, 'stdout', 'F', 'def'),
  );
  t.equal(await textOf(file), 'long abcabcdef\n', "as Docker's");
  t.equal(await textOf(file, { timestamps: true }), `${at(0)} long abc${at(1)} abc${at(2)} def\n`);
  t.equal(await textOf(file, { tail: 1 }), 'def\n');
  t.equal(await textOf(file, { tail: 2 }), 'abcdef\n');
  t.equal(await textOf(file, { tail: 3 }), 'long abcabcdef\n');
});

t.test('details stand behind the time, at the beginning of a line', async (t) => {
  const file = newLog();
  const at = timestampOfNs(BigInt(BASE_SECONDS) * 1_000_000_000n);
  writeFileSync(file, record(0, 'stdout', 'P', 'x') + record(0, 'stdout', 'F', 'y') + record(0, 'stdout', 'F', 'z'));
  t.equal(await textOf(file, { details: 'a=b ' }), 'a=b xy\na=b z\n');
  t.equal(await textOf(file, { details: 'a=b ', timestamps: true }), `${at} a=b xy\n${at} a=b z\n`);
  const long = `${'x'.repeat(300_000)} `;
  const text = await textOf(file, { details: long });
  t.ok(text === `${long}xy\n${long}z\n`, 'however long they are');
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

/** Writes a log as the supervisor does: rotated after some records, each file but the first with its number. */
function createWriter(file: string, maxFiles: number, recordsPerFile: number) {
  let sequence = 0;
  let records = 0;
  let lines = 0;
  return {
    write(text = `line ${lines}`): void {
      if (records === recordsPerFile) {
        for (let number = maxFiles - 1; number > 0; number--) {
          const from = number === 1 ? file : `${file}.${number - 1}`;
          if (existsSync(from)) renameSync(from, `${file}.${number}`);
        }
        if (maxFiles === 1) rmSync(file);
        records = 0;
        sequence += 1;
        writeFileSync(file, record(lines, 'stdout', `P:file-${sequence}`, ''));
      }
      records += 1;
      appendFileSync(file, record(lines, 'stdout', 'F', text));
      lines += 1;
    },
  };
}

/** Starts a reader that takes nothing by itself, and is given one tick of the event loop whenever it is asked. */
function startReader(file: string, options: Partial<ReadLogOptions> = {}) {
  const content = readLog(file, { ...PLAIN, ...options });
  const lines: string[] = [];
  return {
    lines,
    async take(): Promise<boolean> {
      const { value, done } = await content.next();
      lines.push(...(value?.toString().trimEnd().split('\n') ?? []));
      return done !== true;
    },
  };
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

for (const maxFiles of [1, 3]) {
  t.test(`a follower that stands still loses nothing, with ${maxFiles} files`, async (t) => {
    const file = newLog();
    const writer = createWriter(file, maxFiles, 10);
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const reader = startReader(file, { followUntil: ended });
    writer.write();
    await reader.take();
    // The reader's client takes nothing, and only the event loop turns.
    for (let number = 1; number < 400; number++) {
      writer.write();
      if (number % 10 === 0) await until(() => isSeen(file));
    }
    end();
    while (await reader.take());
    t.same(
      reader.lines,
      Array.from({ length: 400 }, (_, number) => `line ${number}`),
    );
  });
}

/** Whether somebody here has the newest file open. */
function isSeen(file: string): boolean {
  const { dev, ino } = statSync(file);
  return readdirSync('/proc/self/fd').some((fd) => {
    try {
      const open = statSync(`/proc/self/fd/${fd}`);
      return open.dev === dev && open.ino === ino;
    } catch {
      return false;
    }
  });
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; !condition(); await tick()) {
    if (Date.now() > deadline) throw new Error('the reader has not opened the newest file');
  }
}

t.test('a follower that stands still for long is told what it lost, and keeps no more than a bound', async (t) => {
  const file = newLog();
  const writer = createWriter(file, 1, 1);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const gaps: number[] = [];
  const reader = startReader(file, { followUntil: ended, onGap: (files) => gaps.push(files) });
  writer.write();
  await reader.take();
  for (let number = 1; number < 100; number++) {
    writer.write();
    await until(() => isSeen(file));
  }
  const open = readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).startsWith(`${file} (deleted)`)).length;
  t.equal(open, 65, 'the one that it reads, and 64 more');
  end();
  while (await reader.take());
  t.same(gaps, [34]);
  t.equal(reader.lines.length, 66);
  t.equal(reader.lines.at(-1), 'line 99');
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

t.test('a gap that nobody could see is told', async (t) => {
  const file = newLog();
  const writer = createWriter(file, 1, 1);
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const gaps: number[] = [];
  const reader = startReader(file, { followUntil: ended, onGap: (files) => gaps.push(files) });
  writer.write();
  await reader.take();
  // In one go: the event loop does not turn.
  for (let number = 1; number < 6; number++) writer.write();
  end();
  while (await reader.take());
  t.same(reader.lines, ['line 0', 'line 5']);
  t.same(gaps, [4]);
});

t.test('following a log that does not exist yet, and one that somebody empties', async (t) => {
  const file = newLog();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const reader = startReader(file, { followUntil: ended });
  const first = reader.take();
  await tick();
  writeFileSync(
    file,
    record(0, 'stdout', 'F', 'the first, which is long') + record(1, 'stdout', 'F', 'half').slice(0, 44),
  );
  await first;
  truncateSync(file);
  appendFileSync(file, record(1, 'stdout', 'F', 'second'));
  await reader.take();
  // Grown again past what was read, which nobody can see: the rest of a record is no text.
  truncateSync(file);
  appendFileSync(file, record(2, 'stdout', 'F', 'third, which is longer') + record(3, 'stdout', 'F', 'fourth'));
  end();
  while (await reader.take());
  t.same(reader.lines, ['the first, which is long', 'second', 'fourth']);
});

t.test('a half record that is taken back is not glued to what comes', async (t) => {
  const file = newLog();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const reader = startReader(file, { followUntil: ended });
  const whole = record(0, 'stdout', 'F', 'whole');
  writeFileSync(file, whole + record(1, 'stdout', 'F', 'half').slice(0, 44));
  await reader.take();
  truncateSync(file, whole.length);
  appendFileSync(file, record(2, 'stdout', 'F', 'next'));
  end();
  while (await reader.take());
  t.same(reader.lines, ['whole', 'next']);
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
