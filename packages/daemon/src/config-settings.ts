/** The daemon's settings: their names as flags, variables and keys of the JSON file, and the help text. */

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export const DEFAULT_CONFIG_FILE = '/etc/tsd/daemon.json';

export interface Setting {
  /** The key in the JSON file (null: not there), the flag without dashes, and the variable (null: none). */
  readonly key: string | null;
  readonly flag: string;
  readonly short?: string;
  readonly variable: string | null;
  readonly type: 'string' | 'number' | 'boolean' | 'list' | 'ulimits' | 'pools';
  readonly argument?: string;
  readonly help: string;
}

export const SETTINGS = {
  dataRoot: {
    key: 'data-root',
    flag: 'data-root',
    variable: 'TSD_DATA_ROOT',
    type: 'string',
    argument: 'DIR',
    help: 'root of persistent state (default /var/lib/tsd)',
  },
  execRoot: {
    key: 'exec-root',
    flag: 'exec-root',
    variable: 'TSD_EXEC_ROOT',
    type: 'string',
    argument: 'DIR',
    help: 'root of state of this boot (default /run/tsd)',
  },
  hosts: {
    key: 'hosts',
    flag: 'host',
    short: 'H',
    variable: 'TSD_HOST',
    type: 'list',
    argument: 'URL',
    help: 'socket to listen on, can be repeated (default unix://EXEC-ROOT/tsd.sock)',
  },
  group: {
    key: 'group',
    flag: 'group',
    short: 'G',
    variable: 'TSD_GROUP',
    type: 'string',
    argument: 'NAME',
    help: 'group that may use the socket, "" for root alone (default tsd)',
  },
  logLevel: {
    key: 'log-level',
    flag: 'log-level',
    short: 'l',
    variable: 'TSD_LOG_LEVEL',
    type: 'string',
    argument: 'LEVEL',
    help: `${LOG_LEVELS.join(', ')} (default info)`,
  },
  debug: {
    key: 'debug',
    flag: 'debug',
    short: 'D',
    variable: 'TSD_DEBUG',
    type: 'boolean',
    help: 'the same as --log-level debug',
  },
  cgroupParent: {
    key: 'cgroup-parent',
    flag: 'cgroup-parent',
    variable: 'TSD_CGROUP_PARENT',
    type: 'string',
    argument: 'PATH',
    help: 'cgroup that holds all containers',
  },
  defaultUlimits: {
    key: 'default-ulimits',
    flag: 'default-ulimit',
    variable: null,
    type: 'ulimits',
    argument: 'NAME=SOFT[:HARD]',
    help: 'default ulimit of containers, can be repeated',
  },
  labels: {
    key: 'labels',
    flag: 'label',
    variable: null,
    type: 'list',
    argument: 'KEY=VALUE',
    help: 'label of this engine, can be repeated',
  },
  registryMirrors: {
    key: 'registry-mirrors',
    flag: 'registry-mirror',
    variable: null,
    type: 'list',
    argument: 'URL',
    help: 'mirror that is asked before Docker Hub, can be repeated',
  },
  insecureRegistries: {
    key: 'insecure-registries',
    flag: 'insecure-registry',
    variable: null,
    type: 'list',
    argument: 'HOST[:PORT]|CIDR',
    help: 'registry that may speak HTTP, or show any certificate, can be repeated',
  },
  bridgeName: {
    key: 'bridge-name',
    flag: 'bridge-name',
    variable: 'TSD_BRIDGE_NAME',
    type: 'string',
    argument: 'NAME',
    help: 'bridge of the default network (default tsd0)',
  },
  bip: {
    key: 'bip',
    flag: 'bip',
    variable: 'TSD_BIP',
    type: 'string',
    argument: 'CIDR',
    help: "the default bridge's address and subnet, like 172.17.0.1/16 (default: chosen)",
  },
  mtu: {
    key: 'mtu',
    flag: 'mtu',
    variable: 'TSD_MTU',
    type: 'number',
    argument: 'BYTES',
    help: "the default bridge's MTU (default 1500)",
  },
  ipv6: {
    key: 'ipv6',
    flag: 'ipv6',
    variable: 'TSD_IPV6',
    type: 'boolean',
    help: 'IPv6 on the default bridge too',
  },
  ip: {
    key: 'ip',
    flag: 'ip',
    variable: 'TSD_IP',
    type: 'string',
    argument: 'ADDRESS',
    help: "host's address that the default network's ports are published on without one (default: all)",
  },
  defaultAddressPools: {
    key: 'default-address-pools',
    flag: 'default-address-pool',
    variable: null,
    type: 'pools',
    argument: 'base=CIDR,size=BITS',
    help: 'where networks get their subnets from, can be repeated',
  },
  publishThroughInput: {
    key: 'publish-through-input',
    flag: 'publish-through-input',
    variable: 'TSD_PUBLISH_THROUGH_INPUT',
    type: 'boolean',
    help: "published ports obey the packet filter's rules for the host itself (INPUT)",
  },
  ipForwardNoDrop: {
    key: 'ip-forward-no-drop',
    flag: 'ip-forward-no-drop',
    variable: 'TSD_IP_FORWARD_NO_DROP',
    type: 'boolean',
    help: 'where tsd switches forwarding on, let the host be a router between its other interfaces too',
  },
  pidFile: {
    key: 'pidfile',
    flag: 'pidfile',
    short: 'p',
    variable: 'TSD_PIDFILE',
    type: 'string',
    argument: 'FILE',
    help: "file that holds the daemon's pid (default EXEC-ROOT/tsd.pid)",
  },
  launcher: {
    key: 'launcher',
    flag: 'launcher',
    variable: 'TSD_LAUNCHER',
    type: 'string',
    argument: 'FILE',
    help: 'the launcher binary (default: the one that belongs to this daemon)',
  },
  assumedKernel: {
    key: 'assume-kernel',
    flag: 'assume-kernel',
    variable: 'TSD_ASSUME_KERNEL',
    type: 'string',
    argument: 'VERSION',
    help: 'handle layers as this kernel needs it, like 6.1 (default: the running one)',
  },
  configFile: {
    key: null,
    flag: 'config-file',
    variable: 'TSD_CONFIG_FILE',
    type: 'string',
    argument: 'FILE',
    help: `JSON file with the same settings (default ${DEFAULT_CONFIG_FILE})`,
  },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;
export type Values = Partial<Record<SettingName, string | boolean | readonly string[]>>;

/** All settings with their names. */
export function settings(): [SettingName, Setting][] {
  return Object.entries<Setting>(SETTINGS) as [SettingName, Setting][];
}

/** What `--help` prints. */
export function helpText(): string {
  const rows = Object.values<Setting>(SETTINGS).map((setting): [string, string] => [
    `${setting.short === undefined ? '    ' : `-${setting.short}, `}--${setting.flag}${setting.argument === undefined ? '' : ` ${setting.argument}`}`,
    setting.help,
  ]);
  rows.push(['-v, --version', 'print the version'], ['-h, --help', 'print this text']);
  const width = Math.max(...rows.map(([left]) => left.length));
  const lines = rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}`);
  return [
    'Usage: tsd [OPTIONS]',
    '',
    'The tsd container engine: serves the Docker Engine API on a Unix socket. Needs root.',
    '',
    'Options:',
    ...lines,
    '',
    `Settings can also stand in ${DEFAULT_CONFIG_FILE}, under the long names (those that can be repeated are plural),`,
    'and most in variables: TSD_DATA_ROOT, TSD_EXEC_ROOT, TSD_HOST, TSD_GROUP, TSD_LOG_LEVEL, …',
    '',
  ].join('\n');
}
