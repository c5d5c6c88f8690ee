/** What a daemon that switches forwarding on remembers, and has dropped. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createForwardingGuard } from '../src/networks/forwarding-guard.ts';
import { networkRecord } from './network-fixture.ts';

const directory = mkdtempSync(join(tmpdir(), 'tsd-forwarding-'));
t.teardown(() => rmSync(directory, { recursive: true }));

const subnet = { subnet: '10.0.0.0/24', gateway: '10.0.0.1', ipRange: null, auxiliaryAddresses: {} };
const both = networkRecord({
  subnets: [
    { family: 4, ...subnet },
    { family: 6, ...subnet },
  ],
});
const plain = networkRecord({ subnets: [{ family: 4, ...subnet }] });

function setUp(
  name: string,
  settings: Record<string, string>,
  more: { bootId?: string; isOff?: boolean; hasBridges?: () => boolean } = {},
) {
  const sysctls = {
    read: (setting: string) => settings[setting] ?? null,
    write: (setting: string, value: string) => {
      settings[setting] = value;
    },
  };
  const guarded: (readonly number[])[] = [];
  const warnings: string[] = [];
  const guard = createForwardingGuard(
    {
      ...{ sysctls, file: join(directory, name) },
      ...{ bootId: 'now', isOff: false, hasBridges: () => false, ...more },
      log: { info: () => undefined, warn: (_, text) => warnings.push(text), error: () => undefined },
    },
    async (families) => void guarded.push(families),
  );
  return { guard, guarded, warnings };
}

t.test('where forwarding is off, it is guarded from then on, by the next daemon too', async (t) => {
  const off = { 'ipv4/ip_forward': '0', 'ipv6/conf/all/forwarding': '0' };
  const { guard, guarded, warnings } = setUp('off', off);
  t.strictSame(guard.families(), []);
  await guard.prepare({ ...both, internal: true });
  t.strictSame(guarded, [], 'an internal network forwards nothing');
  await guard.prepare(plain);
  off['ipv4/ip_forward'] = '1';
  await guard.prepare(both);
  off['ipv6/conf/all/forwarding'] = '1';
  await guard.prepare(both);
  t.strictSame(guarded, [[4], [4, 6]]);
  t.equal(warnings.length, 2);
  t.strictSame(setUp('off', off).guard.families(), [4, 6]);
  t.strictSame(setUp('off', off, { bootId: 'another' }).guard.families(), [], 'until the host boots');
  t.strictSame(setUp('off', off, { isOff: true }).guard.families(), []);

  const next = setUp('off', off, { hasBridges: () => hasBridges });
  let hasBridges = true;
  await next.guard.release();
  t.strictSame([next.guarded, off['ipv4/ip_forward']], [[], '1'], 'others may need it by now');
  hasBridges = false;
  await next.guard.release();
  t.strictSame([next.guarded, off], [[[]], { 'ipv4/ip_forward': '0', 'ipv6/conf/all/forwarding': '0' }]);
  t.strictSame(setUp('off', off).guard.families(), [], 'as it was');
});

t.test('a host that forwards already is left alone', async (t) => {
  const { guard, guarded, warnings } = setUp('on', { 'ipv4/ip_forward': '1' });
  await guard.prepare(both);
  await guard.release();
  t.strictSame([guarded, warnings, guard.families()], [[], [], []]);
});

t.test('nothing is dropped where nobody wants it', async (t) => {
  const { guard, guarded } = setUp('free', { 'ipv4/ip_forward': '0' }, { isOff: true });
  await guard.prepare(plain);
  t.strictSame(guarded, []);
});
