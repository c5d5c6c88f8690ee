/**
 * The launch plan: everything that the launcher (packages/launcher) does to make one container process, as a value.
 *
 * Policy is decided before a plan exists; the launcher only executes the steps in order. The wire encoding, the
 * handshake and the meaning of every step are specified in packages/launcher/PROTOCOL.md.
 *
 * Two processes execute a plan: the launcher itself, on the host, and from the `clone` step on also its child, which
 * is inside the new namespaces. Every step names its side; the baton passes from one to the other where the side changes.
 * They share one descriptor table until `exec`, so a slot filled by one side can be used by the other.
 */

/** The process that executes a step: the launcher on the host, or the child inside the container's namespaces. */
export type Side = 'host' | 'container';

/** A numbered place in the descriptor table that both sides share (0–1023). Some are filled by the daemon beforehand. */
export type Slot = number;

/** The number of the descriptor that a slot is in the launcher, for messages that name one (PROTOCOL.md, netlink). */
export function slotDescriptor(slot: Slot): number {
  return 64 + slot;
}

/** Names of namespaces(7). */
export type Namespace = 'cgroup' | 'ipc' | 'mount' | 'net' | 'pid' | 'user' | 'uts';

/** A path: absolute in the process' own root, or, with `base`, beneath the directory in that slot, which no `..`,
 * symlink or magic link can leave (openat2(2): RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS). An empty path is the base. */
export interface PlanPath {
  readonly base?: Slot;
  readonly path: string;
}

/** Attributes of one mount, mount_setattr(2). */
export type MountAttribute =
  | 'rdonly'
  | 'nosuid'
  | 'nodev'
  | 'noexec'
  | 'noatime'
  | 'relatime'
  | 'strictatime'
  | 'nodiratime'
  | 'nosymfollow';

export type MountPropagation = 'private' | 'slave' | 'shared' | 'unbindable';

/** An option of a new file system, fsconfig(2). */
export type FsOption =
  | { readonly kind: 'flag'; readonly key: string }
  | { readonly kind: 'string'; readonly key: string; readonly value: string }
  /** Gives the descriptor in the slot (overlayfs: lowerdir+, upperdir, workdir). */
  | { readonly kind: 'slot'; readonly key: string; readonly slot: Slot }
  /** Gives the permission bits of what is at the path, in octal; left out where nothing is there. */
  | { readonly kind: 'mode'; readonly key: string; readonly of: PlanPath };

/** One line of uid_map or gid_map, user_namespaces(7). */
export interface IdMapping {
  readonly containerId: number;
  readonly hostId: number;
  readonly size: number;
}

/** Capability numbers of each set, capabilities(7). */
export interface CapabilitySets {
  readonly bounding: readonly number[];
  readonly effective: readonly number[];
  readonly permitted: readonly number[];
  readonly inheritable: readonly number[];
  readonly ambient: readonly number[];
}

interface StepBase {
  readonly side: Side;
  /** A failure is reported as a warning and the plan goes on. */
  readonly optional?: boolean;
  /** Container side only: the host's steps that follow are done meanwhile, up to the next one of the container side. */
  readonly ahead?: boolean;
}

export type Step = StepBase &
  (
    | {
        readonly op: 'mkdir';
        readonly at: PlanPath;
        readonly mode: number;
        readonly parents?: boolean;
        readonly uid?: number;
        readonly gid?: number;
      }
    | { readonly op: 'symlink'; readonly at: PlanPath; readonly target: string }
    | {
        readonly op: 'mknod';
        readonly at: PlanPath;
        readonly type: 'char' | 'block' | 'fifo' | 'file';
        readonly mode: number;
        readonly major: number;
        readonly minor: number;
        readonly uid?: number;
        readonly gid?: number;
      }
    /** Writes with one write(2): cgroup and sysctl files, id maps. `create` makes the file (0644) where it is missing. */
    | { readonly op: 'write-file'; readonly at: PlanPath; readonly data: string; readonly create?: boolean }
    /** Host side, after `clone`: writes the child's pid into `at`/cgroup.procs. */
    | { readonly op: 'enter-cgroup'; readonly at: PlanPath }
    /** Attaches a device filter (struct bpf_insn[]) to the version 2 cgroup at `at`, bpf(2) BPF_CGROUP_DEVICE. */
    | { readonly op: 'attach-device-program'; readonly at: PlanPath; readonly program: Uint8Array }
    /** Opens `at` (O_PATH, and O_DIRECTORY where asked) into the slot. */
    | { readonly op: 'open-path'; readonly at: PlanPath; readonly slot: Slot; readonly directory?: boolean }
    /** pidfd_open(2) of a process of the host. */
    | { readonly op: 'open-pidfd'; readonly pid: number; readonly slot: Slot }
    /** Host side, after `clone`: /proc/CHILD/ns/… into the slot. */
    | { readonly op: 'open-child-namespace'; readonly namespace: Namespace; readonly slot: Slot }
    /** setns(2) to these namespaces of the process (pidfd) in the slot; without one to the launcher's own. */
    | { readonly op: 'join-namespaces'; readonly slot?: Slot; readonly namespaces: readonly Namespace[] }
    | { readonly op: 'unshare'; readonly namespaces: readonly Namespace[] }
    /** clone3(2): the child exists from here on. Host side; exactly one per plan. With `cgroup`, CLONE_INTO_CGROUP. */
    | { readonly op: 'clone'; readonly namespaces: readonly Namespace[]; readonly cgroup?: Slot }
    /** Host side, after `clone`: writes the child's uid_map or gid_map. */
    | { readonly op: 'id-map'; readonly kind: 'uid' | 'gid'; readonly mappings: readonly IdMapping[] }
    /** open_tree(2) with OPEN_TREE_CLONE: a detached copy of the mount at `at`. */
    | { readonly op: 'clone-tree'; readonly at: PlanPath; readonly slot: Slot; readonly recursive?: boolean }
    /** mount_setattr(2) on the mount in the slot. `idmap` is a slot that holds a user namespace. */
    | {
        readonly op: 'set-mount-attributes';
        readonly slot: Slot;
        readonly set?: readonly MountAttribute[];
        readonly clear?: readonly MountAttribute[];
        readonly propagation?: MountPropagation;
        readonly idmap?: Slot;
        readonly recursive?: boolean;
      }
    /** fsopen(2), fsconfig(2), fsmount(2): a detached mount of a new file system. */
    | {
        readonly op: 'new-mount';
        readonly fsType: string;
        readonly options: readonly FsOption[];
        readonly attributes: readonly MountAttribute[];
        readonly slot: Slot;
      }
    /**
     * The detached overlay of a kernel before 6.15, by mount(2): the layers, slots with detached mounts of the plan's own, are
     * attached in a mount namespace that exists for this step only. `layers` has the topmost first; the paths are absolute.
     */
    | {
        readonly op: 'new-overlay-by-path';
        readonly layers: readonly Slot[];
        readonly upper: string;
        readonly work: string;
        readonly attributes: readonly MountAttribute[];
        readonly slot: Slot;
      }
    /** move_mount(2) of the detached mount onto `at`, made beforehand (with parents) as `create` says where missing. */
    | {
        readonly op: 'attach-mount';
        readonly slot: Slot;
        readonly at: PlanPath;
        readonly create?: 'directory' | 'file';
      }
    /** Propagation of the process' whole mount tree, mount(2). */
    | { readonly op: 'set-root-propagation'; readonly propagation: MountPropagation }
    /** Covers `at` with /dev/null (file) or an empty read-only tmpfs (directory); does nothing where it is missing. */
    | { readonly op: 'mask-path'; readonly at: PlanPath }
    /** Makes `at` a read-only mount of itself; does nothing where it is missing. */
    | { readonly op: 'read-only-path'; readonly at: PlanPath }
    /** pivot_root(2) into the mount at the directory in the slot; the old root is detached. */
    | { readonly op: 'pivot-root'; readonly slot: Slot }
    /** chroot(2) into the directory in the slot, which must be attached above the root of a namespace that has nothing else. */
    | { readonly op: 'change-root'; readonly slot: Slot }
    | { readonly op: 'set-hostname'; readonly name: string }
    | { readonly op: 'set-domainname'; readonly name: string }
    /** Sends complete netlink messages, each after the acknowledgement of the one before (netlink(7)), in this side's network
     * namespace. A message names a slot as {@link slotDescriptor} says. */
    | { readonly op: 'netlink'; readonly protocol: number; readonly messages: readonly Uint8Array[] }
    | { readonly op: 'set-rlimit'; readonly resource: number; readonly soft: bigint; readonly hard: bigint }
    | { readonly op: 'set-umask'; readonly mask: number }
    | { readonly op: 'set-oom-score-adj'; readonly score: number }
    /** Opens a pty on the devpts mounted in the root in `root`; the process gets the terminal, the supervisor the master. */
    | { readonly op: 'open-pty'; readonly root: Slot; readonly rows: number; readonly columns: number }
    /** A new session keyring, keyctl(2). */
    | { readonly op: 'new-session-keyring' }
    | { readonly op: 'set-exec-label'; readonly module: 'apparmor' | 'selinux'; readonly label: string }
    | { readonly op: 'set-no-new-privileges' }
    /** Bounding set, then groups, gid, uid, then the other sets. */
    | {
        readonly op: 'set-credentials';
        readonly uid: number;
        readonly gid: number;
        readonly groups: readonly number[];
        readonly capabilities: CapabilitySets;
      }
    /** A classic BPF program (struct sock_filter[]) as seccomp(2) takes it. */
    | { readonly op: 'set-seccomp'; readonly program: Uint8Array; readonly log?: boolean }
    | { readonly op: 'change-directory'; readonly path: string }
    /** execve(2), argv[0] looked up in env's PATH when it has no slash. With `init` the child stays as pid 1, forwards
     * signals and reaps, and runs argv as its own child. The last step. */
    | {
        readonly op: 'exec';
        readonly argv: readonly string[];
        readonly env: readonly string[];
        readonly init?: boolean;
      }
  );

/** What the supervisor does once the process runs. Paths are the host's, absolute. */
export interface SupervisorPlan {
  /** Pathname of the Unix socket (0600) that a daemon connects to; its directory exists. */
  readonly controlSocket: string;
  /** Written durably (temporary name, fsync, rename) before anyone is told of the exit. */
  readonly exitFile: string;
  /** The CRI log; null for none. Rotated as `file`, `file.1`, … `file.(maxFiles-1)`. */
  readonly log: { readonly file: string; readonly maxBytes: number; readonly maxFiles: number } | null;
  readonly tty: boolean;
  /** Keep a stdin pipe open for attach clients; otherwise stdin is /dev/null (tty: the terminal without input). */
  readonly openStdin: boolean;
  /** Close stdin when the first attach client that sends input has ended its input. */
  readonly stdinOnce: boolean;
  /** File with an `oom_kill N` line read at exit (v1 memory.oom_control, v2 memory.events); null for none. */
  readonly oomCounterFile: string | null;
}

export interface LaunchPlan {
  readonly supervisor: SupervisorPlan;
  readonly steps: readonly Step[];
}
