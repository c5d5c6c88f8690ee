/** What an egress policy allows, as users write it: `CIDR|NAME[:port[/protocol]]`. */
import { TsdError } from '@tsd/shared/errors';
import { addressBits, type IpPrefix, parseAddress, parseCidr, prefixOf } from './ip-address.ts';

export interface EgressRule {
  /** As written. */
  readonly text: string;
  readonly destination:
    | { readonly kind: 'prefix'; readonly prefix: IpPrefix }
    /** Lower case, without a final dot; `*.example.org` for all names below example.org. */
    | { readonly kind: 'name'; readonly name: string };
  /** null for all ports and protocols. */
  readonly port: number | null;
  /** null for TCP and UDP. */
  readonly protocol: 'tcp' | 'udp' | null;
}

/** Rules of one policy. More are a mistake, or meant to slow the host down: the kernel tries them one by one. */
export const MAX_EGRESS_RULES = 256;
const MAX_NAME_LENGTH = 253;
const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/;

/** IPv6 addresses with a port are in brackets: `[2001:db8::/32]:443`. Throws bad_parameter naming the rule. */
export function parseEgressRule(text: string): EgressRule {
  const refuse = (reason: string): never => {
    throw new TsdError(
      'bad_parameter',
      `allow-egress: invalid destination ${JSON.stringify(text.slice(0, 300))}: ${reason}; write CIDR, ADDRESS or NAME, and :PORT or :PORT/PROTOCOL after it`,
    );
  };
  const match = /^(?:\[([^\]]*)\]|([^[\]]*?))(?::([0-9]+)(?:\/([a-z]+))?)?$/.exec(text);
  // Without brackets, the last group of an IPv6 address looks like a port.
  const isBareIpv6 = !text.startsWith('[') && text.indexOf(':') !== text.lastIndexOf(':');
  const host = isBareIpv6 ? text : (match?.[1] ?? match?.[2] ?? '');
  if (host === '') return refuse('there is no destination');
  const port = isBareIpv6 || match?.[3] === undefined ? null : Number(match[3]);
  if (port !== null && (port < 1 || port > 65_535)) return refuse(`port ${port} is not from 1 to 65535`);
  const protocol = isBareIpv6 ? undefined : match?.[4];
  if (protocol !== undefined && protocol !== 'tcp' && protocol !== 'udp') return refuse('the protocol is tcp or udp');

  const prefix = parsePrefix(host);
  if (prefix !== null) return { text, destination: { kind: 'prefix', prefix }, port, protocol: protocol ?? null };
  const name = host.toLowerCase().replace(/\.$/, '');
  const labels = (name.startsWith('*.') ? name.slice(2) : name).split('.');
  // A name of digits only is an address that somebody mistyped.
  if (
    name.length > MAX_NAME_LENGTH ||
    !labels.every((label) => LABEL.test(label)) ||
    /^[0-9]*$/.test(labels.at(-1) ?? '')
  )
    return refuse('it is neither an address nor a name');
  return { text, destination: { kind: 'name', name }, port, protocol: protocol ?? null };
}

/** Throws bad_parameter for the first that is wrong, and for more than MAX_EGRESS_RULES. */
export function parseEgressRules(texts: readonly string[]): EgressRule[] {
  if (texts.length > MAX_EGRESS_RULES)
    throw new TsdError(
      'bad_parameter',
      `allow-egress: ${texts.length} destinations, at most ${MAX_EGRESS_RULES} are possible`,
    );
  return texts.map(parseEgressRule);
}

/** Whether the rule is about the name: lower case, without a final dot. */
export function namesHost(rule: EgressRule, name: string): boolean {
  if (rule.destination.kind !== 'name') return false;
  const wanted = rule.destination.name;
  return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : name === wanted;
}

function parsePrefix(host: string): IpPrefix | null {
  const address = parseAddress(host);
  if (address !== null) return prefixOf(address, addressBits(address.family));
  return parseCidr(host)?.prefix ?? null;
}
