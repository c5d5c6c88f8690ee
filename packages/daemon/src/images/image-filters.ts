/** Filters of image lists: which images, and which of their names. moby, daemon/images/image_list.go. */
import { TsdError } from '@tsd/shared/errors';
import { booleanFilter, type Filters, matchesLabels } from '@tsd/shared/filters';
import { parseDurationMs } from '@tsd/shared/units';
import type { Image } from './image.ts';
import type { ImageStore } from './image-store.ts';
import { type NamePattern, namePattern } from './name-pattern.ts';

export const LIST_FILTER_KEYS: ReadonlySet<string> = new Set([
  'dangling',
  'label',
  'before',
  'since',
  'reference',
  'until',
]);
export const PRUNE_FILTER_KEYS: ReadonlySet<string> = new Set(['dangling', 'label', 'label!', 'until', 'all', 'blobs']);

/**
 * The images that pass, with only those names that do.
 * @throws TsdError `bad_parameter` for an invalid value, `not_found` for an unknown `before` or `since` image.
 */
export function filterImages(
  { store }: { readonly store: Pick<ImageStore, 'resolve'> },
  images: readonly Image[],
  filters: Filters,
): Image[] {
  const dangling = booleanFilter(filters, 'dangling');
  const beforeMs = bound(filters, 'before', (value) => createdMs(store.resolve(value)), Math.min);
  const sinceMs = bound(filters, 'since', (value) => createdMs(store.resolve(value)), Math.max);
  const untilMs = bound(filters, 'until', parseUntil, Math.min);
  const patterns = (filters.get('reference') ?? []).map(namePattern);
  return images
    .filter((image) => dangling === undefined || (dangling ? isDangling(image) : hasName(image)))
    .filter((image) => matchesLabels(filters, image.config.config.Labels ?? {}))
    .filter((image) => {
      const ms = createdMs(image);
      return (
        (beforeMs === undefined || ms < beforeMs) &&
        (sinceMs === undefined || ms > sinceMs) &&
        (untilMs === undefined || ms <= untilMs)
      );
    })
    .flatMap((image) => (patterns.length === 0 ? [image] : withMatchingNames(image, patterns)));
}

/** An image without a tag, such as one that a later pull took the tag from; a registry may still know it by digest. */
export function isDangling(image: Image): boolean {
  return image.repoTags.length === 0;
}

function hasName(image: Image): boolean {
  return image.repoTags.length > 0 || image.repoDigests.length > 0;
}

export function createdMs(image: Image): number {
  return Date.parse(image.createdAt);
}

/**
 * A point in time: Unix seconds, RFC 3339 or a date, or a Go duration before `nowMs`.
 * @throws TsdError `bad_parameter` for anything else.
 */
export function parseUntil(text: string, nowMs: number = Date.now()): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  if (/^\d{4}-\d{2}-\d{2}/.test(text)) {
    const ms = Date.parse(text);
    if (!Number.isNaN(ms)) return ms;
  }
  try {
    return nowMs - parseDurationMs(text);
  } catch (error) {
    throw new TsdError(
      'bad_parameter',
      `invalid filter 'until=${text}': give a Unix time, a date such as 2026-01-31T12:00:00Z or a span such as 24h`,
      { cause: error },
    );
  }
}

function bound(
  filters: Filters,
  key: string,
  read: (value: string) => number,
  combine: (...values: number[]) => number,
): number | undefined {
  const values = filters.get(key) ?? [];
  return values.length === 0 ? undefined : combine(...values.map((value) => read(value)));
}

function withMatchingNames(image: Image, patterns: readonly NamePattern[]): Image[] {
  const repoTags = image.repoTags.filter((name) => matchesReference(name, patterns));
  const repoDigests = image.repoDigests.filter((name) => matchesReference(name, patterns));
  return repoTags.length + repoDigests.length === 0 ? [] : [{ ...image, repoTags, repoDigests }];
}

/** distribution/reference FamiliarMatch: the pattern is tried on the whole familiar name and on its repository. */
function matchesReference(name: string, patterns: readonly NamePattern[]): boolean {
  const repository = name.includes('@') ? name.slice(0, name.indexOf('@')) : name.slice(0, name.lastIndexOf(':'));
  return patterns.some((matches) => matches(name) || matches(repository));
}
