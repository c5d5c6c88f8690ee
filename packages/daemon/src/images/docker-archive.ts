/** docker save's own layout: manifest.json lists images, each with the paths of its configuration and layers. */
import { TsdError } from '@tsd/shared/errors';
import { type ImageReference, parseReference, withDefaultTag } from '@tsd/shared/image-reference';
import Type from 'typebox';
import type { ArchiveContents } from './archive-contents.ts';
import { MAX_LAYERS } from './image-config.ts';
import type { NewImage } from './image-store.ts';
import { jsonChecker, parseJson } from './parse-json.ts';
import { planImage, requireDocument } from './planned-image.ts';
import { quoted } from './quoted.ts';

export const DOCKER_MANIFEST_PATH = 'manifest.json';

/** One element of manifest.json (moby, image/tarexport). */
export interface DockerManifestItem {
  readonly Config: string;
  readonly RepoTags?: readonly string[] | null;
  readonly Layers?: readonly string[] | null;
}

const nullableTexts = (maxItems: number) =>
  Type.Optional(Type.Union([Type.Array(Type.String({ maxLength: 4096 }), { maxItems }), Type.Null()]));

const checker = jsonChecker(
  Type.Array(
    Type.Object({
      Config: Type.String({ minLength: 1, maxLength: 4096 }),
      RepoTags: nullableTexts(10_000),
      Layers: nullableTexts(MAX_LAYERS),
    }),
    { maxItems: 10_000 },
  ),
);

/**
 * The images of a docker-archive.
 * @throws TsdError `bad_parameter` for anything missing, invalid or not matching.
 */
export function planDockerArchive(contents: ArchiveContents): NewImage[] {
  const bytes = requireDocument(DOCKER_MANIFEST_PATH, contents.at(DOCKER_MANIFEST_PATH), 'manifest');
  const items = parseJson(bytes, checker, DOCKER_MANIFEST_PATH) as readonly DockerManifestItem[];
  return items.map((item) =>
    planImage(
      { name: item.Config, blob: contents.at(item.Config) },
      (item.Layers ?? []).map((name) => ({ name, blob: contents.at(name) })),
      (item.RepoTags ?? []).map(parseTag),
    ),
  );
}

function parseTag(text: string): ImageReference {
  const reference = withDefaultTag(parseReference(text));
  if (reference.digest === undefined) return reference;
  throw new TsdError('bad_parameter', `${DOCKER_MANIFEST_PATH}: invalid tag ${quoted(text)}: it holds a digest`);
}
