/**
 * Egress policies in the Docker Engine API: what containers may reach outside of their network. Docker has no fields for
 * them, so a network has them among its driver options, where the docker client (`-o`) and compose (`driver_opts`) can set
 * them too, and a container among its annotations. Not among its labels: an image can bring labels of its own.
 */

/** Option of a network: `deny` or `allow`, what holds for what no rule names. */
export const EGRESS_OPTION = 'tsd.egress';
/** Option of a network: rules separated by commas or spaces, each `CIDR|ADDRESS|NAME[:port]`. */
export const EGRESS_ALLOW_OPTION = 'tsd.allow-egress';
/** Annotation of a container: rules as above. It may reach these, what its networks' rules name, and nothing else. */
export const EGRESS_ALLOW_ANNOTATION = 'tsd.allow-egress';

/** The rules of an option's or annotation's value; empty ones are left out. */
export function splitEgressRules(text: string): string[] {
  return text.split(/[,\s]+/).filter((rule) => rule !== '');
}
