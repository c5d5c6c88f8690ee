/** Netlink messages against those that iproute2 6.1 and Linux 6.18 exchanged: captured in sendmsg(2) and recvmsg(2). */
import t from 'tap';
import { parseLinkCounters, readLinkCounters } from '../src/os/link-counters.ts';
import { openNetlink, requestInThread } from '../src/os/netlink.ts';
import { NetlinkError, readAnswers } from '../src/os/netlink-answers.ts';
import { ipBytes, ipText, macText, parsePrefix } from '../src/runtime/netlink/address-bytes.ts';
import {
  decodeAddress,
  decodeNeighbour,
  encodeDeleteAddress,
  encodeListAddresses,
  encodeNewAddress,
  encodeNewNeighbour,
} from '../src/runtime/netlink/addresses.ts';
import {
  decodeLink,
  encodeAnnounce,
  encodeDeleteLink,
  encodeGetLink,
  encodeLinkUp,
  encodeListLinks,
  encodeNewBridge,
  encodeNewPort,
  encodeNewVeth,
  encodeNoLinkLocal,
  encodePortOptions,
  encodeRename,
  encodeSetMtu,
} from '../src/runtime/netlink/links.ts';
import { decodeRoute, encodeDefaultRoute, encodeListRoutes, encodeNewRoute } from '../src/runtime/netlink/routes.ts';

const MAC = '02:42:ac:1f:00:02';

/** The message in hexadecimal, with zero for the sequence number, as encoders leave it. */
function captured(text: string): string {
  return `${text.slice(0, 16)}00000000${text.slice(24)}`.replaceAll(' ', '');
}

/** As above, for messages that iproute2 sends with NLM_F_EXCL (or NLM_F_APPEND) where an encoder replaces. */
function capturedReplacing(text: string): string {
  return captured(`${text.slice(0, 12)}0505${text.slice(16)}`);
}

t.test('interfaces', async (t) => {
  t.equal(
    encodeNewBridge({ name: 'tsdp0', mac: '02:42:00:00:00:01', mtu: 1400 }).toString('hex'),
    captured(
      '500000001000050624d9046b00000000000000000000000000000000000000000a0001000242000000010000080004007805' +
        '00000a0003007473647030000000100012000a0001006272696467650000',
    ),
    'ip link add tsdp0 address 02:42:00:00:00:01 mtu 1400 type bridge',
  );
  t.equal(
    encodeNewVeth({ name: 'eth0', index: 77, mac: MAC, mtu: 1400, namespaceDescriptor: 4, peerName: 'tsdv0' }).toString(
      'hex',
    ),
    captured(
      '80000000100005065fe4046b00000000000000004d00000000000000000000000a0001000242ac1f000200000800040078050000' +
        '08001c00040000000900030065746830000000003800120008000100766574682c000200280001000000000000000000' +
        '000000000000000008000400780500000a0003007473647630000000',
    ),
    'ip link add eth0 address … mtu 1400 netns … index 77 type veth peer name tsdv0 mtu 1400',
  );
  t.equal(
    encodeNewPort({ index: 3 }, 2).toString('hex'),
    captured('28000000100005005fe4046b000000000000000003000000010000000100000008000a0002000000'),
    'ip link set tsdv0 master tsdp0 up',
  );
  t.equal(
    encodeLinkUp({ index: 2 }).toString('hex'),
    captured('200000001000050024d9046b0000000000000000020000000100000001000000'),
    'ip link set tsdp0 up',
  );
  t.equal(
    encodeNoLinkLocal({ index: 3 }).toString('hex'),
    captured('300000001000050024d9046b000000000000000003000000000000000000000010001a000c000a000500080001000000'),
    'ip link set tsdv0 addrgenmode none',
  );
  t.equal(
    encodePortOptions({ index: 3 }, { isolated: true, hairpin: true }).toString('hex'),
    captured(
      '440000001000050024d9046b0000000000000000030000000000000000000000240012000a0004006272696467650000' +
        '1400050005000400010000000500210001000000',
    ),
    'as iproute2 does it with IFLA_INFO_KIND bridge_slave, by linux/if_link.h',
  );
  t.equal(
    encodeRename(3, 'tsdv1').toString('hex'),
    captured('2c0000001000050025d9046b00000000000000000300000000000000000000000a0003007473647631000000'),
    'ip link set tsdv0 name tsdv1',
  );
  t.equal(
    encodeSetMtu({ index: 3 }, 1300).toString('hex'),
    captured('280000001000050025d9046b00000000000000000300000000000000000000000800040014050000'),
    'ip link set tsdv1 mtu 1300',
  );
  t.equal(
    encodeDeleteLink({ index: 3 }).toString('hex'),
    captured('200000001100050000000000000000000000000003000000 0000000000000000'),
    'ip link del tsdv1',
  );
  t.equal(
    encodeAnnounce({ index: 100 }, { linkLocal: false }).toString('hex'),
    '40000000100005000000000000000000' +
      '00000000640000000000000000000000' +
      '20001a00100002000c000100080016000100000' +
      '00c000a000500080001000000',
    'IFLA_AF_SPEC: AF_INET { arp_notify 1 }, AF_INET6 { addr_gen_mode none }, by linux/if_link.h',
  );
  t.equal(encodeGetLink({ name: 'lo' }).readUInt16LE(4), 18);
  t.throws(() => encodeGetLink({ name: 'sixteencharacter' }), /cannot be an interface's name/);
  t.throws(() => encodeGetLink({ name: '' }), /cannot be an interface's name/);
});

t.test('addresses, neighbours and routes', async (t) => {
  t.equal(
    encodeNewAddress({ index: 2, address: '172.31.0.1/32' }).toString('hex'),
    capturedReplacing('280000001400050624d9046b00000000022000000200000008000200ac1f000108000100ac1f0001'),
    'ip addr replace 172.31.0.1/32 dev tsdp0',
  );
  t.match(
    encodeNewAddress({ index: 2, address: '172.31.0.1/20' }).toString('hex'),
    /08000200ac1f000108000100ac1f000108000400ac1f0fff$/,
    'with the broadcast address',
  );
  t.equal(
    encodeNewAddress({ index: 2, address: 'fd00::1/64' }).toString('hex'),
    capturedReplacing(
      '400000001400050624d9046b000000000a4002000200000014000200fd00000000000000000000000000000114000100fd00000000' +
        '0000000000000000000001',
    ),
    'ip addr replace fd00::1/64 dev tsdp0 nodad',
  );
  t.equal(
    encodeDeleteAddress({ index: 2, address: '172.31.0.1/16' }).toString('hex'),
    captured('280000001500050025d9046b00000000021000000200000008000200ac1f000108000100ac1f0001'),
    'ip addr del 172.31.0.1/16 dev tsdp0',
  );
  t.equal(
    encodeNewNeighbour({ index: 2, address: '172.31.0.2', mac: MAC }).toString('hex'),
    captured('300000001c00050526d9046b0000000002000000020000000400000008000100ac1f00020a0002000242ac1f00020000'),
    'ip neigh replace 172.31.0.2 lladdr … nud stale dev tsdp0',
  );
  t.equal(
    encodeDefaultRoute('172.31.0.2', 2).toString('hex'),
    capturedReplacing('2c0000001800050624d9046b0000000002000000fe0300010000000008000500ac1f00020800040002000000'),
    'ip route replace default via 172.31.0.2 dev tsdp0',
  );
  t.equal(
    encodeDefaultRoute('fd00::2', 2).toString('hex'),
    captured(
      '380000001800050524d9046b000000000a000000fe0300010000000014000500fd00000000000000000000000000000208000400' +
        '02000000',
    ),
    'ip route replace default via fd00::2 dev tsdp0',
  );
  t.equal(
    encodeNewRoute({ destination: '10.7.0.0/24', gateway: '172.31.0.3', index: 2 }).toString('hex'),
    capturedReplacing(
      '340000001800050624d9046b0000000002180000fe03000100000000080001000a07000008000500ac1f00030800040002000000',
    ),
    'ip route replace 10.7.0.0/24 via 172.31.0.3 dev tsdp0',
  );
});

t.test('answers', async (t) => {
  const address =
    '480000001400220026d9046bad1900000a4082000200000014000100fd00000000000000000000000000000114000600ffffffffffffffff' +
    'a1521700a15217000800080082000000';
  const done = '140000000300220026d9046bad19000000000000';
  const answer = readAnswers(Buffer.from(address + done, 'hex'), 0x6b04d926);
  t.equal(answer.complete, true);
  t.equal(answer.interrupted, false);
  t.same(
    answer.messages.map(({ type, body }) => [type, decodeAddress(body)]),
    [[20, { index: 2, address: 'fd00::1/64', scope: 0 }]],
  );
  const other = readAnswers(Buffer.from(address + done, 'hex'), 1);
  t.same(other, { messages: [], complete: false, interrupted: false }, 'of another request');

  const refusal =
    '600000000200000225d9046ba3190000eaffffff280000001000050025d9046b000000000000000002000000000000000000000008000400' +
    '70110100240001006d74752067726561746572207468616e20646576696365206d6178696d756d00';
  t.throws(() => readAnswers(Buffer.from(refusal, 'hex'), 0x6b04d925), {
    name: 'NetlinkError',
    errno: 22,
    code: 'EINVAL',
    reason: 'mtu greater than device maximum',
    message: 'mtu greater than device maximum (EINVAL)',
  });
  const without =
    '340000000200000000000000a9190000edffffff2000000010000500000000000000000000000000000000000000000000000000';
  t.throws(() => readAnswers(Buffer.from(without, 'hex'), 0), { errno: 19, reason: '', message: 'ENODEV' });

  const routes =
    '740000001800220025d9046bb31900000a400000fe0200011000000008000f00fe00000014000100fd00000000000000000000000000000008' +
    '00060000010000080004000200000024000c000000000000000000000000000000000000000000000000000000000000000000050014000000' +
    '0000740000001800220025d9046bb31900000a000000fe0300011000000008000f00fe000000080006000004000014000500fd000000000000' +
    '00000000000000000208000400020000002400 0c0000000000000000000000000000000000000000000000000000000000000000000500140000000000';
  t.same(
    readAnswers(Buffer.from(routes.replaceAll(' ', ''), 'hex'), 0x6b04d925).messages.map(({ body }) =>
      decodeRoute(body),
    ),
    [
      { destination: 'fd00::/64', gateway: null, index: 2 },
      { destination: '::/0', gateway: 'fd00::2', index: 2 },
    ],
  );

  const stats = Buffer.alloc(200);
  for (let field = 0; field < 25; field += 1) stats.writeBigUInt64LE(BigInt(field + 1) << 33n, 8 * field);
  const link = Buffer.from(
    '000001000300000002100000000000000a0003007473647631000000080004001405000008000a00020000000a0001001607ecf2d173' +
      `0000cc001700${stats.toString('hex')}240012000900010076657468000000000b000400627269646765000008000500050001 00`.replaceAll(
        ' ',
        '',
      ),
    'hex',
  );
  t.match(decodeLink(link), {
    index: 3,
    name: 'tsdv1',
    up: false,
    mac: '16:07:ec:f2:d1:73',
    mtu: 1300,
    masterIndex: 2,
    kind: 'veth',
    counters: { receivedPackets: 2 ** 33, sentBytes: 4 * 2 ** 33, sendDropped: 8 * 2 ** 33 },
  });
  t.same(decodeNeighbour(encodeNewNeighbour({ index: 2, address: 'fd00::9', mac: MAC }).subarray(16)), {
    index: 2,
    address: 'fd00::9',
    mac: MAC,
  });
  for (let length = 0; length < 96; length += 1) {
    const cut = Buffer.from(refusal, 'hex').subarray(0, length);
    t.throws(() => {
      if (readAnswers(cut, 0x6b04d925).complete) return;
      throw new Error('not complete');
    }, `cut off after ${length} bytes`);
  }
});

t.test('addresses as bytes', async (t) => {
  for (const [text, canonical] of [
    ['172.18.0.2', '172.18.0.2'],
    ['::', '::'],
    ['FD00:0:0::1', 'fd00::1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:10.0.0.1', '::ffff:10.0.0.1'],
    ['fe80::1:0:0:5', 'fe80::1:0:0:5'],
  ] as const) {
    t.equal(ipText(ipBytes(text)), canonical);
  }
  t.same(parsePrefix('10.0.0.0/8'), { address: Buffer.from([10, 0, 0, 0]), prefixLength: 8 });
  t.equal(parsePrefix('fd00::').prefixLength, 128);
  for (const bad of ['10.0.0.0/33', '10.0.0/8', 'fe80::1%eth0', '', '10.0.0.0/', '::/x']) {
    t.throws(() => parsePrefix(bad), `"${bad}"`);
  }
  t.equal(macText(Buffer.from([2, 0x42, 0xac, 0x1f, 0, 2])), MAC);
});

t.test('the kernel', async (t) => {
  const netlink = openNetlink();
  t.teardown(() => netlink.close());
  const [first] = netlink.request(encodeGetLink({ name: 'lo' }));
  t.match(decodeLink(first?.body as Buffer), { index: 1, name: 'lo', kind: '' });
  const links = netlink.request(encodeListLinks()).map(({ body }) => decodeLink(body));
  t.ok(links.some(({ name, up }) => name === 'lo' && up));
  const addresses = netlink.request(encodeListAddresses()).map(({ body }) => decodeAddress(body));
  t.ok(addresses.some(({ index, address }) => index === 1 && address === '127.0.0.1/8'));
  t.ok(Array.isArray(netlink.request(encodeListRoutes()).map(({ body }) => decodeRoute(body))));
  t.throws(() => netlink.request(encodeGetLink({ name: 'tsd-none' })), NetlinkError);
  await t.rejects(requestInThread(encodeDeleteLink({ name: 'tsd-none' })), { code: /ENODEV|EPERM/ });
});

t.test('counters', async (t) => {
  const head =
    'Inter-|   Receive                                                |  Transmit\n face |bytes    packets …\n';
  const counters = parseLinkCounters(
    `${head}    lo:       9       9    0    0    0     0          0         0        9       9    0    0    0     0       0          0\n` +
      'eth0:1:123456789012 2    3    4    5     6          7         8        11       12    13    14    15     16       17          18\n',
  );
  t.same(
    [...counters],
    [
      [
        'eth0:1',
        {
          receivedBytes: 123456789012,
          receivedPackets: 2,
          receiveErrors: 3,
          receiveDropped: 4,
          sentBytes: 11,
          sentPackets: 12,
          sendErrors: 13,
          sendDropped: 14,
        },
      ],
    ],
  );
  t.ok(readLinkCounters(process.pid));
  t.equal(readLinkCounters(0x3fff_ffff), null);
});
