/** Volumes, Binds, Mounts and Tmpfs from -v, --mount and --tmpfs. */
import { isAbsolute, resolve } from 'node:path';
import { parseMount } from '@tsd/shared/mount-flag';
import type { Mount } from '@tsd/shared/mount-spec';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { flagValues } from './flag-value.ts';
import type { RequestSource } from './request-source.ts';

/** Anonymous volumes: -v with a path alone. */
export function volumesOf(specifications: readonly string[]): Record<string, object> {
  return Object.fromEntries(specifications.filter((text) => !text.includes(':')).map((text) => [text, {}]));
}

/** -v with a source. A path that starts with a dot is relative to the client's directory; the daemon checks the rest. */
export function bindsOf(specifications: readonly string[], source: RequestSource): string[] | null {
  const binds = specifications.filter((text) => text.includes(':')).map((text) => resolveBind(text, source));
  return binds.length === 0 ? null : binds;
}

export function mountsOf(flags: ParsedFlags, source: RequestSource): Mount[] | undefined {
  const mounts = flagValues(flags, 'mount', parseMount).map((mount) => {
    if (mount.ReadOnly === false) delete mount.ReadOnly;
    if (mount.Type !== 'bind' || mount.Source === undefined || isAbsolute(mount.Source)) return mount;
    return { ...mount, Source: resolve(source.workingDirectory, mount.Source) };
  });
  return mounts.length === 0 ? undefined : mounts;
}

/** Path → options. */
export function tmpfsOf(specifications: readonly string[]): Record<string, string> | undefined {
  if (specifications.length === 0) return undefined;
  return Object.fromEntries(
    specifications.map((text) => {
      const colon = text.indexOf(':');
      return colon === -1 ? [text, ''] : [text.slice(0, colon), text.slice(colon + 1)];
    }),
  );
}

function resolveBind(text: string, source: RequestSource): string {
  const colon = text.indexOf(':');
  const hostPath = text.slice(0, colon);
  return hostPath.startsWith('.') ? `${resolve(source.workingDirectory, hostPath)}${text.slice(colon)}` : text;
}
