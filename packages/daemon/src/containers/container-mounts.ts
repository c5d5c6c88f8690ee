/** The user's mounts of a container (-v, --mount): parsed at create, looked up on the host at each start. */
import { mkdirSync, realpathSync, statSync } from 'node:fs';
import { posix } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { parseBind } from '@tsd/shared/mount-spec';
import { type MountBeneath, mountsBeneath } from '../os/mounts-beneath.ts';
import type { ContainerMount } from '../runtime/launch-input.ts';
import type { HostConfig } from './container.ts';

export type MountRequest =
  | {
      readonly type: 'bind';
      readonly source: string;
      readonly target: string;
      readonly readOnly: boolean;
      readonly recursive: boolean;
      readonly propagation: string;
      /** The options as they were written, as inspect shows them. */
      readonly mode: string;
      /** A missing source is made as a directory (-v), instead of refused (--mount). */
      readonly createSource: boolean;
    }
  | {
      readonly type: 'tmpfs';
      readonly target: string;
      readonly readOnly: boolean;
      readonly sizeBytes: number | undefined;
      readonly mode: number | undefined;
    };

/**
 * Reads `Binds` and `Mounts`. Pure.
 *
 * @throws TsdError `bad_parameter` in moby's words, `not_implemented` for volumes
 */
export function parseMountRequests(host: HostConfig): readonly MountRequest[] {
  const requests = [...(host.Binds ?? []).map(parseBindRequest), ...(host.Mounts ?? []).map(parseMountEntry)];
  const targets = new Set<string>();
  for (const target of [...requests.map((request) => request.target), ...Object.keys(host.Tmpfs ?? {})]) {
    const path = trimSlash(posix.normalize(target));
    if (!path.startsWith('/') || path === '/') {
      throw new TsdError(
        'bad_parameter',
        `invalid mount target '${target}': an absolute path other than '/' is needed`,
      );
    }
    if (targets.has(path)) throw new TsdError('bad_parameter', `Duplicate mount point: ${target}`);
    targets.add(path);
  }
  return requests;
}

/**
 * Looks the sources up on the host. A missing source of -v is made, as in Docker.
 *
 * @throws TsdError `bad_parameter` for a source that does not exist or cannot be made
 */
export function resolveMounts(requests: readonly MountRequest[]): readonly ContainerMount[] {
  return requests.map((request) => {
    if (request.type === 'tmpfs') return request;
    const { createSource, mode: _, ...mount } = request;
    const directory = isDirectory(request.source, createSource);
    return { ...mount, directory, submounts: directory && mount.recursive ? submountsOf(request.source) : [] };
  });
}

function submountsOf(source: string): readonly MountBeneath[] {
  try {
    return mountsBeneath(realpathSync(source));
  } catch (error) {
    // It has gone meanwhile, which the launch will tell.
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  }
}

function isDirectory(source: string, create: boolean): boolean {
  try {
    return statSync(source).isDirectory();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error;
    if (!create) {
      throw new TsdError(
        'bad_parameter',
        `invalid mount config for type "bind": bind source path does not exist: ${source}`,
        { cause: error },
      );
    }
  }
  try {
    mkdirSync(source, { recursive: true });
    return true;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TsdError('bad_parameter', `error while creating mount source path '${source}': ${reason}`, {
      cause: error,
    });
  }
}

function parseBindRequest(text: string): MountRequest {
  const bind = parseBind(text);
  if (bind.type === 'volume' || bind.source === null) {
    throw new TsdError(
      'not_implemented',
      `HostConfig.Binds "${text}": named and anonymous volumes are not implemented yet; give an absolute host path`,
    );
  }
  return {
    type: 'bind',
    source: bind.source,
    target: bind.target,
    readOnly: bind.readOnly,
    recursive: true,
    propagation: bind.propagation ?? 'rprivate',
    mode: bind.mode,
    createSource: true,
  };
}

function parseMountEntry(mount: NonNullable<HostConfig['Mounts']>[number]): MountRequest {
  const invalid = (problem: string) =>
    new TsdError('bad_parameter', `invalid mount config for type "${mount.Type}": ${problem}`);
  if (!mount.Target) throw invalid('field Target must not be empty');
  if (!mount.Target.startsWith('/')) {
    throw invalid(`invalid mount path: '${mount.Target}' mount path must be absolute`);
  }
  const target = trimSlash(posix.normalize(mount.Target));
  switch (mount.Type) {
    case 'bind': {
      if (!mount.Source) throw invalid('field Source must not be empty');
      if (!mount.Source.startsWith('/')) {
        throw invalid(`invalid mount path: '${mount.Source}' mount path must be absolute`);
      }
      return {
        type: 'bind',
        source: trimSlash(posix.normalize(mount.Source)),
        target,
        readOnly: mount.ReadOnly ?? false,
        recursive: !(mount.BindOptions?.NonRecursive ?? false),
        propagation: mount.BindOptions?.Propagation || 'rprivate',
        mode: '',
        createSource: mount.BindOptions?.CreateMountpoint ?? false,
      };
    }
    case 'tmpfs':
      if (mount.Source) throw invalid('field Source must not be specified');
      return {
        type: 'tmpfs',
        target,
        readOnly: mount.ReadOnly ?? false,
        sizeBytes: mount.TmpfsOptions?.SizeBytes || undefined,
        mode: mount.TmpfsOptions?.Mode || undefined,
      };
    case 'volume':
    case 'image':
    case 'cluster':
      throw new TsdError(
        'not_implemented',
        `HostConfig.Mounts: type "${mount.Type}" (${mount.Target}) is not implemented yet; use bind or tmpfs`,
      );
    default:
      throw new TsdError('bad_parameter', `mount type unknown: "${mount.Type}"`);
  }
}

function trimSlash(path: string): string {
  return path.length > 1 ? path.replace(/\/+$/, '') : path;
}
