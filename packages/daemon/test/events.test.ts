/** Events: which ones a filter lets through, how they are written, and what becomes of refused packets. */
import { parseFilters } from '@tsd/shared/filters';
import t from 'tap';
import { createEngineEvents, type EngineEvent } from '../src/events/engine-events.ts';
import { matchesEvent } from '../src/events/event-filter.ts';
import { eventMessage } from '../src/events/event-message.ts';
import type { EgressRefusal, UnlistedRefusals } from '../src/networks/firewall.ts';
import type { NetworkRecord } from '../src/networks/network.ts';
import { type RefusalWatchDeps, watchRefusals } from '../src/networks/watch-refusals.ts';
import { idOf, networkRecord } from './network-fixture.ts';

const started: EngineEvent = {
  type: 'container',
  action: 'start',
  id: 'abc123',
  attributes: { image: 'localhost:5000/app:1', name: 'web', team: 'x' },
};
const tagged: EngineEvent = {
  type: 'image',
  action: 'tag',
  id: `sha256:${'a'.repeat(64)}`,
  attributes: { name: 'app:2' },
};

t.test('filters', async (t) => {
  const matches = (filters: object, event = started): boolean =>
    matchesEvent(parseFilters(JSON.stringify(filters)), event);
  for (const filters of [
    {},
    { type: ['container'], event: ['die', 'start'] },
    { container: ['abc'] },
    { container: ['we'] },
    { image: ['localhost:5000/app'] },
    { image: ['localhost:5000/app:1'] },
    { label: ['team'], scope: ['local'] },
    { label: ['team=x'] },
  ])
    t.ok(matches(filters), JSON.stringify(filters));
  for (const filters of [
    { type: ['image'] },
    { event: ['star'] },
    { container: ['bc1'] },
    { network: ['abc'] },
    { image: ['app'] },
    { label: ['team=y'] },
    { label: ['team', 'other'] },
    { scope: ['swarm'] },
    { volume: ['web'] },
  ])
    t.notOk(matches(filters), JSON.stringify(filters));
  t.ok(matches({ image: ['app'] }, tagged));
  t.ok(matches({ event: ['exec_create'] }, { ...started, action: 'exec_create: sh -c true' }));
});

t.test('the newest are kept, in the order of their times, and told to those who listen', async (t) => {
  const events = createEngineEvents();
  const heard: string[] = [];
  const stop = events.listen(({ action }) => heard.push(action));
  for (let i = 0; i < 300; i++) events.publish({ ...started, action: String(i) });
  stop();
  events.publish({ ...started, action: 'unheard' });
  t.equal(heard.length, 300);
  const recent = events.recent();
  t.equal(recent.length, 256);
  t.equal(recent.at(-1)?.action, 'unheard');
  t.ok(recent.every((event, index) => index === 0 || event.timeNs > (recent[index - 1]?.timeNs ?? 0n)));
});

t.test('refusals push nothing else out', async (t) => {
  const events = createEngineEvents();
  events.publish(started);
  for (let i = 0; i < 1000; i++) events.publish({ type: 'network', action: 'refuse', id: 'n', attributes: {} });
  events.publish(tagged);
  const recent = events.recent();
  t.equal(recent.length, 258);
  t.strictSame([recent[0]?.action, recent[1]?.action, recent.at(-1)?.action], ['start', 'refuse', 'tag']);
});

t.test('as Docker writes them', async (t) => {
  const timeNs = 1_700_000_000_123_456_789n;
  t.equal(
    eventMessage({ ...started, timeNs }),
    '{"status":"start","id":"abc123","from":"localhost:5000/app:1","Type":"container","Action":"start",' +
      '"Actor":{"ID":"abc123","Attributes":{"image":"localhost:5000/app:1","name":"web","team":"x"}},' +
      '"scope":"local","time":1700000000,"timeNano":1700000000123456789}\n',
  );
  const network = { ...started, type: 'network' as const, timeNs };
  t.strictSame(Object.keys(JSON.parse(eventMessage(network))), [
    'Type',
    'Action',
    'Actor',
    'scope',
    'time',
    'timeNano',
  ]);
});

t.test('refusals become events once, with how many', async (t) => {
  const network: NetworkRecord = networkRecord({ name: 'strict' });
  const events = createEngineEvents();
  let packets: EgressRefusal[] = [];
  let unlisted: UnlistedRefusals[] = [];
  let names: { containerId: string; name: string; queries: number }[] = [];
  let listings = 0;
  const deps: RefusalWatchDeps = {
    store: {
      list: () => [network],
      byId: (id: string) => (id === network.id ? network : undefined),
      endpointByAddress: (_id: string, _family: number, address: string) =>
        address === '10.0.0.2' ? { containerId: idOf('a') } : undefined,
    } as unknown as RefusalWatchDeps['store'],
    firewall: {
      refusedPackets: async () => [...packets, ...unlisted].reduce((sum, refusal) => sum + refusal.packets, 0),
      egressRefusals: async () => {
        listings++;
        return { listed: packets, unlisted };
      },
    },
    names: { refusedNames: () => ({ listed: names, unlisted: [] }) } as unknown as RefusalWatchDeps['names'],
    events,
    log: { info: () => undefined, warn: () => undefined, error: () => undefined },
  };
  const watch = watchRefusals(deps);
  t.teardown(() => watch.close());
  const told = async (): Promise<object[]> => {
    const before = events.recent().length;
    await watch.check();
    return events
      .recent()
      .slice(before)
      .map(({ action, attributes }) => ({ action, ...attributes }));
  };
  const refusal = (count: number, source = '10.0.0.2'): EgressRefusal => ({
    bridgeName: String(network.bridgeName),
    source,
    destination: '192.0.2.1',
    protocol: 'tcp',
    port: 80,
    packets: count,
  });
  const event = {
    action: 'refuse',
    name: 'strict',
    type: 'bridge',
    destination: '192.0.2.1',
    protocol: 'tcp',
    port: '80',
  };

  t.strictSame(await told(), []);
  packets = [refusal(2)];
  t.match(await told(), [{ ...event, container: idOf('a'), count: '2' }]);
  t.strictSame(await told(), [], 'told once');
  packets = [refusal(5), refusal(1, '10.0.0.9')];
  t.match(await told(), [
    { ...event, container: idOf('a'), count: '3' },
    { ...event, container: '10.0.0.9', count: '1' },
  ]);
  packets = [refusal(1)];
  t.match(await told(), [{ count: '1' }], 'counted anew by another table');
  names = [{ containerId: idOf('b'), name: 'a.test', queries: 4 }];
  t.match(await told(), [
    { action: 'refuse', container: idOf('b'), destination: 'a.test', protocol: 'dns', count: '4' },
  ]);
  t.equal(listings, 3, 'read only where something was refused');

  // Two containers: one tries everything.
  const flood = Array.from({ length: 500 }, (_, index) => ({ ...refusal(2, '10.0.0.9'), destination: `d${index}` }));
  packets = [...flood, { ...refusal(3), destination: 'quiet' }];
  unlisted = [{ bridgeName: String(network.bridgeName), source: '10.0.0.9', packets: 70 }];
  const told20 = await told();
  t.equal(told20.length, 21, 'twenty, and one for all the others');
  t.match(
    told20.filter((one) => 'destination' in one && one.destination === 'quiet'),
    [{ container: idOf('a'), count: '3' }],
    'the quiet one has its turn',
  );
  t.match(told20.at(-1), { action: 'refuse', more: 'true', containers: '1', count: String((500 - 19) * 2 + 70) });
  t.strictSame(await told(), []);
});
