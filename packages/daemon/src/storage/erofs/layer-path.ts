/** Names in a layer's archive: how paths are cleaned, and which ones have a meaning of their own. */
import type { ByteString } from '../tar/tar-entry.ts';
import { shownName, tarError } from '../tar/tar-error.ts';

const MAX_PATH_BYTES = 4096;
export const WHITEOUT_PREFIX = '.wh.';
export const WHITEOUT_META_PREFIX = '.wh..wh.';
export const OPAQUE_MARKER = '.wh..wh..opq';

/**
 * Cleans a path lexically, as Docker does: leading slashes, `.` and empty components go, `..` takes the component before
 * it. @throws TsdError bad_parameter: a `..` that would leave the root.
 */
export function cleanComponents(path: ByteString, shown: ByteString): ByteString[] {
  if (path.length > MAX_PATH_BYTES)
    throw tarError(`a path is longer than ${MAX_PATH_BYTES} bytes: ${shownName(shown)}`);
  const components: ByteString[] = [];
  for (const component of path.split('/')) {
    if (component === '' || component === '.') continue;
    if (component !== '..') components.push(component);
    else if (components.pop() === undefined) throw tarError(`the path ${shownName(shown)} leaves the layer`);
  }
  return components;
}

/** Whether a component is one of aufs' own names; an opaque marker as the last one is not. */
export function isIgnoredMeta(path: ByteString): boolean {
  const components = path.split('/');
  if (components.at(-1) === OPAQUE_MARKER) components.pop();
  return components.some((component) => component.startsWith(WHITEOUT_META_PREFIX));
}

export function trimSlashes(path: ByteString): ByteString {
  let end = path.length;
  while (end > 0 && path[end - 1] === '/') end--;
  return path.slice(0, end);
}
