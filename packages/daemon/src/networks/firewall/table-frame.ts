/**
 * The frame of the daemon's table: chains by hook, and the sets and maps that networks and containers put their elements
 * into. So a packet passes a few hash lookups however many networks and ports there are. Pure; docs/networks.md explains it.
 */
import type { AddressFamily } from '../network.ts';

export interface FrameOptions {
  /** New connections to published ports have to pass the host's own INPUT chains first. */
  readonly publishThroughInput: boolean;
}

export interface FrameChain {
  /** Where packets enter it; null for a chain that others lead to. */
  readonly hook: string | null;
  readonly rules: readonly string[];
}

export interface TableFrame {
  /** By name, with what stands between the braces: `map` where it holds data. */
  readonly sets: ReadonlyMap<string, { readonly kind: 'set' | 'map'; readonly body: string }>;
  readonly chains: ReadonlyMap<string, FrameChain>;
}

/** How long the host's INPUT chains are not asked again about a client of a published port. */
const ADMISSION_SECONDS = 60;
const MAX_ADMISSIONS = 65_536;
/** More than there can be containers. */
const MAX_SOURCES = 65_536;
/** Between the tracking of connections (-200) and the translation of addresses (-100): destinations are still what containers meant. */
const EGRESS_PRIORITY = -150;
/** `dstnat`, a name that nft knows at the hook prerouting only. */
const TRANSLATION_PRIORITY = -100;
const FORWARD_HOOK = 'filter hook forward priority filter';
/** After every filter of the host. */
const LAST_PRIORITY = 300;

export function tableFrame(options: FrameOptions): TableFrame {
  return {
    sets: new Map([...plainSets(), ...familySets(4, options), ...familySets(6, options)]),
    chains: new Map([...translation(options), ...forwarding(), ...egress()]),
  };
}

/** Commands that lay the empty frame down, in the place of one that may be there: in one transaction there is no gap. */
export function layFrame(table: string, { sets, chains }: TableFrame): string {
  return [
    `add table inet ${table}`,
    `delete table inet ${table}`,
    `table inet ${table} {`,
    ...[...sets].map(([name, { kind, body }]) => `${kind} ${name} { ${body} }`),
    ...[...chains].flatMap(([name, { hook, rules }]) => [
      `chain ${name} {`,
      ...(hook === null ? [] : [`type ${hook}; policy accept;`]),
      ...rules,
      '}',
    ]),
    '}',
  ].join('\n');
}

export const GUARDED_SET = 'guarded';
/** Bridges are other engines' and virtual machines': whoever makes one wants it forwarded. */
const BETWEEN_OTHERS =
  'meta iifkind != "bridge" meta oifkind != "bridge" ct state != { established, related } counter drop';

/** All that is left where the daemon's bridges are gone, and the host still forwards because of them. */
export function guardFrame(families: readonly AddressFamily[]): TableFrame {
  const rules = families.map((family) => `meta nfproto ipv${family} ${BETWEEN_OTHERS}`);
  return { sets: new Map(), chains: new Map([hooked('forward', FORWARD_HOOK, rules)]) };
}

/** Where everything comes to that an egress policy refuses. */
export const REFUSE_CHAIN = 'egress_refuse';
/** Where comes to first what the policy's own sets have no place for. */
export const REFUSE_UNLISTED_CHAIN = 'egress_refuse_unlisted';
/** How long a set that counts refusals keeps what is not refused again. */
export const REFUSED_ELEMENT = 'flags dynamic,timeout; timeout 1h; counter;';

type NamedSet = [name: string, set: { kind: 'set' | 'map'; body: string }];
type NamedChain = [name: string, chain: FrameChain];

const set = (name: string, body: string): NamedSet => [name, { kind: 'set', body }];
const map = (name: string, body: string): NamedSet => [name, { kind: 'map', body }];
const chain = (name: string, rules: readonly string[]): NamedChain => [name, { hook: null, rules }];
const hooked = (name: string, hook: string, rules: readonly string[]): NamedChain => [name, { hook, rules }];

function plainSets(): NamedSet[] {
  return [
    // The daemon's bridges, and those of them that lead nowhere.
    set('bridges', 'type ifname;'),
    set('internal_bridges', 'type ifname;'),
    // The families in which the host forwards because of the daemon alone.
    set(GUARDED_SET, 'type nf_proto;'),
    // What goes from a bridge to itself, and what goes from it to anywhere else.
    map('within', 'type ifname . ifname : verdict;'),
    map('leaving', 'type ifname : verdict;'),
    map('egress_networks', 'type ifname : verdict;'),
  ];
}

function familySets(family: 4 | 6, { publishThroughInput }: FrameOptions): NamedSet[] {
  const address = `ipv${family}_addr`;
  const dynamic = (size: number, timeout: string) => `flags dynamic,timeout; size ${size}; timeout ${timeout};`;
  return [
    // The networks' subnets, with their bridges; and those whose addresses nobody outside may see.
    set(`subnets${family}`, `type ifname . ${address}; flags interval;`),
    set(`masqueraded${family}`, `type ${address}; flags interval;`),
    // Published on one address of the host, and on all of them.
    map(`ports${family}`, `type ${address} . inet_proto . inet_service : ${address} . inet_service;`),
    map(`any_ports${family}`, `type inet_proto . inet_service : ${address} . inet_service;`),
    // Bridges with the addresses whose port 53 containers ask: the name server's port there.
    map(`names${family}`, `type ifname . ${address} : inet_service;`),
    map(`egress_containers${family}`, `type ifname . ${address} : verdict;`),
    // Who was refused more than its policy's sets have a place for.
    set(`unlisted${family}`, `type ifname . ${address}; size ${MAX_SOURCES}; ${REFUSED_ELEMENT}`),
    ...(publishThroughInput
      ? [
          set(
            `admitted${family}`,
            `type ${address} . inet_proto . ${address} . inet_service; ${dynamic(MAX_ADMISSIONS, `${ADMISSION_SECONDS}s`)}`,
          ),
        ]
      : []),
  ];
}

function translation({ publishThroughInput }: FrameOptions): NamedChain[] {
  return [
    // Bridges route 127/8 (for published ports on the host's 127.0.0.1); their containers have no business there.
    hooked('loopback_only', 'filter hook prerouting priority raw', [
      // The cheap comparison first: every packet of the host comes by.
      'ip daddr 127.0.0.0/8 iifname @bridges drop',
      'ip saddr 127.0.0.0/8 iifname @bridges drop',
    ]),
    chain('translate', [
      'dnat ip to ip daddr . meta l4proto . th dport map @ports4',
      'dnat ip to meta l4proto . th dport map @any_ports4',
      'dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6',
      'dnat ip6 to meta l4proto . th dport map @any_ports6',
    ]),
    hooked('prerouting', 'nat hook prerouting priority dstnat', [
      // What is published on 127.0.0.1 is for the host alone, which never comes this way: a neighbour who sends there
      // must not be translated before the kernel has a chance to drop it.
      'ip daddr 127.0.0.0/8 return',
      'meta l4proto { tcp, udp } th dport 53 redirect to :iifname . ip daddr map @names4',
      'meta l4proto { tcp, udp } th dport 53 redirect to :iifname . ip6 daddr map @names6',
      ...(publishThroughInput
        ? [
            'ip saddr . meta l4proto . ip daddr . th dport @admitted4 jump translate',
            'ip6 saddr . meta l4proto . ip6 daddr . th dport @admitted6 jump translate',
          ]
        : ['fib daddr type local jump translate']),
    ]),
    hooked('output', `nat hook output priority ${TRANSLATION_PRIORITY}`, [
      // The kernel routes no answer back to ::1. Refused at once there, who asked for «localhost» goes on with 127.0.0.1.
      'ip6 daddr ::1 return',
      'fib daddr type local jump translate',
    ]),
    ...(publishThroughInput ? [admission()] : []),
    hooked('postrouting', 'nat hook postrouting priority srcnat', [
      // Back into the network that it came from, by way of a published port: answers must come this way too.
      'oifname . ip saddr @subnets4 ct status dnat masquerade',
      'oifname . ip6 saddr @subnets6 ct status dnat masquerade',
      'oifname . ip saddr @subnets4 return',
      'oifname . ip6 saddr @subnets6 return',
      'ip saddr @masqueraded4 masquerade',
      'ip6 saddr @masqueraded6 masquerade',
      'oifname @bridges ip saddr 127.0.0.0/8 masquerade',
    ]),
  ];
}

/**
 * A packet for a published port that all of the host's INPUT chains let through: its sender is remembered and the packet
 * dropped, and its repetition, being the first of a connection again, is translated.
 */
function admission(): NamedChain {
  const remember = (family: number, ip: string, ports: string) =>
    `ct state new ${ports} add @admitted${family} { ${ip} saddr . meta l4proto . ${ip} daddr . th dport } drop`;
  return hooked('admission', `filter hook input priority ${LAST_PRIORITY}`, [
    remember(4, 'ip', 'ip daddr . meta l4proto . th dport @ports4'),
    remember(4, 'ip', 'meta nfproto ipv4 meta l4proto . th dport @any_ports4'),
    remember(6, 'ip6', 'ip6 daddr . meta l4proto . th dport @ports6'),
    remember(6, 'ip6', 'meta nfproto ipv6 meta l4proto . th dport @any_ports6'),
  ]);
}

function forwarding(): NamedChain[] {
  const answersAndPublished = ['ct state established,related accept', 'ct status dnat accept'];
  return [
    // Containers that may not talk to each other (enable_icc=false) still may through published ports.
    chain('closed_within', [...answersAndPublished, 'counter drop']),
    chain('leave', [
      'oifname @internal_bridges drop',
      ...answersAndPublished,
      'oifname @bridges counter drop',
      // It would leave with the container's own address.
      'ct state invalid drop',
      'accept',
    ]),
    chain('enter', ['oifname @internal_bridges drop', ...answersAndPublished, 'counter drop']),
    hooked('forward', FORWARD_HOOK, [
      'iifname . oifname vmap @within',
      'iifname vmap @leaving',
      'oifname @bridges goto enter',
      `meta nfproto @${GUARDED_SET} ${BETWEEN_OTHERS}`,
    ]),
    // Containers of an internal network reach their gateway, and nothing else of the host.
    hooked('input', 'filter hook input priority filter', [
      'iifname @internal_bridges fib daddr . iif type != { local, broadcast, multicast } drop',
    ]),
  ];
}

function egress(): NamedChain[] {
  return [
    // What no policy is asked about: the network itself, its name server, and what makes IPv6 work.
    chain('egress_exempt', [
      'fib daddr . iif type local meta l4proto { tcp, udp } th dport 53 accept',
      'fib daddr . iif type local meta l4proto { icmp, ipv6-icmp } accept',
      'fib daddr type { broadcast, multicast } accept',
      // The host's services are asked about, at its link-local addresses too.
      'fib daddr type local return',
      'ip6 daddr fe80::/10 accept',
      'iifname . ip daddr @subnets4 accept',
      'iifname . ip6 daddr @subnets6 accept',
    ]),
    chain(REFUSE_CHAIN, ['counter', 'meta l4proto tcp reject with tcp reset', 'reject with icmpx admin-prohibited']),
    chain(REFUSE_UNLISTED_CHAIN, [
      'update @unlisted4 { iifname . ip saddr }',
      'update @unlisted6 { iifname . ip6 saddr }',
      `goto ${REFUSE_CHAIN}`,
    ]),
    chain('egress_check', [
      'iifname . ip saddr vmap @egress_containers4',
      'iifname . ip6 saddr vmap @egress_containers6',
      'iifname vmap @egress_networks',
    ]),
    hooked('egress', `filter hook prerouting priority ${EGRESS_PRIORITY}`, [
      'ct state established,related accept',
      'iifname @bridges jump egress_check',
    ]),
  ];
}
