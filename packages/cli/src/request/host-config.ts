/** HostConfig of a create request, every field as Docker's client sends it. */
import { EGRESS_ALLOW_ANNOTATION, splitEgressRules } from '@tsd/shared/egress';
import { parseRestartPolicy } from '@tsd/shared/restart-policy';
import { parseUlimit, type Ulimit } from '@tsd/shared/ulimit-spec';
import { parseBytes } from '@tsd/shared/units';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { flagValue, flagValues, keyValues } from './flag-value.ts';
import { networkModeOf, portBindingsOf } from './network-options.ts';
import type { RequestSource } from './request-source.ts';
import { resourcesOf } from './resource-options.ts';
import { capabilities, devicesOf, securityOptionsOf } from './security-options.ts';
import { bindsOf, mountsOf, tmpfsOf } from './volume-options.ts';

export function hostConfigOf(flags: ParsedFlags, source: RequestSource): Readonly<Record<string, unknown>> {
  return {
    Binds: bindsOf(flags.list('volume'), source),
    ContainerIDFile: flags.string('cidfile') ?? '',
    LogConfig: { Type: flags.string('log-driver') ?? '', Config: keyValues('log-opt', flags.list('log-opt')) },
    NetworkMode: networkModeOf(flags),
    PortBindings: portBindingsOf(flags),
    RestartPolicy: flagValue(flags, 'restart', parseRestartPolicy) ?? { Name: 'no', MaximumRetryCount: 0 },
    AutoRemove: flags.bool('rm'),
    VolumeDriver: flags.string('volume-driver') ?? '',
    VolumesFrom: listOrNull(flags.list('volumes-from')),
    ConsoleSize: consoleSize(flags, source),
    ...optional('Annotations', annotations(flags)),
    CapAdd: capabilities(flags.list('cap-add')),
    CapDrop: capabilities(flags.list('cap-drop')),
    CgroupnsMode: mode(flags, 'cgroupns', 'CGROUP', ['', 'private', 'host'], false),
    Dns: [...flags.list('dns')],
    DnsOptions: [...flags.list('dns-option')],
    DnsSearch: [...flags.list('dns-search')],
    ExtraHosts: extraHosts(flags.list('add-host')),
    GroupAdd: listOrNull(flags.list('group-add')),
    IpcMode: flags.string('ipc') ?? '',
    Cgroup: '',
    Links: listOrNull(flags.list('link')),
    OomScoreAdj: flags.int('oom-score-adj') ?? 0,
    PidMode: mode(flags, 'pid', 'PID', ['', 'host'], true),
    Privileged: flags.bool('privileged'),
    PublishAllPorts: flags.bool('publish-all'),
    ReadonlyRootfs: flags.bool('read-only'),
    ...securityOptionsOf(flags.list('security-opt'), source),
    ...optional('StorageOpt', pairsOrUndefined('storage-opt', flags)),
    ...optional('Tmpfs', tmpfsOf(flags.list('tmpfs'))),
    UTSMode: mode(flags, 'uts', 'UTS', ['', 'host'], false),
    UsernsMode: mode(flags, 'userns', 'USER', ['', 'host'], false),
    ShmSize: flagValue(flags, 'shm-size', parseBytes) ?? 0,
    ...optional('Sysctls', sysctls(flags.list('sysctl'))),
    ...optional('Runtime', flags.string('runtime')),
    Isolation: flags.string('isolation') ?? '',
    ...resourcesOf(flags),
    CgroupParent: flags.string('cgroup-parent') ?? '',
    ...devicesOf(flags),
    DeviceCgroupRules: listOrNull(flags.list('device-cgroup-rule')),
    Ulimits: ulimits(flags),
    ...optional('Mounts', mountsOf(flags, source)),
    ...(flags.has('init') ? { Init: flags.bool('init') } : {}),
  };
}

/** Rows and columns of the terminal: the container's has them from the start, before any resize can arrive. */
function consoleSize(flags: ParsedFlags, source: RequestSource): [number, number] {
  const size = flags.bool('tty') ? source.terminalSize() : null;
  return size === null ? [0, 0] : [size.rows, size.columns];
}

/** A namespace mode with Docker's error: `--pid: invalid PID mode`. */
function mode(
  flags: ParsedFlags,
  name: string,
  title: string,
  allowed: readonly string[],
  containerAllowed: boolean,
): string {
  const value = flags.string(name) ?? '';
  if (allowed.includes(value) || (containerAllowed && /^container:./.test(value))) return value;
  throw new UsageError(`--${name}: invalid ${title} mode`);
}

/** The last value of each name, by name. */
function ulimits(flags: ParsedFlags): Ulimit[] {
  const byName = new Map(flagValues(flags, 'ulimit', parseUlimit).map((ulimit) => [ulimit.Name, ulimit]));
  return [...byName.values()].sort((left, right) => (left.Name < right.Name ? -1 : 1));
}

/** `name:ip` and `name=ip` (an IPv6 address may be in brackets) as `name:ip`. */
function extraHosts(values: readonly string[]): string[] | null {
  if (values.length === 0) return null;
  return values.map((text) => {
    const separator = text.search(/[=:]/);
    const name = separator === -1 ? '' : text.slice(0, separator);
    const address = text.slice(separator + 1).replace(/^\[(.*)\]$/, '$1');
    if (name === '' || address === '') {
      throw new UsageError(`invalid argument "${text}" for "--add-host" flag: bad format for add-host: "${text}"`, {
        showUsage: true,
      });
    }
    return `${name}:${address}`;
  });
}

const SYSCTL_NAMES: ReadonlySet<string> = new Set([
  'kernel.msgmax',
  'kernel.msgmnb',
  'kernel.msgmni',
  'kernel.sem',
  'kernel.shmall',
  'kernel.shmmax',
  'kernel.shmmni',
  'kernel.shm_rmid_forced',
]);

/** Only sysctls of the container's own namespaces, as Docker's client checks them (cli opts ValidateSysctl). */
function sysctls(values: readonly string[]): Record<string, string> | undefined {
  if (values.length === 0) return undefined;
  for (const text of values) {
    const name = text.split('=', 1)[0] ?? '';
    const allowed = SYSCTL_NAMES.has(name) || name.startsWith('net.') || name.startsWith('fs.mqueue.');
    if (!text.includes('=') || !allowed) {
      throw new UsageError(`invalid argument "${text}" for "--sysctl" flag: sysctl '${text}' is not allowed`, {
        showUsage: true,
      });
    }
  }
  return keyValues('sysctl', values);
}

/** --annotation, and the rules of --allow-egress. */
function annotations(flags: ParsedFlags): Record<string, string> | undefined {
  const given = pairsOrUndefined('annotation', flags);
  const rules = flags.list('allow-egress').flatMap(splitEgressRules);
  return rules.length === 0 ? given : { ...given, [EGRESS_ALLOW_ANNOTATION]: rules.join(',') };
}

function pairsOrUndefined(name: string, flags: ParsedFlags): Record<string, string> | undefined {
  const values = flags.list(name);
  return values.length === 0 ? undefined : keyValues(name, values);
}

function optional(field: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [field]: value };
}

function listOrNull(values: readonly string[]): string[] | null {
  return values.length === 0 ? null : [...values];
}
