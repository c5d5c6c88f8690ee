/** What the user mounts: -v, --mount and --tmpfs. */
import { posix } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import type { LaunchContext } from './launch-context.ts';
import type { ContainerMount } from './launch-input.ts';
import type { FsOption, MountAttribute, MountPropagation, Slot, Step } from './launch-plan.ts';

const SAFE: readonly MountAttribute[] = ['nosuid', 'nodev', 'noexec'];

function option(key: string, value: string | number): FsOption {
  return { kind: 'string', key, value: String(value) };
}

/** What the kernel and Docker's client may write in a tmpfs option list, mount(8). */
const TMPFS_FLAGS: Readonly<Record<string, { readonly set?: MountAttribute; readonly clear?: MountAttribute }>> = {
  ro: { set: 'rdonly' },
  rw: { clear: 'rdonly' },
  nosuid: { set: 'nosuid' },
  suid: { clear: 'nosuid' },
  nodev: { set: 'nodev' },
  dev: { clear: 'nodev' },
  noexec: { set: 'noexec' },
  exec: { clear: 'noexec' },
  noatime: { set: 'noatime' },
  nodiratime: { set: 'nodiratime' },
  relatime: { set: 'relatime' },
  strictatime: { set: 'strictatime' },
};
const TMPFS_KEYS = new Set(['size', 'mode', 'uid', 'gid', 'nr_inodes', 'nr_blocks', 'mpol', 'huge']);
const IGNORED_TMPFS_OPTIONS = new Set(['', 'private', 'rprivate', 'slave', 'rslave', 'shared', 'rshared', 'tmpcopyup']);

/** Reads the options of `--tmpfs`: noexec, nosuid and nodev unless they say otherwise. @throws TsdError for an unknown one. */
export function parseTmpfsOptions(text: string): { options: FsOption[]; attributes: MountAttribute[] } {
  const attributes = new Set<MountAttribute>(SAFE);
  const options: FsOption[] = [option('source', 'tmpfs')];
  for (const word of text.split(',')) {
    const flag = Object.hasOwn(TMPFS_FLAGS, word) ? TMPFS_FLAGS[word] : undefined;
    const equals = word.indexOf('=');
    const key = word.slice(0, Math.max(equals, 0));
    if (flag !== undefined) {
      if (flag.set !== undefined) attributes.add(flag.set);
      if (flag.clear !== undefined) attributes.delete(flag.clear);
    } else if (TMPFS_KEYS.has(key)) {
      options.push(option(key, word.slice(equals + 1)));
    } else if (!IGNORED_TMPFS_OPTIONS.has(word)) {
      throw new TsdError('bad_parameter', `invalid tmpfs option ["${word}"]`);
    }
  }
  return { options, attributes: [...attributes] };
}

/** Normalised, without a slash at the end. */
function targetPath(path: string): string {
  return posix.normalize(path).replace(/(?<=.)\/$/, '');
}

/** A user's mount, reduced to what its steps need. */
export type WantedMount =
  | Extract<ContainerMount, { readonly type: 'bind' }>
  | {
      readonly type: 'tmpfs';
      readonly target: string;
      readonly options: readonly FsOption[];
      readonly attributes: readonly MountAttribute[];
    };

/** All user mounts by depth of their target, so that a mount never hides one beneath it. @throws TsdError for a bad target. */
export function wantedMounts(context: LaunchContext): WantedMount[] {
  const { hostConfig, mounts } = context.input;
  const wanted: WantedMount[] = mounts.map((mount) => {
    if (mount.type === 'bind') return { ...mount, target: targetPath(mount.target) };
    const attributes: MountAttribute[] = mount.readOnly ? [...SAFE, 'rdonly'] : [...SAFE];
    const options = [option('source', 'tmpfs')];
    if (mount.sizeBytes !== undefined && mount.sizeBytes > 0) options.push(option('size', mount.sizeBytes));
    if (mount.mode !== undefined) options.push(option('mode', mount.mode.toString(8)));
    return { type: 'tmpfs', target: targetPath(mount.target), options, attributes };
  });
  for (const [target, text] of Object.entries(hostConfig.Tmpfs ?? {})) {
    wanted.push({ type: 'tmpfs', target: targetPath(target), ...parseTmpfsOptions(text) });
  }
  const depth = (target: string): number => target.split('/').filter(Boolean).length;
  const seen = new Set<string>();
  for (const { target } of wanted) {
    if (!target.startsWith('/') || depth(target) === 0) {
      throw new TsdError('bad_parameter', `invalid mount path: '${target}' must be absolute and not '/'`);
    }
    if (target === '/proc' || target.startsWith('/proc/')) {
      throw new TsdError('bad_parameter', `"${target}" cannot be mounted because it is inside /proc`);
    }
    if (seen.has(target)) throw new TsdError('bad_parameter', `Duplicate mount point: ${target}`);
    seen.add(target);
  }
  return wanted.sort((a, b) => depth(a.target) - depth(b.target));
}

function propagationOf(text: string | undefined): MountPropagation {
  const kind = (text ?? '').replace(/^r(?=private|slave|shared)/, '') || 'private';
  if (kind === 'private' || kind === 'slave' || kind === 'shared') return kind;
  throw new TsdError('bad_parameter', `invalid propagation: ${text}`);
}

/** File systems of the kernel's own, on which no ids can be mapped: not even tried where they are beneath a bind mount. */
const NEVER_MAPPED = new Set(
  `autofs binder binfmt_misc bpf cgroup cgroup2 configfs debugfs devpts devtmpfs efivarfs fusectl hugetlbfs mqueue nsfs
  proc pstore ramfs rpc_pipefs securityfs selinuxfs sysfs tracefs`.split(/\s+/),
);
/** Of all bind mounts together: slots and steps of a plan are limited. */
const MAX_SEPARATE_SUBMOUNTS = 256;

/**
 * Bind mounts: cloned on the host's side, where the sources are in reach whatever the container's user may see. In a user
 * namespace they are idmapped, so that the container's root owns what root owns; a file system that cannot do that is mounted as
 * it is, which the create response said. Ids are mapped mount by mount: what is beneath, /proc of the host say, may be unable.
 * So it is cloned and attached by itself, as far as there is room, and unless that would reach the host by propagation.
 */
function planBinds(
  context: LaunchContext,
  userNamespace: Slot | null,
): (mount: Extract<WantedMount, { type: 'bind' }>) => { host: Step[]; container: Step[] } {
  let room = MAX_SEPARATE_SUBMOUNTS;
  return (mount) => {
    const propagation = propagationOf(mount.propagation);
    const submounts = (mount.recursive ?? true) ? (mount.submounts ?? []) : [];
    const isSeparate = userNamespace !== null && propagation !== 'shared' && submounts.length <= room;
    if (isSeparate) room -= submounts.length;
    const slot = context.newSlot();
    const recursive = (mount.recursive ?? true) && !(isSeparate && submounts.length > 0);
    const attributes = { ...(mount.readOnly ? { set: ['rdonly'] as const } : {}), propagation };
    const host: Step[] = [
      { op: 'clone-tree', side: 'host', at: { path: mount.source }, slot, recursive },
      { op: 'set-mount-attributes', side: 'host', slot, ...attributes, recursive },
    ];
    if (userNamespace !== null)
      host.push({ op: 'set-mount-attributes', side: 'host', optional: true, slot, idmap: userNamespace });
    const container: Step[] = [
      {
        op: 'attach-mount',
        side: 'container',
        slot,
        at: { base: context.rootSlot, path: mount.target },
        create: mount.directory ? 'directory' : 'file',
      },
    ];
    for (const { path, fsType } of isSeparate ? submounts : []) {
      // Optional: it may be gone by now.
      const beneath = { optional: true, slot: context.newSlot() } as const;
      host.push({ op: 'clone-tree', side: 'host', at: { path: posix.join(mount.source, path) }, ...beneath });
      host.push({ op: 'set-mount-attributes', side: 'host', ...beneath, ...attributes });
      if (userNamespace !== null && !NEVER_MAPPED.has(fsType))
        host.push({ op: 'set-mount-attributes', side: 'host', ...beneath, idmap: userNamespace });
      const at = { base: context.rootSlot, path: posix.join(mount.target, path) };
      container.push({ op: 'attach-mount', side: 'container', ...beneath, at });
    }
    return { host, container };
  };
}

/**
 * A tmpfs takes the mode of the directory that it covers, as with runc, unless its options have one: nobody else reads what is
 * in `--tmpfs /root`. What is missing is made with the mode that a tmpfs has by default, so that it is the same at a restart.
 */
function planTmpfs(context: LaunchContext, mount: Extract<WantedMount, { type: 'tmpfs' }>): Step[] {
  const slot = context.newSlot();
  const at = { base: context.rootSlot, path: mount.target };
  const hasMode = mount.options.some(({ key }) => key === 'mode');
  const steps: Step[] = [];
  // Optional: a symbolic link to nothing is followed only where mounts are attached.
  if (!hasMode) steps.push({ op: 'mkdir', side: 'container', optional: true, at, mode: 0o1777, parents: true });
  steps.push(
    {
      op: 'new-mount',
      side: 'container',
      fsType: 'tmpfs',
      options: hasMode ? mount.options : [...mount.options, { kind: 'mode', key: 'mode', of: at }],
      attributes: mount.attributes,
      slot,
    },
    { op: 'attach-mount', side: 'container', slot, at, create: 'directory' },
  );
  return steps;
}

/** The steps of each mount, in the order given. @throws TsdError for a propagation that does not exist */
export function planUserMounts(
  context: LaunchContext,
  userNamespace: Slot | null,
  wanted: readonly WantedMount[],
): readonly { readonly host: readonly Step[]; readonly container: readonly Step[] }[] {
  const planBind = planBinds(context, userNamespace);
  return wanted.map((mount) =>
    mount.type === 'bind' ? planBind(mount) : { host: [], container: planTmpfs(context, mount) },
  );
}
