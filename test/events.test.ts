/** GET /events: what both clients show of a container's life, of images and networks, as it happens and afterwards. */
import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl, docker } = daemon;
const hasDocker = spawnSync('docker', ['--version']).status === 0;

const nowSeconds = (): string => (Date.now() / 1000).toFixed(3);
/** Past events, with both clients where docker's is here: they must print the same. */
async function past(t: Tap, since: string, ...args: string[]): Promise<string[]> {
  const bounds = ['events', '--since', since, '--until', nowSeconds(), ...args];
  const ours = await tsdctl.output(...bounds);
  if (hasDocker) t.equal(ours, await docker.output(...bounds), `docker ${args.join(' ')}`);
  return ours.split('\n').filter((line) => line !== '');
}
type Tap = Pick<typeof t, 'equal'>;
const TYPE_AND_ACTION = ['--format', '{{.Type}} {{.Action}}'];

t.test('the life of a container', async (t) => {
  const since = nowSeconds();
  const script = 'trap "exit 3" TERM; echo up; while :; do sleep 0.1; done';
  const id = await tsdctl.output('run', '-d', '--name', 'c1', '--label', 'team=x', 'busybox', 'sh', '-c', script);
  await eventually(async () => (await tsdctl.output('logs', 'c1')) === 'up', { what: 'the trap' });
  await tsdctl.output('rename', 'c1', 'd1');
  await tsdctl.output('stop', 'd1');
  await tsdctl.output('start', 'd1');
  await tsdctl.output('rm', '-f', 'd1');
  t.strictSame(await past(t, since, '--filter', 'type=container', ...TYPE_AND_ACTION), [
    ...['container create', 'container start', 'container rename', 'container kill', 'container die', 'container stop'],
    ...['container start', 'container kill', 'container die', 'container destroy'],
  ]);
  t.strictSame(await past(t, since, '--filter', 'network=bridge', ...TYPE_AND_ACTION), [
    ...['network connect', 'network disconnect', 'network connect', 'network disconnect'],
  ]);
  const dies = await past(t, since, '--filter', 'event=die', '--filter', 'container=d1');
  t.equal(dies.length, 2);
  t.match(
    dies[0],
    new RegExp(`^\\d{4}-\\S+ container die ${id} \\(execDuration=\\d+, exitCode=3, image=busybox, name=d1, team=x\\)$`),
  );
  t.equal((await past(t, since, '--filter', 'label=team=y')).length, 0);
  t.equal((await past(t, since, '--filter', 'image=busybox', '--filter', 'type=container')).length, 10);
  const [first] = await past(t, since, '--format', 'json');
  t.match(JSON.parse(first ?? ''), { status: 'create', id, from: 'busybox', Type: 'container', scope: 'local' });
  await past(t, since, '--format', '{{json .Actor.Attributes}} {{.TimeNano}} {{.Actor.Attributes.name}}');
});

t.test('a foreground run with --rm, and one out of memory', async (t) => {
  const since = nowSeconds();
  await tsdctl.output('run', '--rm', '--network', 'none', 'busybox', 'true');
  const eat = ['sh', '-c', 'head -c 200m /dev/zero | tail'];
  t.equal((await tsdctl('run', '--rm', '--network', 'none', '--memory', '16M', 'busybox', ...eat)).code, 137);
  const run = ['container create', 'container attach', 'network connect', 'container start'];
  const end = ['container die', 'network disconnect', 'container destroy'];
  t.strictSame(await past(t, since, ...TYPE_AND_ACTION), [...run, ...end, ...run, 'container oom', ...end]);
});

t.test('images and networks', async (t) => {
  const since = nowSeconds();
  await tsdctl.output('tag', 'busybox', 'other:1');
  await tsdctl.output('rmi', 'other:1');
  const archive = `${daemon.directory}/saved.tar`;
  await tsdctl.output('save', '-o', archive, 'busybox');
  await tsdctl.output('rmi', 'busybox');
  await tsdctl.output('load', '-i', archive);
  await tsdctl.output('network', 'create', 'n1');
  await tsdctl.output('create', '--name', 'c1', '--network', 'none', 'busybox', 'true');
  await tsdctl.output('export', '-o', archive, 'c1');
  await tsdctl.output('commit', '-m', 'why', 'c1', 'made:1');
  await tsdctl.output('network', 'rm', 'n1');
  await tsdctl.output('container', 'prune', '-f');
  rmSync(archive);
  t.strictSame(await past(t, since, ...TYPE_AND_ACTION), [
    ...['image tag', 'image untag', 'image save', 'image untag', 'image delete', 'image load'],
    ...[
      'network create',
      'container create',
      'container export',
      'container commit',
      'network destroy',
      'container destroy',
      'container prune',
    ],
  ]);
});

t.test('live, until the time that was asked for', async (t) => {
  const until = nowSeconds().replace(/^\d+/, (seconds) => String(Number(seconds) + 3));
  const clients = [tsdctl, ...(hasDocker ? [docker] : [])].map((client) =>
    client.output('events', '--until', until, '--filter', 'container=live', ...TYPE_AND_ACTION),
  );
  // Nothing tells that a client listens: it is given some to hear until it has heard one.
  let isOver = false;
  const done = Promise.all(clients).finally(() => {
    isOver = true;
  });
  while (!isOver) {
    await tsdctl.output('create', '--name', 'live', '--network', 'none', 'busybox', 'true');
    await tsdctl.output('rm', 'live');
  }
  for (const text of await done) t.match(text, /^container create\ncontainer destroy$/m);
});

t.test('bad requests', async (t) => {
  const status = async (query: string): Promise<number> =>
    (await daemon.api.request('GET', `/events?until=1&${query}`)).status;
  t.equal(await status('since=abc'), 400);
  t.equal(await status('since=2'), 400, 'the end before the beginning');
  t.equal(await status(`filters=${encodeURIComponent('{"colour":["red"]}')}`), 400);
  t.equal(await status(''), 200);
});

t.test('a daemon that stops does not wait for those who listen', async (t) => {
  const listening = await daemon.api.stream('GET', '/events');
  const ended = new Promise((resolve) => listening.once('close', resolve));
  listening.on('error', () => undefined).resume();
  const before = performance.now();
  await daemon.shutDown();
  t.ok(performance.now() - before < 3000, 'it ended at once');
  await ended;
  await daemon.start();
});
