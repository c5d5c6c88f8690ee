/** Turns the path that a Docker client sends into the one that routes are declared with. */
import { splitVersion } from './api-version.ts';

const IMAGE_PATH = /^(\/(?:images|distribution)\/)([^?]+?)((?:\/(?:json|history|push|tag|get|attestations))?)(\?.*)?$/;

/**
 * Drops the version prefix and encodes the slashes of an image's name, which Docker's clients send as they are
 * (`/images/localhost:5000/a/b/json`), so that a route can say `/images/:name/json`.
 */
export function routePath(method: string, url: string): string {
  const { path } = splitVersion(url);
  if (!path.startsWith('/images/') && !path.startsWith('/distribution/')) return path;
  const match = IMAGE_PATH.exec(path);
  if (match === null) return path;
  const [, prefix = '', shortest = '', suffix = '', query = ''] = match;
  // DELETE names the image with the whole path: `/images/a/tag` is an image called `a/tag` there.
  const whole = method === 'DELETE' ? shortest + suffix : shortest;
  return prefix + whole.replaceAll('/', '%2F') + (method === 'DELETE' ? '' : suffix) + query;
}
