/** What the daemon knows about one stored image. */
import { TsdError } from '@tsd/shared/errors';
import type { OciImageConfig } from './image-config.ts';

export interface Image {
  /** `sha256:` and the digest of {@link configBytes}. */
  readonly id: string;
  readonly config: OciImageConfig;
  /** The configuration exactly as it came. */
  readonly configBytes: Buffer;
  /** Lowest layer first. */
  readonly diffIds: readonly string[];
  /** Familiar names (`alpine:latest`), in the order of the complete ones. */
  readonly repoTags: readonly string[];
  /** `alpine@sha256:…`, in the same order. */
  readonly repoDigests: readonly string[];
  /** Sum of the files' sizes in all layers. */
  readonly sizeBytes: number;
  /** RFC 3339; year 1 when the image does not say, as Docker reports it. */
  readonly createdAt: string;
  /** RFC 3339; null when it was never tagged here. */
  readonly lastTaggedAt: string | null;
  /** Why a check found it unusable; null for a sound image. */
  readonly broken: string | null;
}

/** @throws TsdError `conflict` for an image that a check found unusable: no container can be made or started from it. */
export function requireSound({ id, broken }: Pick<Image, 'id' | 'broken'>): void {
  if (broken === null) return;
  throw new TsdError(
    'conflict',
    `image ${shortImageId(id)} is broken: ${broken}. Run \`tsdctl system check --repair\`, or pull or load it again`,
  );
}

/** Go's zero time: what Docker shows for an image without a creation time. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** The twelve hexadecimal digits that Docker shows of an image id. */
export function shortImageId(id: string): string {
  return id.replace(/^sha256:/, '').slice(0, 12);
}
