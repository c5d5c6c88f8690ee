/** Addresses, prefixes, pools and the host's routes. */
import t from 'tap';
import { chooseSubnet, defaultAddressPools, parseAddressPool } from '../src/networks/address-pools.ts';
import { hostRoutes } from '../src/networks/host-routes.ts';
import {
  canonicalAddress,
  containsPrefix,
  formatPrefix,
  lastOf,
  linkLocalAddress,
  overlaps,
  parseCidr,
  prefixFrom,
} from '../src/networks/ip-address.ts';
import { encodeNewRoute } from '../src/runtime/netlink/routes.ts';

t.test('addresses have one canonical text (RFC 5952)', (t) => {
  const cases: readonly (readonly [string, string | null])[] = [
    ['10.0.0.1', '10.0.0.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0db8:0000:0000:0000:0000:0002:0001', '2001:db8::2:1'],
    ['::ffff:10.0.0.1', '::ffff:a00:1'],
    ['fe80::1%eth0', null],
    ['010.0.0.1', null],
    ['10.0.0', null],
    ['', null],
  ];
  for (const [text, canonical] of cases) t.equal(canonicalAddress(text), canonical, text);
  t.equal(linkLocalAddress('02:42:ac:11:00:02'), 'fe80::42:acff:fe11:2');
  t.equal(linkLocalAddress('fe:00:00:00:00:01'), 'fe80::fc00:ff:fe00:1');
  t.end();
});

t.test('prefixes', (t) => {
  const text = (cidr: string) => {
    const parsed = parseCidr(cidr);
    return parsed === null ? null : formatPrefix(parsed.prefix);
  };
  t.equal(text('172.18.3.4/16'), '172.18.0.0/16');
  t.equal(text('fd00::1:2/64'), 'fd00::/64');
  t.equal(text('0.0.0.0/0'), '0.0.0.0/0');
  for (const wrong of ['10.0.0.0', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '::/129', '/8', '10.0.0.0/']) {
    t.equal(text(wrong), null, wrong);
  }
  t.equal(lastOf(prefixFrom('10.0.0.0/24')), 0x0a0000ffn);
  t.ok(overlaps(prefixFrom('10.0.0.0/8'), prefixFrom('10.2.0.0/16')));
  t.ok(overlaps(prefixFrom('10.2.0.0/16'), prefixFrom('10.0.0.0/8')));
  t.notOk(overlaps(prefixFrom('10.2.0.0/16'), prefixFrom('10.3.0.0/16')));
  t.notOk(overlaps(prefixFrom('0.0.0.0/0'), prefixFrom('::/0')), 'the families are apart');
  t.notOk(containsPrefix(prefixFrom('10.2.0.0/16'), prefixFrom('10.0.0.0/8')));
  t.end();
});

t.test('subnets come from the pools in order and avoid what is taken', (t) => {
  const pools = defaultAddressPools('engine');
  const next = (...taken: string[]) => formatPrefix(chooseSubnet(pools, 4, taken.map(prefixFrom)));
  t.equal(next(), '172.17.0.0/16');
  t.equal(next('172.17.0.0/16', '172.18.0.0/16'), '172.19.0.0/16');
  t.equal(next('172.17.5.0/24', 'fd00::/8'), '172.18.0.0/16', 'a small route in it is enough');
  t.equal(next('172.16.0.0/12'), '192.168.0.0/20', 'a large route takes several pools');
  t.equal(next('172.16.0.0/12', '192.168.1.0/24', '192.168.40.0/24'), '192.168.16.0/20');
  t.equal(next('172.17.0.0/16', '172.18.0.0/16', '172.19.0.0/16', '172.20.0.0/16', '172.22.0.0/16'), '172.21.0.0/16');
  t.throws(() => next('172.16.0.0/12', '192.168.0.0/16'), {
    code: 'conflict',
    message: /^all predefined address pools have been fully subnetted/,
  });
  const every = new Set<string>();
  const taken = [prefixFrom('10.0.0.0/8')];
  for (let count = 0; count < 31; count++) {
    const subnet = chooseSubnet(pools, 4, taken);
    every.add(formatPrefix(subnet));
    taken.unshift(subnet);
  }
  t.equal(every.size, 31, "as many as Docker's pools have");
  t.throws(() => chooseSubnet(pools, 4, taken), { code: 'conflict' });
  const six = chooseSubnet(pools, 6, []);
  t.match(formatPrefix(six), /^fd[0-9a-f]{2}:[0-9a-f:]+::\/64$/);
  t.not(formatPrefix(chooseSubnet(defaultAddressPools('other'), 6, [])), formatPrefix(six));
  t.equal(formatPrefix(chooseSubnet(pools, 6, [six])).replace(/:1::\/64$/, '::/64'), formatPrefix(six));
  t.end();
});

t.test('--default-address-pool', (t) => {
  t.equal(
    formatPrefix(chooseSubnet([parseAddressPool('base=10.10.0.0/16,size=24')], 4, [prefixFrom('10.10.0.0/24')])),
    '10.10.1.0/24',
  );
  for (const wrong of [
    '10.10.0.0/16',
    'base=10.10.0.0/16',
    'base=x,size=24',
    'base=10.10.0.0/16,size=8',
    'base=10.10.0.0/16,size=31',
    'base=10.10.0.0/16,size=24,x=1',
  ]) {
    t.throws(
      () => parseAddressPool(wrong),
      { code: 'bad_parameter', message: /default-address-pool: invalid pool/ },
      wrong,
    );
  }
  t.end();
});

t.test("the host's routes, of all tables", (t) => {
  const route = (destination: string, { table = 254, type = 1 } = {}) => {
    const message = encodeNewRoute({ destination, gateway: null, index: 2 });
    const body = message.subarray(16);
    body.writeUInt8(table, 4);
    body.writeUInt8(type, 7);
    return { type: 24, body };
  };
  const listed = [
    route('0.0.0.0/0'),
    route('0.0.0.0/1'),
    route('128.0.0.0/1'),
    route('192.0.2.0/24'),
    route('100.64.0.0/10', { table: 52 }),
    route('10.9.0.0/16', { table: 100, type: 7 }),
    route('192.0.2.1/32', { table: 255, type: 2 }),
    route('192.0.2.255/32', { table: 255, type: 3 }),
    route('::/0'),
    route('fd00::/64'),
    route('fd07::/48', { table: 52 }),
    route('fe80::/64'),
    route('fd00::1/128', { table: 255, type: 2 }),
    route('ff00::/8', { table: 255, type: 5 }),
  ];
  t.strictSame(hostRoutes(listed).map(formatPrefix), [
    '192.0.2.0/24',
    '100.64.0.0/10',
    '10.9.0.0/16',
    'fd00::/64',
    'fd07::/48',
  ]);
  t.end();
});
