/**
 * Everything that {@link planLaunch} decides from: plain values, gathered by the caller beforehand. Field names that begin
 * with a capital are the Docker Engine API's, with its units, so that a container's stored `Config` and `HostConfig` can be
 * given as they are.
 */
import type { HostDevice } from '../os/lookup-devices.ts';
import type { HostFacts } from './host-facts.ts';
import type { SeccompRules } from './seccomp-profile.ts';

/** The container's own configuration: Docker's `Config` *after* the image's was merged into it (Env, Cmd, Entrypoint,
 * User, WorkingDir), as `docker inspect` shows it. */
export interface ContainerConfig {
  readonly Hostname?: string | undefined;
  readonly Domainname?: string | undefined;
  /** `user[:group]`, names or numbers. */
  readonly User?: string | undefined;
  readonly Tty?: boolean | undefined;
  readonly OpenStdin?: boolean | undefined;
  readonly StdinOnce?: boolean | undefined;
  readonly Env?: readonly string[] | null | undefined;
  readonly Cmd?: readonly string[] | null | undefined;
  readonly Entrypoint?: readonly string[] | null | undefined;
  readonly WorkingDir?: string | undefined;
}

export interface Ulimit {
  readonly Name?: string | undefined;
  /** -1 is unlimited. */
  readonly Soft?: number | undefined;
  readonly Hard?: number | undefined;
}

export interface DeviceMapping {
  readonly PathOnHost?: string | undefined;
  readonly PathInContainer?: string | undefined;
  /** Some of `r`, `w`, `m`. */
  readonly CgroupPermissions?: string | undefined;
}

/** Docker's `HostConfig`: the fields that shape a launch. Others are ignored here. */
export interface LaunchHostConfig {
  readonly NetworkMode?: string | undefined;
  readonly CapAdd?: readonly string[] | null | undefined;
  readonly CapDrop?: readonly string[] | null | undefined;
  /** `private` or `host`; private by default. */
  readonly CgroupnsMode?: string | undefined;
  readonly GroupAdd?: readonly string[] | null | undefined;
  /** `private`, `host`, `none`, `shareable`, `container:ID`. */
  readonly IpcMode?: string | undefined;
  readonly OomScoreAdj?: number | undefined;
  /** ``, `host` or `container:ID`. */
  readonly PidMode?: string | undefined;
  readonly Privileged?: boolean | undefined;
  readonly ReadonlyRootfs?: boolean | undefined;
  /** `seccomp=<JSON text>|unconfined`, `no-new-privileges[=bool]`, `apparmor=…`, `label=…`, `systempaths=unconfined`. */
  readonly SecurityOpt?: readonly string[] | null | undefined;
  /** Container path → mount options. */
  readonly Tmpfs?: Readonly<Record<string, string>> | null | undefined;
  readonly UTSMode?: string | undefined;
  /** `` (a user namespace of its own) or `host`. */
  readonly UsernsMode?: string | undefined;
  readonly ShmSize?: number | undefined;
  readonly Sysctls?: Readonly<Record<string, string>> | null | undefined;
  readonly Ulimits?: readonly Ulimit[] | null | undefined;
  readonly Devices?: readonly DeviceMapping[] | null | undefined;
  readonly DeviceCgroupRules?: readonly string[] | null | undefined;
  readonly Init?: boolean | null | undefined;
  /** null: Docker's default list; empty: none. */
  readonly MaskedPaths?: readonly string[] | null | undefined;
  readonly ReadonlyPaths?: readonly string[] | null | undefined;
  readonly CpuShares?: number | undefined;
  readonly Memory?: number | undefined;
  readonly MemorySwap?: number | undefined;
  readonly MemoryReservation?: number | undefined;
  readonly MemorySwappiness?: number | null | undefined;
  readonly OomKillDisable?: boolean | null | undefined;
  readonly NanoCpus?: number | undefined;
  readonly CpuPeriod?: number | undefined;
  readonly CpuQuota?: number | undefined;
  readonly CpuRealtimePeriod?: number | undefined;
  readonly CpuRealtimeRuntime?: number | undefined;
  readonly CpusetCpus?: string | undefined;
  readonly CpusetMems?: string | undefined;
  readonly PidsLimit?: number | null | undefined;
  readonly BlkioWeight?: number | undefined;
}

/** A user's mount, parsed (-v, --mount) and looked up on the host: the source exists. */
export type ContainerMount =
  | {
      readonly type: 'bind';
      /** Absolute path on the host. */
      readonly source: string;
      /** Absolute path in the container. */
      readonly target: string;
      readonly readOnly: boolean;
      /** The source is a directory (decides what is made at the target where it is missing). */
      readonly directory: boolean;
      /** Mounts beneath the source come along; Docker's default. */
      readonly recursive?: boolean;
      /** With `recursive`: what is mounted beneath the source now, paths below it, a mount before those beneath it. */
      readonly submounts?: readonly { readonly path: string; readonly fsType: string }[];
      /** Docker's `[r]private|[r]slave|[r]shared`; rprivate by default. */
      readonly propagation?: string | undefined;
    }
  | {
      readonly type: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly sizeBytes?: number | undefined;
      /** Permission bits; those of the directory that it covers by default, and 0o1777 where there is none. */
      readonly mode?: number | undefined;
    };

/** The container's range of host ids: container id n is host id `first + n`, for 0 ≤ n < size. */
export interface IdRange {
  readonly first: number;
  readonly size: number;
}

/** One of the container's interfaces: a veth pair whose other end is a port of a bridge of the host. */
export interface PlannedInterface {
  /** The host's end: `tsdv` and 11 hexadecimal digits of the endpoint's id. New at each start. */
  readonly hostName: string;
  /** The host's number of the bridge. */
  readonly bridgeIndex: number;
  /** Inside the container: `eth0`, … */
  readonly name: string;
  /** `02:42:ac:11:00:02`. One that follows from the address keeps what neighbours remember of the address right. */
  readonly mac: string;
  /** Bytes. */
  readonly mtu: number;
  /** With prefix lengths: `172.18.0.2/16`, `fd00::2/64`. Without one of IPv6 the interface has no link-local address either. */
  readonly addresses: readonly string[];
  /** It reaches the bridge and what is beyond, but no other isolated port (`enable_icc=false`). */
  readonly isolated?: boolean | undefined;
  /**
   * The container has published ports: what it sends to one through the host's address may come back to it. Where the kernel
   * filters what bridges forward (br_netfilter), the bridge itself returns it, by the port that it came from.
   */
  readonly hairpin?: boolean | undefined;
  /** Default gateways, at most one of each family; empty where another interface has them, and in internal networks. */
  readonly gateways: readonly string[];
}

/** Absolute paths on the host. */
export interface ContainerPaths {
  /** Existing directory of the container; the root is mounted on it inside the container's own mount namespace. */
  readonly directory: string;
  /** Overlay's upper and work directory: made by the plan where missing, the upper one owned by the container's root. */
  readonly upper: string;
  readonly work: string;
  /** Files bound at /etc/hosts and so on, owned by the container's root; null where a mode needs none. */
  readonly hosts: string | null;
  readonly hostname: string | null;
  readonly resolvConf: string | null;
  readonly controlSocket: string;
  readonly exitFile: string;
}

export interface LaunchInput {
  /** 64 hexadecimal digits. */
  readonly id: string;
  readonly config: ContainerConfig;
  readonly hostConfig: LaunchHostConfig;
  readonly mounts: readonly ContainerMount[];
  /** Number of the image's layers. Slot i (0 ≤ i < layerCount) holds layer i's detached mount, bottom first. */
  readonly layerCount: number;
  /** Names of `MARKS` (mount-points.ts) that the root lacks. */
  readonly missingMarks: readonly string[];
  /** Text of the root's /etc/passwd and /etc/group; null where they are missing. */
  readonly passwd: string | null;
  readonly group: string | null;
  readonly host: HostFacts;
  /** Null only with `UsernsMode` host. */
  readonly idRange: IdRange | null;
  readonly paths: ContainerPaths;
  /** Null: no log (driver none). */
  readonly log: { readonly file: string; readonly maxBytes: number; readonly maxFiles: number } | null;
  /** In their order; empty with the networks `host` and `none` and with `container:ID`. */
  readonly networks: readonly PlannedInterface[];
  /** With the NetworkMode `container:ID`: the host's pid of that container's process, whose network this one joins. */
  readonly joinedNetworkPid?: number | undefined;
  /**
   * With the PidMode or IpcMode `container:ID`: the host's pid of that container's process. A container with an id range has
   * that of the containers whose namespaces it joins.
   */
  readonly joined?: { readonly pid?: number | undefined; readonly ipc?: number | undefined } | undefined;
  /** What `lookupDevices` found for `Devices`; with `Privileged` every node of the host too. */
  readonly devices: readonly HostDevice[];
  /** Terminal size at the start; 0×0 (unknown, as Docker) where missing. */
  readonly consoleSize?: { readonly rows: number; readonly columns: number } | undefined;
  /** Turns a resolved profile into a program; injected because it calls libseccomp. */
  readonly compileSeccomp: (profile: SeccompRules) => Uint8Array;
}
