/**
 * Egress policies in the Docker Engine API: what containers may reach outside of their network. Docker has no fields for
 * them, so a network has them among its driver options, where the docker client (`-o`) and compose (`driver_opts`) can set
 * them too, and a container among its annotations. Not among its labels: an image can bring labels of its own.
 */

/** Option of a network: `deny` or `allow`, what holds for what no rule names. */
export const EGRESS_OPTION = 'tsd.egress';
/** Option of a network: rules separated by commas, each `CIDR|ADDRESS|NAME[:port]`. */
export const EGRESS_ALLOW_OPTION = 'tsd.egress.allow';
/** Annotation of a container: rules as above. It may reach these, what its networks' rules name, and nothing else. */
export const EGRESS_ALLOW_ANNOTATION = 'tsd.egress.allow';

/** `Egress` of an inspected network; absent where it has no policy. */
export interface EgressReport {
  readonly Default: 'allow' | 'deny';
  readonly Allow: readonly EgressAllowed[];
  /** The newest refusals of the network's containers. */
  readonly Refused: readonly EgressRefused[];
}

export interface EgressAllowed {
  /** As the user wrote it. */
  readonly Rule: string;
  /** Packets that opened a connection by this rule. */
  readonly Packets: number;
}

export interface EgressRefused {
  /** Name of the container, or its address where it is gone. */
  readonly Container: string;
  readonly Destination: string;
  /** `tcp`, `udp`, `icmp`, … */
  readonly Protocol: string;
  /** null for protocols without ports. */
  readonly Port: number | null;
  readonly Packets: number;
}

/** The rules of an option's or annotation's value; empty ones are left out. */
export function splitEgressRules(text: string): string[] {
  return text
    .split(',')
    .map((rule) => rule.trim())
    .filter((rule) => rule !== '');
}
