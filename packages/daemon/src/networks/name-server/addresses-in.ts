/** What an answer tells about a name's addresses, for egress policies. Imported at its first use: it alone needs dns-packet. */
import { decode, type StringAnswer } from 'dns-packet';
import type { DnsQuery } from './dns-message.ts';

export interface NamedAddresses {
  readonly addresses: readonly string[];
  /** How long the shortest-lived record on the way from the name to its addresses holds. */
  readonly ttlSeconds: number;
}

/**
 * The addresses that a response gives for the name of its question, by way of its aliases (CNAME). What it says of other names
 * is left out: nobody asked for those.
 *
 * @throws Error where the response is malformed
 */
export function addressesIn(response: Buffer, query: DnsQuery, ageSeconds: number): NamedAddresses {
  const { questions = [], answers = [] } = decode(response);
  const aliases = answers.filter((record): record is StringAnswer => record.type === 'CNAME');
  const targets = new Map(aliases.map((record) => [lower(record.name), record]));
  const names = new Set([lower(questions[0]?.name ?? query.name)]);
  const ttls: number[] = [];
  for (const name of names) {
    const alias = targets.get(name);
    if (alias === undefined) break;
    names.add(lower(alias.data));
    ttls.push(alias.ttl ?? 0);
  }
  const found = answers.filter((record): record is StringAnswer => record.type === 'A' || record.type === 'AAAA');
  const addresses = found.filter((record) => names.has(lower(record.name)));
  ttls.push(...addresses.map(({ ttl }) => ttl ?? 0));
  return {
    addresses: addresses.map(({ data }) => data),
    ttlSeconds: Math.max(0, Math.min(...ttls) - ageSeconds),
  };
}

function lower(name: string): string {
  return name.toLowerCase();
}
