/** GET /containers/{id}/stats over a socket, with a collector that the test directs. */
import { mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { TsdError } from '@tsd/shared/errors';
import { pino } from 'pino';
import t from 'tap';
import type { ContainerRecord } from '../src/containers/container.ts';
import type { StatsUpdate, StatsWatcher } from '../src/containers/stats-collector.ts';
import { containerStatsRoutes } from '../src/http/routes/container-stats.ts';
import { createServer } from '../src/http/server.ts';
import { until } from './container-fakes.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-http-stats-'));
const socketPath = join(directory, 'api.sock');
const ID = 'a'.repeat(64);
const watchers = new Set<StatsWatcher>();
const update = (line: string, spansInterval: boolean): StatsUpdate => ({ line: `${line}\n`, spansInterval });
const tell = (one: StatsUpdate): void => {
  for (const watcher of [...watchers]) watcher.update(one);
};
const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log: pino({ level: 'silent' }),
  version: '1.2.3',
  routes: [
    (app) =>
      containerStatsRoutes(app, {
        store: {
          lookup(reference) {
            if (reference !== 'web') throw new TsdError('not_found', `No such container: ${reference}`);
            return { id: ID } as ContainerRecord;
          },
        },
        stats: {
          watch(id, watcher) {
            t.equal(id, ID);
            watchers.add(watcher);
            return () => void watchers.delete(watcher);
          },
          now: () => update('{"now":1}', false),
        },
      }),
  ],
});
await server.listen();
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function get(path: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpRequest({ socketPath, path }, resolve).on('error', reject).end();
  });
}
const watched = (count: number): Promise<void> => until(() => watchers.size === count, `${count} watch`);

t.test('what is refused', async (t) => {
  const missing = await get('/containers/nobody/stats');
  t.equal(missing.statusCode, 404);
  t.strictSame(JSON.parse(await text(missing)), { message: 'No such container: nobody' });
  for (const query of ['one-shot=1', 'stream=1&one-shot=true']) {
    const refused = await get(`/containers/web/stats?${query}`);
    t.equal(refused.statusCode, 400);
    t.strictSame(JSON.parse(await text(refused)), { message: 'cannot have stream=true and one-shot=true' });
  }
  t.equal(watchers.size, 0);
});

t.test('one answer: the first that spans an interval, or what is so now', async (t) => {
  const now = await get('/v1.47/containers/web/stats?stream=0&one-shot=1');
  t.equal(now.headers['content-type'], 'application/json');
  t.equal(await text(now), '{"now":1}\n');
  for (const query of ['stream=0', 'stream=false']) {
    const asked = get(`/v1.40/containers/web/stats?${query}&one-shot=1`);
    await watched(1);
    tell(update('{"first":1}', false));
    tell(update('{"second":1}', true));
    t.equal(watchers.size, 0, 'nobody watches when there is an answer');
    const answer = await asked;
    t.equal(answer.headers['content-type'], 'application/json');
    t.equal(await text(answer), '{"second":1}\n', 'one-shot is younger than API 1.40');
  }
});

t.test('the container is removed while an answer is waited for', async (t) => {
  const asked = get('/containers/web/stats?stream=0');
  await watched(1);
  for (const watcher of watchers) watcher.removed();
  watchers.clear();
  const answer = await asked;
  t.equal(answer.statusCode, 404);
  t.match(JSON.parse(await text(answer)), { message: `No such container: ${ID}` });
});

t.test('a client that goes before its answer is not waited for', async () => {
  const request = httpRequest({ socketPath, path: '/containers/web/stats?stream=0' });
  request.on('error', () => undefined);
  request.end();
  await watched(1);
  request.destroy();
  await watched(0);
});

t.test('a stream: all from the first on, until the container is removed', async (t) => {
  const answer = await get('/containers/web/stats');
  t.equal(answer.statusCode, 200);
  t.equal(answer.headers['content-type'], 'application/json');
  await watched(1);
  tell(update('{"first":1}', false));
  tell(update('{"second":1}', true));
  for (const watcher of [...watchers]) watcher.removed();
  t.equal(await text(answer), '{"first":1}\n{"second":1}\n');
  await watched(0);
});

t.test('a client that goes ends its stream', async () => {
  const answer = await get('/containers/web/stats?stream=1');
  await watched(1);
  answer.destroy();
  await watched(0);
});

t.test('a client that does not read misses some', async (t) => {
  const answer = await get('/containers/web/stats');
  await watched(1);
  const line = JSON.stringify({ filler: 'x'.repeat(10_000) });
  for (let count = 0; count < 1000; count++) tell(update(line, true));
  for (const watcher of [...watchers]) watcher.removed();
  const received = await text(answer);
  t.ok(received.length < 1_000_000, `${received.length} bytes are kept for it`);
  t.equal(received, `${line}\n`.repeat(received.length / (line.length + 1)), 'whole lines');
});

t.test('it is described', async (t) => {
  const { paths } = JSON.parse(await text(await get('/openapi.json')));
  const described = paths['/containers/{id}/stats'].get;
  const names = described.parameters.map(({ name }: { name: string }) => name).sort();
  t.strictSame(names, ['id', 'one-shot', 'stream']);
  t.ok(described.responses['200'].content['application/json'].schema.properties.precpu_stats);
});
