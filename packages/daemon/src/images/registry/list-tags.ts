/** All tags of a repository: OCI distribution-spec, "content discovery". */
import { TsdError } from '@tsd/shared/errors';
import { isValidTag } from '@tsd/shared/image-reference';
import { type HttpResponse, readBody } from './connections.ts';
import type { EndpointSession } from './registry-endpoint.ts';
import { resolveLocation } from './registry-endpoint.ts';
import { responseError } from './response-error.ts';

const PAGE_TAGS = 1000;
const MAX_PAGE_BYTES = 4 * 1024 * 1024;
const MAX_TAGS = 100_000;
/** A registry that ignores `n` may send pages of 50. */
const MAX_PAGES = 1000;

/** @throws TsdError `bad_parameter` for what is no list of tags, or never ends */
export async function listTags(
  session: EndpointSession,
  path: string,
  scopes: readonly string[],
  signal: AbortSignal,
): Promise<string[]> {
  const tags = new Set<string>();
  let target: string | URL | null = `${path}/tags/list?n=${PAGE_TAGS}`;
  for (let page = 0; target !== null; page++) {
    const response: HttpResponse = await session.request({ method: 'GET', target, scopes, signal });
    if (response.status !== 200) throw await responseError(response);
    for (const tag of readTags(await readBody(response, MAX_PAGE_BYTES, `the list of tags of ${path}`), path))
      tags.add(tag);
    if (page === MAX_PAGES || tags.size > MAX_TAGS) {
      throw new TsdError(
        'bad_parameter',
        `${path} has too many tags: more than ${MAX_TAGS}, or on more than ${MAX_PAGES} pages`,
      );
    }
    target = nextPage(response);
  }
  return [...tags];
}

function readTags(bytes: Buffer, path: string): string[] {
  let answer: unknown;
  try {
    answer = JSON.parse(bytes.toString());
  } catch (error) {
    throw new TsdError('bad_parameter', `the list of tags of ${path} is not valid JSON`, { cause: error });
  }
  const tags = typeof answer === 'object' && answer !== null && 'tags' in answer ? answer.tags : undefined;
  // Go's encoder writes null for an empty list.
  if (tags === null) return [];
  if (Array.isArray(tags) && tags.every((tag) => typeof tag === 'string' && isValidTag(tag))) return tags as string[];
  throw new TsdError('bad_parameter', `the list of tags of ${path} is not valid`);
}

/** `Link: </v2/…>; rel="next"` (RFC 8288). */
function nextPage(response: HttpResponse): URL | null {
  const link = [response.headers['link'] ?? []].flat().join(',');
  const target = /<([^>]*)>\s*;[^,]*\brel="?next"?/i.exec(link)?.[1];
  return target === undefined ? null : resolveLocation(target, response);
}
