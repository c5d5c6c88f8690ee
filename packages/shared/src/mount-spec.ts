/** `-v`, `--mount` and `--tmpfs` as Docker's client and daemon read them (moby volumes/mounts, cli opts/mount.go). */
import { posix } from 'node:path';
import { isContainerName } from './container-name.ts';
import { TsdError } from './errors.ts';
import { parseBytes } from './units.ts';

export type BindPropagation = 'private' | 'rprivate' | 'shared' | 'rshared' | 'slave' | 'rslave';

/** One entry of HostConfig.Mounts, with Docker's field names. */
export interface Mount {
  Type: 'bind' | 'volume' | 'tmpfs' | 'npipe' | 'cluster' | 'image';
  Source?: string;
  Target: string;
  ReadOnly?: boolean;
  Consistency?: string;
  BindOptions?: {
    Propagation?: BindPropagation;
    NonRecursive?: boolean;
    CreateMountpoint?: boolean;
    ReadOnlyNonRecursive?: boolean;
    ReadOnlyForceRecursive?: boolean;
  };
  VolumeOptions?: {
    NoCopy?: boolean;
    Labels?: Record<string, string>;
    DriverConfig?: { Name?: string; Options?: Record<string, string> };
    Subpath?: string;
  };
  TmpfsOptions?: { SizeBytes?: number; Mode?: number };
}

/** A parsed `-v` value (an entry of HostConfig.Binds). */
export interface BindSpec {
  /** `bind`: source is an absolute path of the host. `volume`: source is a name, or null for an anonymous volume. */
  readonly type: 'bind' | 'volume';
  readonly source: string | null;
  /** Absolute, normalised path in the container. */
  readonly target: string;
  readonly readOnly: boolean;
  readonly propagation?: BindPropagation;
  /** SELinux relabelling: z is shared, Z is private. */
  readonly relabel?: 'shared' | 'private';
  readonly noCopy: boolean;
  /** The third part as it was written, as inspect shows it in Mounts[].Mode. */
  readonly mode: string;
}

const PROPAGATIONS: ReadonlySet<string> = new Set(['private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']);
const MOUNT_TYPES: ReadonlySet<string> = new Set(['bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image']);

/**
 * Parses `[source:]target[:options]`; options are ro, rw, z, Z, nocopy, consistency words and one propagation.
 * Throws bad_parameter with moby's texts.
 */
export function parseBind(text: string): BindSpec {
  const parts = text.split(':');
  if (text === '' || parts.length > 3 || parts.some((part) => part === '')) throw invalidSpecification(text);
  const [first = '', second, third] = parts;
  let source: string | null = null;
  let target = first;
  let mode = '';
  if (parts.length === 3) {
    source = first;
    target = second ?? '';
    mode = third ?? '';
  } else if (parts.length === 2) {
    source = first;
    target = second ?? '';
    if (isMode(target)) throw invalidSpecification(text);
  }
  if (!target.startsWith('/')) {
    throw new TsdError(
      'bad_parameter',
      `invalid volume specification: '${text}': invalid mount config for type "${source?.startsWith('/') ? 'bind' : 'volume'}": invalid mount path: '${target}' mount path must be absolute`,
    );
  }
  target = posix.normalize(target);
  if (target !== '/') target = target.replace(/\/+$/, '');
  if (target === '/') {
    throw new TsdError(
      'bad_parameter',
      `invalid volume specification: '${text}': invalid specification: destination can't be '/'`,
    );
  }
  const type = source?.startsWith('/') ? 'bind' : 'volume';
  if (type === 'volume' && source !== null && !isContainerName(source)) {
    throw new TsdError(
      'bad_parameter',
      `invalid volume specification: '${text}': "${source}" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path`,
    );
  }
  if (type === 'bind' && source !== null) source = trimPath(posix.normalize(source));
  return { type, source, target, mode, ...parseMode(mode) };
}

/** Parses one `--mount` value: CSV of key=value, first `type` (bind, volume or tmpfs; volume if missing). */
export function parseMount(text: string): Mount {
  const mount: Mount = { Type: 'volume', Target: '' };
  const fields = splitCsv(text.trim());
  for (const field of fields) {
    const equals = field.indexOf('=');
    const key = (equals === -1 ? field : field.slice(0, equals)).trim().toLowerCase();
    const value = equals === -1 ? undefined : field.slice(equals + 1);
    applyMountField(mount, key, value, field);
  }
  checkMount(mount);
  return mount;
}

/** Splits a `--tmpfs` value (`/run:rw,size=64m`) into the path and its options, as HostConfig.Tmpfs holds them. */
export function parseTmpfs(text: string): { target: string; options: string } {
  const colon = text.indexOf(':');
  const target = colon === -1 ? text : text.slice(0, colon);
  if (!target.startsWith('/')) {
    throw new TsdError('bad_parameter', `invalid tmpfs: '${text}': mount path must be absolute`);
  }
  return { target: trimPath(posix.normalize(target)), options: colon === -1 ? '' : text.slice(colon + 1) };
}

function applyMountField(mount: Mount, key: string, value: string | undefined, field: string): void {
  const flag = (): boolean => parseFlag(key, value);
  const text = (): string => {
    if (value === undefined || value === '') throw invalidField(field, 'must be a key=value pair');
    return value;
  };
  switch (key) {
    case 'type': {
      const type = text().toLowerCase();
      if (!MOUNT_TYPES.has(type)) throw new TsdError('bad_parameter', `mount type unknown: "${type}"`);
      mount.Type = type as Mount['Type'];
      return;
    }
    case 'source':
    case 'src': {
      const source = text();
      // A path relative to the client's directory is resolved by the client, which calls with an absolute one.
      mount.Source = source;
      return;
    }
    case 'target':
    case 'dst':
    case 'destination':
      mount.Target = text();
      return;
    case 'readonly':
    case 'ro':
      mount.ReadOnly = flag();
      return;
    case 'consistency':
      mount.Consistency = text().toLowerCase();
      return;
    case 'bind-propagation': {
      const propagation = text().toLowerCase();
      if (!PROPAGATIONS.has(propagation)) throw invalidField(field, `invalid propagation "${propagation}"`);
      mount.BindOptions = { ...mount.BindOptions, Propagation: propagation as BindPropagation };
      return;
    }
    case 'bind-nonrecursive':
      mount.BindOptions = { ...mount.BindOptions, NonRecursive: flag() };
      return;
    case 'bind-recursive':
      applyBindRecursive(mount, text(), field);
      return;
    case 'bind-create-src':
      mount.BindOptions = { ...mount.BindOptions, CreateMountpoint: flag() };
      return;
    case 'volume-subpath':
      mount.VolumeOptions = { ...mount.VolumeOptions, Subpath: text() };
      return;
    case 'volume-nocopy':
      mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: flag() };
      return;
    case 'volume-label': {
      const [name, label] = splitPair(text());
      mount.VolumeOptions = { ...mount.VolumeOptions, Labels: { ...mount.VolumeOptions?.Labels, [name]: label } };
      return;
    }
    case 'volume-driver':
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...mount.VolumeOptions?.DriverConfig, Name: text() },
      };
      return;
    case 'volume-opt': {
      const [name, option] = splitPair(text());
      const driver = mount.VolumeOptions?.DriverConfig;
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...driver, Options: { ...driver?.Options, [name]: option } },
      };
      return;
    }
    case 'tmpfs-size':
      mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseBytes(text(), 'tmpfs-size') };
      return;
    case 'tmpfs-mode': {
      const mode = text();
      if (!/^[0-7]{1,5}$/.test(mode))
        throw new TsdError('bad_parameter', `invalid value for ${key}: ${mode} (write octal, such as 1777)`);
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(mode, 8) };
      return;
    }
    default:
      throw new TsdError('bad_parameter', `unknown option '${key}' in '${field}'`);
  }
}

function applyBindRecursive(mount: Mount, value: string, field: string): void {
  const options = { ...mount.BindOptions };
  switch (value) {
    case 'enabled':
      break;
    case 'disabled':
      options.NonRecursive = true;
      break;
    case 'writable':
      options.ReadOnlyNonRecursive = true;
      break;
    case 'readonly':
      options.ReadOnlyForceRecursive = true;
      break;
    default:
      throw invalidField(field, 'must be one of "enabled", "disabled", "writable", "readonly"');
  }
  mount.BindOptions = options;
}

function checkMount(mount: Mount): void {
  if (mount.Target === '') throw new TsdError('bad_parameter', 'target is required');
  const wrong = (key: string, type: string): TsdError =>
    new TsdError('bad_parameter', `cannot mix '${key}' options with mount type '${type}'`);
  if (mount.VolumeOptions !== undefined && mount.Type !== 'volume') throw wrong('volume-*', mount.Type);
  if (mount.BindOptions !== undefined && mount.Type !== 'bind') throw wrong('bind-*', mount.Type);
  if (mount.TmpfsOptions !== undefined && mount.Type !== 'tmpfs') throw wrong('tmpfs-*', mount.Type);
  if (mount.BindOptions?.ReadOnlyNonRecursive || mount.BindOptions?.ReadOnlyForceRecursive) {
    if (mount.ReadOnly !== true) {
      throw new TsdError('bad_parameter', "option 'bind-recursive' requires 'readonly' to be specified in conjunction");
    }
  }
}

function isMode(text: string): boolean {
  return text.split(',').every((word) => MODE_WORDS.has(word) || PROPAGATIONS.has(word));
}

const MODE_WORDS: ReadonlySet<string> = new Set(['ro', 'rw', 'z', 'Z', 'nocopy', 'consistent', 'cached', 'delegated']);

function parseMode(mode: string): Pick<BindSpec, 'readOnly' | 'noCopy' | 'propagation' | 'relabel'> {
  let readOnly: boolean | undefined;
  let noCopy = false;
  let propagation: BindPropagation | undefined;
  let relabel: 'shared' | 'private' | undefined;
  for (const word of mode === '' ? [] : mode.split(',')) {
    if ((word === 'ro' || word === 'rw') && readOnly === undefined) readOnly = word === 'ro';
    else if ((word === 'z' || word === 'Z') && relabel === undefined) relabel = word === 'z' ? 'shared' : 'private';
    else if (word === 'nocopy' && !noCopy) noCopy = true;
    else if (PROPAGATIONS.has(word) && propagation === undefined) propagation = word as BindPropagation;
    else if (!['consistent', 'cached', 'delegated'].includes(word)) {
      throw new TsdError('bad_parameter', `invalid mode: ${mode}`);
    }
  }
  return {
    readOnly: readOnly ?? false,
    noCopy,
    ...(propagation === undefined ? {} : { propagation }),
    ...(relabel === undefined ? {} : { relabel }),
  };
}

function parseFlag(key: string, value: string | undefined): boolean {
  if (value === undefined) return true;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new TsdError('bad_parameter', `invalid value for ${key}: ${value} (write true or false)`);
}

/** One CSV record as encoding/csv reads it: a field may be quoted, "" is a quote inside. */
function splitCsv(text: string): string[] {
  const fields: string[] = [];
  let position = 0;
  for (;;) {
    if (text[position] === '"') {
      let field = '';
      position++;
      for (;;) {
        const quote = text.indexOf('"', position);
        if (quote === -1) throw new TsdError('bad_parameter', `invalid mount '${text}': a quote is not closed`);
        field += text.slice(position, quote);
        position = quote + 1;
        if (text[position] !== '"') break;
        field += '"';
        position++;
      }
      fields.push(field);
    } else {
      const comma = text.indexOf(',', position);
      const end = comma === -1 ? text.length : comma;
      fields.push(text.slice(position, end));
      position = end;
    }
    if (position >= text.length) return fields;
    if (text[position] !== ',')
      throw new TsdError('bad_parameter', `invalid mount '${text}': text after a closing quote`);
    position++;
  }
}

function splitPair(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

function trimPath(path: string): string {
  return path === '/' ? path : path.replace(/\/+$/, '');
}

function invalidSpecification(text: string): TsdError {
  return new TsdError('bad_parameter', `invalid volume specification: '${text}'`);
}

function invalidField(field: string, problem: string): TsdError {
  return new TsdError('bad_parameter', `invalid field '${field}' ${problem}`);
}
