/** The JSON documents of an OCI layout: indexes and manifests, and where a layout names things. */
import { TsdError } from '@tsd/shared/errors';
import Type from 'typebox';
import type { ArchiveContents } from './archive-contents.ts';
import { MAX_LAYERS } from './image-config.ts';
import { type Descriptor, DescriptorSchema, nullable } from './oci-descriptor.ts';
import { type JsonChecker, jsonChecker, parseJson } from './parse-json.ts';
import { requireDocument } from './planned-image.ts';

export const OCI_INDEX_PATH = 'index.json';

/** Full name of an image, as containerd and buildx note it. */
export const IMAGE_NAME_ANNOTATION = 'io.containerd.image.name';
/** Full name (skopeo) or the tag alone (buildx, docker). */
export const REF_NAME_ANNOTATION = 'org.opencontainers.image.ref.name';

/** Manifests and indexes of one archive, each counted as often as it is named. */
const MAX_MANIFESTS = 1000;

export interface Manifest {
  readonly config: Descriptor;
  readonly layers?: readonly Descriptor[] | null;
}

export interface OciReader {
  /** The entries of index.json. */
  top(): readonly Descriptor[];
  /** The entries of the index that a descriptor means. */
  index(descriptor: Descriptor): readonly Descriptor[];
  manifest(descriptor: Descriptor): Manifest;
}

const indexChecker = jsonChecker(
  Type.Object({ manifests: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_MANIFESTS })) }),
);
const manifestChecker = jsonChecker(
  Type.Object({ config: DescriptorSchema, layers: nullable(Type.Array(DescriptorSchema, { maxItems: MAX_LAYERS })) }),
);

/**
 * Reads documents of an archive, each parsed once however often it is named.
 * Its methods throw TsdError `bad_parameter`: missing, damaged, of another size or shape, or named too often.
 */
export function createOciReader(contents: ArchiveContents): OciReader {
  const parsed = new Map<string, unknown>();
  let named = 0;
  const read = (descriptor: Descriptor, checker: JsonChecker, what: string): unknown => {
    if (++named > MAX_MANIFESTS) {
      throw new TsdError('bad_parameter', `the archive names more than ${MAX_MANIFESTS} manifests`);
    }
    const key = `${what} ${descriptor.digest}`;
    if (!parsed.has(key)) parsed.set(key, parseJson(bytesOf(contents, descriptor, what), checker, key));
    return parsed.get(key);
  };
  const entries = (value: unknown): readonly Descriptor[] =>
    (value as { readonly manifests?: readonly Descriptor[] | null }).manifests ?? [];
  return {
    top: () =>
      entries(
        parseJson(requireDocument(OCI_INDEX_PATH, contents.at(OCI_INDEX_PATH), 'index'), indexChecker, OCI_INDEX_PATH),
      ),
    index: (descriptor) => entries(read(descriptor, indexChecker, 'index')),
    manifest: (descriptor) => read(descriptor, manifestChecker, 'manifest') as Manifest,
  };
}

function bytesOf(contents: ArchiveContents, { digest, size }: Descriptor, what: string): Buffer {
  const bytes = requireDocument(digest, contents.withDigest(digest), what);
  if (bytes.length === size) return bytes;
  throw new TsdError('bad_parameter', `${what} ${digest} has ${bytes.length} bytes where its descriptor says ${size}`);
}
