/** The configuration of a committed image, and containers that a cut-off commit left stopped. */
import t from 'tap';
import { createContainer } from '../src/containers/create-container.ts';
import { startContainer } from '../src/containers/start-container.ts';
import { mergeRunConfig } from '../src/images/commit-image.ts';
import { createWorld } from './container-fakes.ts';

t.test('what the user says wins, the container has the rest', async (t) => {
  const container = {
    User: 'web',
    Env: ['PATH=/bin', 'A=1'],
    Entrypoint: ['/init'],
    Cmd: ['serve'],
    Labels: { a: '1', b: '1' },
    ExposedPorts: { '80/tcp': {} },
    WorkingDir: '/srv',
    StopSignal: 'SIGINT',
  };
  t.same(mergeRunConfig({}, container), container);
  t.same(mergeRunConfig(container, container), container);
  t.same(mergeRunConfig({ Env: ['A=2', 'B=3'], Labels: { b: '2' }, ExposedPorts: { '81/tcp': {} } }, container), {
    ...container,
    Env: ['PATH=/bin', 'A=2', 'B=3'],
    Labels: { a: '1', b: '2' },
    ExposedPorts: { '80/tcp': {}, '81/tcp': {} },
  });
  t.same(mergeRunConfig({ Cmd: ['other'] }, container), { ...container, Cmd: ['other'] });
  const { Cmd: _, ...withoutCommand } = container;
  t.same(mergeRunConfig({ Entrypoint: ['/mine'] }, container), { ...withoutCommand, Entrypoint: ['/mine'] });
  t.same(mergeRunConfig({ Entrypoint: [] }, container), { ...container, Entrypoint: [] });
});

t.test('the next daemon lets the processes go on that a commit had stopped', async (t) => {
  const world = createWorld();
  t.teardown(() => world.close());
  const first = await world.daemon();
  const { Id } = createContainer(first, { Image: 'busybox', Cmd: ['sleep'] });
  await startContainer(first, Id);
  await first.cgroups.freeze(Id);
  world.kill();
  await world.daemon();
  t.same([...world.frozen], []);
});
