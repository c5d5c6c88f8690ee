import t from 'tap';
import {
  CONTAINER_STATUSES,
  type LifecycleEvent,
  nextStatus,
  stateFlags,
  transition,
} from '../src/containers/lifecycle.ts';

const EVENTS: readonly LifecycleEvent[] = [
  'start',
  'exit',
  'exit-to-restart',
  'stop-restarting',
  'pause',
  'unpause',
  'remove',
  'remove-failed',
];

t.test('the whole table', (t) => {
  const table = Object.fromEntries(
    CONTAINER_STATUSES.map((status) => [
      status,
      EVENTS.map((event) => [event, nextStatus(status, event)])
        .filter(([, next]) => next !== null)
        .map(([event, next]) => `${event} → ${next}`),
    ]),
  );
  t.same(table, {
    created: ['start → running', 'remove → removing'],
    running: ['exit → exited', 'exit-to-restart → restarting', 'pause → paused'],
    paused: ['exit → exited', 'exit-to-restart → restarting', 'unpause → running'],
    restarting: ['start → running', 'stop-restarting → exited', 'remove → removing'],
    removing: ['remove → removing', 'remove-failed → dead'],
    exited: ['start → running', 'remove → removing'],
    dead: ['remove → removing'],
  });
  t.end();
});

t.test('a container with a live process cannot be removed before it has exited', (t) => {
  for (const status of ['running', 'paused'] as const) t.equal(nextStatus(status, 'remove'), null);
  t.end();
});

t.test('removal can always be repeated', (t) => {
  for (const status of ['removing', 'dead'] as const) t.equal(nextStatus(status, 'remove'), 'removing');
  t.end();
});

t.test('an impossible event is a bug and says which', (t) => {
  t.throws(() => transition('dead', 'start'), /a container that is dead cannot start/);
  t.equal(transition('created', 'start'), 'running');
  t.end();
});

t.test("Docker's flags", (t) => {
  const none = { Running: false, Paused: false, Restarting: false, Dead: false };
  t.same(stateFlags('created'), none);
  t.same(stateFlags('exited'), none);
  t.same(stateFlags('removing'), none);
  t.same(stateFlags('running'), { ...none, Running: true });
  t.same(stateFlags('paused'), { ...none, Running: true, Paused: true });
  t.same(stateFlags('restarting'), { ...none, Running: true, Restarting: true });
  t.same(stateFlags('dead'), { ...none, Dead: true });
  t.end();
});
