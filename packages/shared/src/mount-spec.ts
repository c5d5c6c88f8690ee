/** Mounts of containers, and `-v` and `--tmpfs` as Docker's client and daemon read them (moby volumes/mounts). */
import { posix } from 'node:path';
import { isContainerName } from './container-name.ts';
import { TsdError } from './errors.ts';

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

/** Propagation modes of bind mounts, mount_namespaces(7). */
export const PROPAGATIONS: ReadonlySet<string> = new Set([
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
]);

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

/** Splits a `--tmpfs` value (`/run:rw,size=64m`) into the path and its options, as HostConfig.Tmpfs holds them. */
export function parseTmpfs(text: string): { target: string; options: string } {
  const colon = text.indexOf(':');
  const target = colon === -1 ? text : text.slice(0, colon);
  if (!target.startsWith('/')) {
    throw new TsdError('bad_parameter', `invalid tmpfs: '${text}': mount path must be absolute`);
  }
  return { target: trimPath(posix.normalize(target)), options: colon === -1 ? '' : text.slice(colon + 1) };
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

function trimPath(path: string): string {
  return path === '/' ? path : path.replace(/\/+$/, '');
}

function invalidSpecification(text: string): TsdError {
  return new TsdError('bad_parameter', `invalid volume specification: '${text}'`);
}
