/** The daemon's configuration: flags, TSD_… variables and the JSON file become one frozen value. */
import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseArgs } from 'node:util';
import { TsdError } from '@tsd/shared/errors';
import { parseUlimit, type Ulimit } from '@tsd/shared/ulimit-spec';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
  readonly pidFile: string;
  /** The launcher's binary; null for the one beside the daemon. */
  readonly launcherPath: string | null;
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

export const DEFAULT_CONFIG_FILE = '/etc/tsd/daemon.json';

interface Setting {
  /** The key in the JSON file (null: not there), the flag without dashes, and the variable (null: none). */
  readonly key: string | null;
  readonly flag: string;
  readonly short?: string;
  readonly variable: string | null;
  readonly type: 'string' | 'boolean' | 'list' | 'ulimits';
  readonly argument?: string;
  readonly help: string;
}

const SETTINGS = {
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
  configFile: {
    key: null,
    flag: 'config-file',
    variable: 'TSD_CONFIG_FILE',
    type: 'string',
    argument: 'FILE',
    help: `JSON file with the same settings (default ${DEFAULT_CONFIG_FILE})`,
  },
} as const satisfies Record<string, Setting>;

type SettingName = keyof typeof SETTINGS;
type Values = Partial<Record<SettingName, string | boolean | readonly string[]>>;

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
  return deepFreeze({
    dataRoot,
    execRoot,
    sockets: sockets.length === 0 ? [join(execRoot, 'tsd.sock')] : sockets,
    group: text(values.group) ?? 'tsd',
    logLevel: level,
    cgroupParent,
    defaultUlimits: list(values.defaultUlimits).map(parseUlimit),
    pidFile: absolutePath(values, 'pidFile') ?? join(execRoot, 'tsd.pid'),
    launcherPath: absolutePath(values, 'launcher') ?? null,
    labels,
    configFile,
  });
}

function readFlags(argv: readonly string[]): Values | 'help' | 'version' {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  };
  for (const setting of Object.values<Setting>(SETTINGS)) {
    options[setting.flag] = {
      type: setting.type === 'boolean' ? 'boolean' : 'string',
      ...(setting.short === undefined ? {} : { short: setting.short }),
      ...(setting.type === 'list' || setting.type === 'ulimits' ? { multiple: true } : {}),
    };
  }
  let parsed: Record<string, unknown>;
  try {
    parsed = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new TsdError('bad_parameter', `${message}\nSee 'tsd --help'.`);
  }
  if (parsed['help'] === true) return 'help';
  if (parsed['version'] === true) return 'version';
  const values: Values = {};
  for (const [name, setting] of settings()) {
    const value = parsed[setting.flag];
    if (typeof value === 'string' || typeof value === 'boolean' || isStringList(value)) values[name] = value;
  }
  return values;
}

function readVariables(env: ConfigSources['env']): Values {
  const values: Values = {};
  for (const [name, setting] of settings()) {
    const value = setting.variable === null ? undefined : env[setting.variable];
    if (value === undefined) continue;
    if (setting.type === 'boolean') {
      if (!/^(|0|1|true|false)$/i.test(value)) {
        throw new TsdError('bad_parameter', `${setting.variable}: "${value}" is not true or false`);
      }
      values[name] = /^(1|true)$/i.test(value);
    } else {
      values[name] = setting.type === 'list' ? value.split(',').filter((part) => part !== '') : value;
    }
  }
  return values;
}

function readJson(contents: string, path: string): Values {
  const fail = (problem: string): TsdError =>
    new TsdError('bad_parameter', `unable to configure the daemon with file ${path}: ${problem}`);
  let decoded: unknown;
  try {
    decoded = JSON.parse(contents);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  if (typeof decoded !== 'object' || decoded === null || Array.isArray(decoded))
    throw fail('it must hold a JSON object');
  const byKey = new Map(settings().flatMap(([name, setting]) => (setting.key === null ? [] : [[setting.key, name]])));
  const values: Values = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(decoded)) {
    const name = byKey.get(key) as SettingName | undefined;
    if (name === undefined) unknown.push(key);
    else values[name] = readJsonValue(key, SETTINGS[name].type, value, fail);
  }
  if (unknown.length > 0) {
    throw fail(`the following directives don't match any configuration option: ${unknown.join(', ')}`);
  }
  return values;
}

function readJsonValue(
  key: string,
  type: Setting['type'],
  value: unknown,
  fail: (problem: string) => TsdError,
): string | boolean | readonly string[] {
  switch (type) {
    case 'string':
      if (typeof value === 'string') return value;
      throw fail(`${key} must be a string`);
    case 'boolean':
      if (typeof value === 'boolean') return value;
      throw fail(`${key} must be true or false`);
    case 'list':
      if (isStringList(value)) return value;
      throw fail(`${key} must be a list of strings`);
    case 'ulimits': {
      // dockerd's form: {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}; a list of name=soft:hard is taken too.
      if (isStringList(value)) return value;
      if (typeof value !== 'object' || value === null) throw fail(`${key} must be an object`);
      return Object.entries(value).map(([name, limit]: [string, unknown]) => {
        const { Soft, Hard } = (typeof limit === 'object' && limit !== null ? limit : {}) as Partial<Ulimit>;
        if (typeof Hard !== 'number' && typeof Soft !== 'number') throw fail(`${key}.${name} must have Soft and Hard`);
        return `${name}=${Soft ?? Hard}:${Hard ?? Soft}`;
      });
    }
  }
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

function absolutePath(values: Values, name: SettingName): string | undefined {
  const value = text(values[name]);
  if (value === undefined) return undefined;
  if (!isAbsolute(value))
    throw new TsdError('bad_parameter', `${SETTINGS[name].flag}: "${value}" must be an absolute path`);
  return value === '/' ? value : value.replace(/\/+$/, '');
}

function helpText(): string {
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
    `Settings can also stand in ${DEFAULT_CONFIG_FILE}, under the long names (hosts, default-ulimits and labels are plural),`,
    'and most in variables: TSD_DATA_ROOT, TSD_EXEC_ROOT, TSD_HOST, TSD_GROUP, TSD_LOG_LEVEL, …',
    '',
  ].join('\n');
}

function settings(): [SettingName, Setting][] {
  return Object.entries<Setting>(SETTINGS) as [SettingName, Setting][];
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

function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
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
