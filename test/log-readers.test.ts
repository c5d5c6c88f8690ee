/** What readers get of a log that is written and rotated while they read: those who follow, and those who attach behind it. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createFrameDecoder } from '@tsd/shared/stream-framing';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';

const LINES = 400_000;
const READERS = 3;
/** Of a log that keeps one file of a megabyte, dockerd's reader gets this much. What is missed is told (docs/lifecycle.md, Logs). */
const DOCKERD_SHARE = 0.36;

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

/** A container that says `ready`, and runs the script when its input has a line. */
async function gated(script: string, logConfig: Record<string, string> = {}) {
  const created = await daemon.api.request('POST', '/containers/create', {
    Image: 'busybox',
    OpenStdin: true,
    Cmd: ['sh', '-c', `echo ready; read go; ${script}`],
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'json-file', Config: logConfig } },
  });
  if (created.status !== 201) throw new Error(created.text);
  const { Id: id } = created.json<{ Id: string }>();
  const input = await daemon.api.hijack(`/containers/${id}/attach?stream=1&stdin=1`);
  const started = await daemon.api.request('POST', `/containers/${id}/start`);
  if (started.status !== 204) throw new Error(started.text);
  return { id, go: () => input.socket.write('go\n') };
}

/** Collects the text of Docker's frames. */
function createCollector() {
  const chunks: Buffer[] = [];
  const decoder = createFrameDecoder();
  const ended = Promise.withResolvers<string>();
  return {
    push: (bytes: Buffer) => decoder.push(bytes, (_, payload) => chunks.push(Buffer.from(payload))),
    end: () => ended.resolve(Buffer.concat(chunks).toString()),
    isEmpty: () => chunks.length === 0,
    text: ended.promise,
  };
}

async function follow(id: string) {
  const collector = createCollector();
  const response = await daemon.api.stream('GET', `/containers/${id}/logs?follow=1&stdout=1`);
  response.on('data', collector.push);
  response.on('end', collector.end);
  await eventually(() => !collector.isEmpty(), { what: 'the follower has begun', intervalMs: 1 });
  return { ...collector, response };
}

async function attachBehindLog(id: string) {
  const collector = createCollector();
  const { socket, head } = await daemon.api.hijack(`/containers/${id}/attach?logs=1&stream=1&stdout=1&stderr=1`);
  collector.push(head);
  socket.on('data', collector.push);
  socket.on('close', collector.end);
  return collector;
}

function sequence(first: number, last: number): string {
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}\n`).join('');
}

function logBytes(id: string): number {
  const directory = join(daemon.dataRoot, 'containers', id, 'log');
  return readdirSync(directory).reduce((sum, name) => sum + statSync(join(directory, name)).size, 0);
}

/** Files that the daemon's log says a container's readers missed. */
function filesMissed(id: string): number {
  return daemon
    .log()
    .split('\n')
    .filter((line) => line.includes('a reader of the log was too slow') && line.includes(id))
    .reduce((sum, line) => sum + JSON.parse(line).files, 0);
}

t.test('attaching behind the log of a fast writer, several at a time', async (t) => {
  const { id, go } = await gated(`seq 1 ${LINES}; read end`);
  go();
  const clients: ReturnType<typeof attachBehindLog>[] = [];
  for (let count = 1; count <= READERS; count++) {
    await eventually(() => logBytes(id) > count * 1_000_000, { what: 'the log grows', intervalMs: 1 });
    clients.push(attachBehindLog(id));
  }
  const expected = `ready\n${sequence(1, LINES)}`;
  const attached = await Promise.all(clients);
  go();
  for (const client of attached) {
    const text = await client.text;
    t.equal(text.length, expected.length);
    t.ok(text === expected, 'every byte, once');
  }
  t.equal(filesMissed(id), 0);
  await tsdctl('rm', '-f', id);
});

t.test('attaching behind the log: an unfinished line, a container that has ended or has not begun', async (t) => {
  const { id, go } = await gated('printf a; printf b >&2');
  await eventually(() => logBytes(id) > 0, { what: 'the first line is there' });
  const first = await attachBehindLog(id);
  go();
  t.equal(await first.text, 'ready\nab');
  const ended = await attachBehindLog(id);
  t.equal((await daemon.api.request('POST', `/containers/${id}/start`)).status, 204);
  const input = await daemon.api.hijack(`/containers/${id}/attach?stream=1&stdin=1`);
  input.socket.write('go\n');
  t.equal(await ended.text, 'ready\nabready\nab', 'the first run and the second');
  await tsdctl('rm', '-f', id);
});

t.test('attaching behind the log of a container without one is refused, not cut off', async (t) => {
  const created = await daemon.api.request('POST', '/containers/create', {
    Image: 'busybox',
    Cmd: ['true'],
    HostConfig: { NetworkMode: 'none', LogConfig: { Type: 'none', Config: {} } },
  });
  const { Id } = created.json<{ Id: string }>();
  const refused = await daemon.api.request('POST', `/containers/${Id}/attach?logs=1&stream=1&stdout=1`);
  t.equal(refused.status, 501);
  t.match(refused.json(), { message: 'configured logging driver does not support reading' });
  await tsdctl('rm', Id);
});

for (const files of ['1', '3']) {
  t.test(`following a log that keeps ${files} of a megabyte`, async (t) => {
    const { id, go } = await gated(`seq 1 ${LINES}`, { 'max-size': '1m', 'max-file': files });
    const readers = await Promise.all(Array.from({ length: READERS }, () => follow(id)));
    go();
    for (const reader of readers) {
      const lines = (await reader.text).trimEnd().split('\n').slice(1).map(Number);
      t.comment(`${lines.length} of ${LINES} lines`);
      t.ok(lines.length === LINES || filesMissed(id) > 0, 'nothing is lost in silence');
      t.ok(
        lines.every((line, index) => index === 0 || line > (lines[index - 1] ?? 0)),
        'in order',
      );
      t.equal(lines.at(-1), LINES);
      t.ok(lines.length > LINES * DOCKERD_SHARE);
    }
    t.ok(logBytes(id) <= Number(files) * 1024 * 1024, 'the disk bound');
    await tsdctl('rm', '-f', id);
  });
}

t.test('two runs that end without a newline', async (t) => {
  const id = await tsdctl.output('create', '--network', 'none', 'busybox', 'printf', 'abc');
  for (let run = 0; run < 2; run++) await tsdctl('start', '-a', id);
  t.equal((await tsdctl('logs', id)).stdout, 'abcabc');
  t.match((await tsdctl('logs', '-t', id)).stdout, /^\S+Z abc\S+Z abc$/);
  t.equal((await tsdctl('logs', '--tail', '1', id)).stdout, 'abc');
  await tsdctl('rm', id);
});

t.test('details', async (t) => {
  const options = ['--log-opt', 'labels=a', '--log-opt', 'env=MODE', '--label', 'a=b', '-e', 'MODE=x y'];
  const id = await tsdctl.output('run', '-d', ...options, '--network', 'none', 'busybox', 'echo', 'hi');
  await tsdctl('wait', id);
  t.equal((await tsdctl('logs', '--details', id)).stdout, 'MODE=x+y,a=b hi\n');
  t.match((await tsdctl('logs', '--details', '-t', id)).stdout, /^\S+Z MODE=x\+y,a=b hi\n$/);
  t.equal((await tsdctl('logs', id)).stdout, 'hi\n');
  await tsdctl('rm', id);
});
