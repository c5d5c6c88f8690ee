/** Device nodes and the rules about which devices the container's processes may open. */
import { TsdError } from '@tsd/shared/errors';
import type { HostDevice } from '../os/lookup-devices.ts';
import { hostId, type LaunchContext } from './launch-context.ts';
import type { Slot, Step } from './launch-plan.ts';

/** One line of the version 1 devices controller: what may be done with which nodes. */
export interface DeviceRule {
  /** `a` is every device. */
  readonly type: 'a' | 'b' | 'c';
  /** null is any. */
  readonly major: number | null;
  readonly minor: number | null;
  /** Some of `r`, `w`, `m`. */
  readonly access: string;
}

interface Node {
  readonly name: string;
  readonly major: number;
  readonly minor: number;
}

/** The nodes that every container has (OCI runtime specification, default devices). */
const DEFAULT_NODES: readonly Node[] = [
  { name: 'null', major: 1, minor: 3 },
  { name: 'zero', major: 1, minor: 5 },
  { name: 'full', major: 1, minor: 7 },
  { name: 'random', major: 1, minor: 8 },
  { name: 'urandom', major: 1, minor: 9 },
  { name: 'tty', major: 5, minor: 0 },
];

const DEFAULT_LINKS: readonly (readonly [name: string, target: string])[] = [
  ['ptmx', 'pts/ptmx'],
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['core', '/proc/kcore'],
];

/** What may be opened without asking: nodes may be made (mknod still needs CAP_MKNOD), the default nodes and terminals used. */
const DEFAULT_RULES: readonly DeviceRule[] = [
  { type: 'c', major: null, minor: null, access: 'm' },
  { type: 'b', major: null, minor: null, access: 'm' },
  ...DEFAULT_NODES.map(({ major, minor }): DeviceRule => ({ type: 'c', major, minor, access: 'rwm' })),
  { type: 'c', major: 5, minor: 1, access: 'rwm' },
  { type: 'c', major: 5, minor: 2, access: 'rwm' },
  { type: 'c', major: 136, minor: null, access: 'rwm' },
];

/** Parses HostConfig.DeviceCgroupRules: `c 189:* rmw`. @throws TsdError with Docker's text. */
function parseRule(text: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(text);
  if (match === null) throw new TsdError('bad_parameter', `invalid device cgroup rule format: '${text}'`);
  const number = (part: string | undefined): number | null => (part === '*' ? null : Number(part));
  const type = match[1] === 'a' || match[1] === 'b' ? match[1] : 'c';
  return { type, major: number(match[2]), minor: number(match[3]), access: match[4] ?? '' };
}

/** The rules of the container's device controller; null: everything is allowed. @throws TsdError for a malformed rule. */
export function deviceRules(context: LaunchContext): DeviceRule[] | null {
  const asked = (context.input.hostConfig.DeviceCgroupRules ?? []).map(parseRule);
  if (context.privileged) return null;
  const mapped = context.input.devices.map(
    (device): DeviceRule => ({
      type: device.type === 'block' ? 'b' : 'c',
      major: device.major,
      minor: device.minor,
      access: device.permissions,
    }),
  );
  return [...DEFAULT_RULES, ...mapped, ...asked];
}

/** A rule as the version 1 controller takes it, Documentation/admin-guide/cgroup-v1/devices.rst. */
export function formatDeviceRule(rule: DeviceRule): string {
  return `${rule.type} ${rule.major ?? '*'}:${rule.minor ?? '*'} ${rule.access}`;
}

/** A container id for an owner of the host's node: the same number where the container has it, root otherwise. */
function nodeOwner(context: LaunchContext, id: number): number {
  const range = context.input.idRange;
  return hostId(context, context.own.user && range !== null && id >= range.size ? 0 : id);
}

/** Names of directories between /dev and the node, outermost first: `net` for `net/tun`. */
function parentDirectories(names: readonly string[]): string[] {
  const parents = new Set<string>();
  for (const name of names) {
    const parts = name.split('/').slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) parents.add(parts.slice(0, depth).join('/'));
  }
  return [...parents].sort((a, b) => a.split('/').length - b.split('/').length);
}

/**
 * Nodes in the container's own /dev, made by the host's side: only it may (mknod(2) needs CAP_MKNOD in the first user
 * namespace), and a node on a tmpfs of our own is no door to the host's /dev. They belong to the container's root.
 */
export function planDeviceNodes(context: LaunchContext, dev: Slot): Step[] {
  const owner = { uid: hostId(context, 0), gid: hostId(context, 0) };
  const inDev = new Map<string, HostDevice>();
  for (const device of context.input.devices) {
    if (device.path.startsWith('/dev/')) inDev.set(device.path.slice('/dev/'.length), device);
  }
  const defaults = DEFAULT_NODES.filter(({ name }) => !inDev.has(name));
  return [
    ...defaults.map(
      ({ name, major, minor }): Step => ({
        op: 'mknod',
        side: 'host',
        at: { base: dev, path: name },
        type: 'char',
        mode: 0o666,
        major,
        minor,
        ...owner,
      }),
    ),
    ...parentDirectories([...inDev.keys()]).map(
      (name): Step => ({ op: 'mkdir', side: 'host', at: { base: dev, path: name }, mode: 0o755, ...owner }),
    ),
    ...[...inDev].map(
      ([name, device]): Step => ({
        op: 'mknod',
        side: 'host',
        at: { base: dev, path: name },
        type: device.type,
        mode: device.mode,
        major: device.major,
        minor: device.minor,
        uid: nodeOwner(context, device.uid),
        gid: nodeOwner(context, device.gid),
      }),
    ),
  ];
}

/** The customary links in /dev. Container side, so that they are the container's. */
export function planDeviceLinks(dev: Slot): Step[] {
  return DEFAULT_LINKS.map(
    ([name, target]): Step => ({ op: 'symlink', side: 'container', at: { base: dev, path: name }, target }),
  );
}

/** Devices that are wanted outside of /dev: the host's node, cloned and attached. */
export function planDevicesElsewhere(context: LaunchContext): { host: Step[]; container: Step[] } {
  const host: Step[] = [];
  const container: Step[] = [];
  for (const device of context.input.devices) {
    if (device.path.startsWith('/dev/')) continue;
    const slot = context.newSlot();
    host.push({ op: 'clone-tree', side: 'host', at: { path: device.hostPath }, slot });
    container.push({
      op: 'attach-mount',
      side: 'container',
      slot,
      at: { base: context.rootSlot, path: device.path },
      create: 'file',
    });
  }
  return { host, container };
}
