/** The daemon's configuration: flags, TSD_… variables and the JSON file become one frozen value. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { parseUlimit, type Ulimit } from '@tsd/shared/ulimit-spec';
import {
  DEFAULT_CONFIG_FILE,
  helpText,
  LOG_LEVELS,
  type LogLevel,
  SETTINGS,
  type SettingName,
  settings,
  type Values,
} from './config-settings.ts';
import { readFlags, readJson, readVariables } from './config-sources.ts';
import { parseInsecureRegistries, parseMirror } from './images/registry/registry-hosts.ts';
import { parseAddressPool } from './networks/address-pools.ts';
import { canonicalAddress, lastOf, parseCidr } from './networks/ip-address.ts';
import { parseBridgeName, parseMtu } from './networks/network-options.ts';
import type { KernelVersion } from './runtime/layer-support.ts';

export interface Config {
  /** State that outlives a boot: layers, containers, the database. Absolute. */
  readonly dataRoot: string;
  /** State of this boot: control sockets, the pid file. Absolute. */
  readonly execRoot: string;
  /** Paths of the Unix sockets that the API listens on; at least one. */
  readonly sockets: readonly string[];
  /** Group that may use the sockets; empty for root alone. A group that the host lacks is not an error. */
  readonly group: string;
  readonly logLevel: LogLevel;
  /** Cgroup under which containers live, relative to each controller's root; null for the default. */
  readonly cgroupParent: string | null;
  readonly defaultUlimits: readonly Ulimit[];
  /** URLs of mirrors of Docker Hub. */
  readonly registryMirrors: readonly string[];
  /** Hosts and networks that may speak HTTP, besides loopback. */
  readonly insecureRegistries: readonly string[];
  /** The host's interface that is the default network's bridge. */
  readonly bridgeName: string;
  /** Its address with the prefix length of its subnet; null to choose one. */
  readonly bip: string | null;
  /** Of the default bridge, bytes; null for the default. */
  readonly mtu: number | null;
  /** IPv6 on the default bridge. */
  readonly ipv6: boolean;
  /** The host's address on which the default network's ports are published without one; `0.0.0.0` for all. */
  readonly ip: string;
  /** `base=CIDR,size=BITS`; empty for the default ones. */
  readonly defaultAddressPools: readonly string[];
  /** Published ports obey the host's INPUT chains. */
  readonly publishThroughInput: boolean;
  /** Nothing is dropped between the host's other interfaces where the daemon switches forwarding on. */
  readonly ipForwardNoDrop: boolean;
  readonly pidFile: string;
  /** The launcher's binary; null for the one beside the daemon. */
  readonly launcherPath: string | null;
  /** The kernel that layers are handled for; null for the running one. */
  readonly assumedKernel: KernelVersion | null;
  /** Labels of the engine, as `docker info` shows them. */
  readonly labels: readonly string[];
  readonly configFile: string;
}

export type ConfigResult =
  | { readonly kind: 'run'; readonly config: Config }
  | { readonly kind: 'help'; readonly text: string }
  | { readonly kind: 'version' };

export interface ConfigSources {
  /** Arguments after the program's name. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Returns the text of the file, null where it is missing. */
  readonly readFile?: (path: string) => string | null;
}

/**
 * Reads all sources. A flag wins over a variable, a variable over the file; the same setting as a flag and in the
 * file is a conflict, as in dockerd. Throws bad_parameter with a text for the terminal.
 */
export function readConfig(sources: ConfigSources): ConfigResult {
  const readFile = sources.readFile ?? readFileIfThere;
  const flags = readFlags(sources.argv);
  if (flags === 'help') return { kind: 'help', text: helpText() };
  if (flags === 'version') return { kind: 'version' };
  const variables = readVariables(sources.env);
  const named = text(flags.configFile ?? variables.configFile);
  const configFile = named ?? DEFAULT_CONFIG_FILE;
  const contents = readFile(configFile);
  if (contents === null && named !== undefined) {
    throw new TsdError('bad_parameter', `unable to configure the daemon with file ${configFile}: no such file`);
  }
  const file = contents === null ? {} : readJson(contents, configFile);
  checkConflicts(flags, file, configFile);
  return { kind: 'run', config: build({ ...file, ...variables, ...flags }, configFile) };
}

function build(values: Values, configFile: string): Config {
  const dataRoot = absolutePath(values, 'dataRoot') ?? '/var/lib/tsd';
  const execRoot = absolutePath(values, 'execRoot') ?? '/run/tsd';
  const level = values.debug === true ? 'debug' : (text(values.logLevel) ?? 'info');
  if (!isLogLevel(level)) {
    throw new TsdError('bad_parameter', `log-level: invalid level "${level}" (one of ${LOG_LEVELS.join(', ')})`);
  }
  const sockets = list(values.hosts).map(parseHost);
  const labels = list(values.labels);
  for (const label of labels) {
    if (!label.includes('='))
      throw new TsdError('bad_parameter', `labels: bad attribute format: ${label} (write KEY=VALUE)`);
  }
  const cgroupParent = text(values.cgroupParent) ?? null;
  if (cgroupParent?.split('/').includes('..')) {
    throw new TsdError('bad_parameter', `cgroup-parent: "${cgroupParent}" must not contain ".."`);
  }
  const insecureRegistries = list(values.insecureRegistries);
  parseInsecureRegistries(insecureRegistries);
  const defaultAddressPools = list(values.defaultAddressPools);
  defaultAddressPools.forEach(parseAddressPool);
  return deepFreeze({
    dataRoot,
    execRoot,
    sockets: sockets.length === 0 ? [join(execRoot, 'tsd.sock')] : sockets,
    group: text(values.group) ?? 'tsd',
    logLevel: level,
    cgroupParent,
    defaultUlimits: list(values.defaultUlimits).map(parseUlimit),
    registryMirrors: list(values.registryMirrors).map((mirror) => parseMirror(mirror).href),
    insecureRegistries,
    bridgeName: parseBridgeName(text(values.bridgeName) ?? '') ?? defaultBridgeName(dataRoot),
    bip: parseBip(text(values.bip)),
    mtu: parseMtu(text(values.mtu) ?? '', 'mtu'),
    ipv6: values.ipv6 === true,
    ip: parseIp(text(values.ip) ?? ''),
    defaultAddressPools,
    publishThroughInput: values.publishThroughInput === true,
    ipForwardNoDrop: values.ipForwardNoDrop === true,
    pidFile: absolutePath(values, 'pidFile') ?? join(execRoot, 'tsd.pid'),
    launcherPath: absolutePath(values, 'launcher') ?? null,
    assumedKernel: parseKernel(text(values.assumedKernel)),
    labels,
    configFile,
  });
}

/** dockerd refuses a setting that is both a flag and in the file, lists included. */
function checkConflicts(flags: Values, file: Values, path: string): void {
  const conflicts = settings().flatMap(([name, setting]) =>
    flags[name] !== undefined && file[name] !== undefined
      ? [`${setting.key}: (from flag: ${show(flags[name])}, from file: ${show(file[name])})`]
      : [],
  );
  if (conflicts.length > 0) {
    throw new TsdError(
      'bad_parameter',
      `unable to configure the daemon with file ${path}: the following directives are specified both as a flag and in the configuration file: ${conflicts.join(', ')}`,
    );
  }
}

/** The path of a `unix://` address. Throws bad_parameter for anything else: the API gives root, so it is never on TCP. */
function parseHost(host: string): string {
  const path = host.startsWith('unix://') ? host.slice('unix://'.length) : host;
  if (!isAbsolute(path)) {
    throw new TsdError('bad_parameter', `host: invalid address "${host}" (only unix:///absolute/path is supported)`);
  }
  // sockaddr_un has 108 bytes with the final zero, unix(7).
  if (Buffer.byteLength(path) > 107)
    throw new TsdError('bad_parameter', `host: the socket's path "${path}" is longer than 107 bytes`);
  return path;
}

/** Each data root has a bridge of its own: daemons beside each other do not take each other's. */
function defaultBridgeName(dataRoot: string): string {
  if (dataRoot === '/var/lib/tsd') return 'tsd0';
  return `tsd${createHash('sha256').update(dataRoot).digest('hex').slice(0, 8)}`;
}

/** The address itself is the bridge's: it is neither the subnet's first nor its last. */
function parseBip(bip: string | undefined): string | null {
  if (bip === undefined || bip === '') return null;
  const cidr = parseCidr(bip);
  const host = cidr === null ? 0n : cidr.address.value - cidr.prefix.first;
  if (cidr?.address.family !== 4 || cidr.prefix.bits > 30 || host === 0n || cidr.address.value === lastOf(cidr.prefix))
    throw new TsdError(
      'bad_parameter',
      `bip: invalid address "${bip}" (write an IPv4 address of a subnet, like 172.17.0.1/16)`,
    );
  return bip;
}

function parseIp(text: string): string {
  const address = canonicalAddress(text === '' ? '0.0.0.0' : text);
  if (address === null)
    throw new TsdError('bad_parameter', `ip: invalid address "${text}" (write an address of the host, like 127.0.0.1)`);
  return address;
}

function parseKernel(version: string | undefined): KernelVersion | null {
  if (version === undefined) return null;
  const [, major, minor] = /^(\d{1,3})\.(\d{1,3})$/.exec(version) ?? [];
  if (major === undefined || minor === undefined)
    throw new TsdError('bad_parameter', `assume-kernel: invalid version "${version}" (write MAJOR.MINOR, like 6.1)`);
  return { major: Number(major), minor: Number(minor) };
}

function absolutePath(values: Values, name: SettingName): string | undefined {
  const value = text(values[name]);
  if (value === undefined) return undefined;
  if (!isAbsolute(value))
    throw new TsdError('bad_parameter', `${SETTINGS[name].flag}: "${value}" must be an absolute path`);
  return value === '/' ? value : value.replace(/\/+$/, '');
}

function readFileIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error) {
      if (error.code === 'ENOENT' || (error.code === 'ENOTDIR' && dirname(path) !== '/')) return null;
      throw new TsdError('bad_parameter', `unable to configure the daemon with file ${path}: ${error.message}`);
    }
    throw error;
  }
}

function isLogLevel(level: string): level is LogLevel {
  return (LOG_LEVELS as readonly string[]).includes(level);
}

function text(value: Values[SettingName]): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

function list(value: Values[SettingName]): readonly string[] {
  return typeof value === 'object' ? value : [];
}

function show(value: Values[SettingName]): string {
  return typeof value === 'object' ? `[${value.join(' ')}]` : String(value);
}

function deepFreeze<Value extends object>(value: Value): Value {
  for (const inner of Object.values(value)) if (typeof inner === 'object' && inner !== null) deepFreeze(inner);
  return Object.freeze(value);
}
