/** Counters and refusals of egress policies, from libnftables' JSON: libnftables-json(5). Pure. */
import type { EgressRefusal, EgressRuleCounter, UnlistedRefusals } from '../firewall.ts';
import type { LearntAddress } from './learnt-addresses.ts';

type NftObject = Readonly<Record<string, unknown>>;

interface ListedRule {
  readonly comment?: string;
  readonly expr: readonly Readonly<Record<string, { packets?: number } | undefined>>[];
}

interface ListedElement {
  readonly elem: {
    readonly val: unknown;
    readonly counter?: { readonly packets: number };
    /** Seconds that are left. */
    readonly expires?: number;
  };
}

interface ListedSet {
  readonly name: string;
  readonly elem?: readonly ListedElement[];
}

/** @param rules the policy's, as written; a rule's comment in the chain is its index */
export function readRuleCounters(chain: readonly NftObject[], rules: readonly string[]): EgressRuleCounter[] {
  const packets = rules.map(() => 0);
  for (const object of chain) {
    const rule = object['rule'] as ListedRule | undefined;
    const index = Number(rule?.comment ?? -1);
    const counter = rule?.expr.find((expression) => expression['counter'] !== undefined)?.['counter'];
    if (packets[index] !== undefined) packets[index] += counter?.packets ?? 0;
  }
  return rules.map((rule, index) => ({ rule, packets: packets[index] ?? 0 }));
}

/** What the first counter of a chain has counted. */
export function readPackets(chain: readonly NftObject[]): number {
  for (const object of chain) {
    const rule = object['rule'] as ListedRule | undefined;
    const counter = rule?.expr.find((expression) => expression['counter'] !== undefined)?.['counter'];
    if (counter?.packets !== undefined) return counter.packets;
  }
  throw new Error('the chain has no counter');
}

/** What policies' own sets of destinations hold, the newest first. */
export function readRefusals(sets: readonly NftObject[]): EgressRefusal[] {
  return elementsOf(sets)
    .sort((a, b) => (b.elem.expires ?? 0) - (a.elem.expires ?? 0))
    .map(({ elem }) => {
      const { concat } = elem.val as { concat: readonly (string | number)[] };
      const [bridgeName, source, destination, protocol, port] = concat;
      return {
        bridgeName: String(bridgeName),
        source: String(source),
        destination: String(destination),
        protocol: protocolName(String(protocol)),
        port: port === undefined ? null : Number(port),
        packets: elem.counter?.packets ?? 0,
      };
    });
}

/** What the sets of sources hold. */
export function readUnlisted(sets: readonly NftObject[]): UnlistedRefusals[] {
  return elementsOf(sets).map(({ elem }) => {
    const { concat } = elem.val as { concat: readonly string[] };
    return { bridgeName: String(concat[0]), source: String(concat[1]), packets: elem.counter?.packets ?? 0 };
  });
}

/** The addresses that the policies' sets hold. */
export function readLearnt(table: readonly NftObject[], nowMs: number): LearntAddress[] {
  return listedSets(table)
    .filter(({ name }) => /^egress_[0-9a-f]+_\d+_[46]$/.test(name))
    .flatMap(({ name, elem = [] }) =>
      elem.map((element) => ({
        set: name,
        address: String(element.elem.val),
        expiresAtMs: nowMs + (element.elem.expires ?? 0) * 1000,
      })),
    );
}

function elementsOf(objects: readonly NftObject[]): ListedElement[] {
  return listedSets(objects).flatMap(({ elem }) => elem ?? []);
}

function listedSets(objects: readonly NftObject[]): ListedSet[] {
  return objects.flatMap((object) => (object['set'] === undefined ? [] : [object['set'] as ListedSet]));
}

const PROTOCOL_NAMES: ReadonlyMap<string, string> = new Map([
  ['1', 'icmp'],
  ['6', 'tcp'],
  ['17', 'udp'],
  ['58', 'ipv6-icmp'],
  ['132', 'sctp'],
]);

function protocolName(protocol: string): string {
  return PROTOCOL_NAMES.get(protocol) ?? protocol;
}
