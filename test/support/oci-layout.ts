/** OCI layouts for tests, byte for byte: an index of platforms, layers in any compression. Written to a directory. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';

export interface LayoutImage {
  /** `amd64`, `arm64/v8`. */
  readonly platform: string;
  readonly layers: readonly LayoutLayer[];
  readonly config?: Readonly<Record<string, unknown>>;
}

export interface LayoutLayer {
  readonly tar: Buffer;
  readonly compression: 'gzip' | 'zstd' | 'none';
  /** The tar in that compression, where it is there already. */
  readonly compressed?: Buffer;
}

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly platform?: Readonly<Record<string, string>>;
}

/** What came to be; digests are `sha256:…`. */
export interface Layout {
  /** Of the index that names all images. */
  readonly index: string;
  /** Per image, in the order given. */
  readonly manifests: readonly string[];
  readonly configs: readonly string[];
  readonly layers: readonly (readonly string[])[];
}

const OCI = 'application/vnd.oci.image';
const SUFFIXES = { gzip: '+gzip', zstd: '+zstd', none: '' } as const;
export const HOST_PLATFORM = process.arch === 'x64' ? 'amd64' : 'arm64/v8';

export function sha256(bytes: Buffer | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Writes a layout whose index.json names one index, tagged `latest`, over all images. */
export function writeOciLayout(directory: string, images: readonly LayoutImage[]): Layout {
  const blobs = join(directory, 'blobs/sha256');
  mkdirSync(blobs, { recursive: true });
  const store = (mediaType: string, bytes: Buffer): Descriptor => {
    const digest = sha256(bytes);
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const document = (mediaType: string, content: object): Descriptor =>
    store(mediaType, Buffer.from(JSON.stringify(content)));

  const written = images.map((image) => {
    const [architecture = '', variant] = image.platform.split('/');
    const platform = { os: 'linux', architecture, ...(variant === undefined ? {} : { variant }) };
    const layers = image.layers.map(({ tar, compression, compressed }) =>
      store(`${OCI}.layer.v1.tar${SUFFIXES[compression]}`, compressed ?? compress(tar, compression)),
    );
    const config = document(`${OCI}.config.v1+json`, {
      ...platform,
      created: '1970-01-01T00:00:00Z',
      config: { Cmd: ['sh'], Env: ['PATH=/bin'], ...image.config },
      rootfs: { type: 'layers', diff_ids: image.layers.map(({ tar }) => sha256(tar)) },
      history: image.layers.map((_, number) => ({ created: '1970-01-01T00:00:00Z', created_by: `layer ${number}` })),
    });
    const mediaType = `${OCI}.manifest.v1+json`;
    const manifest = document(mediaType, { schemaVersion: 2, mediaType, config, layers });
    return { manifest: { ...manifest, platform }, config, layers };
  });
  const mediaType = `${OCI}.index.v1+json`;
  const index = document(mediaType, {
    schemaVersion: 2,
    mediaType,
    manifests: written.map(({ manifest }) => manifest),
  });
  const named = { ...index, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
  writeFileSync(join(directory, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [named] }));
  writeFileSync(join(directory, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }));
  return {
    index: index.digest,
    manifests: written.map(({ manifest }) => manifest.digest),
    configs: written.map(({ config }) => config.digest),
    layers: written.map(({ layers }) => layers.map(({ digest }) => digest)),
  };
}

function compress(tar: Buffer, compression: LayoutLayer['compression']): Buffer {
  if (compression === 'gzip') return gzipSync(tar);
  return compression === 'zstd' ? zstdCompressSync(tar) : tar;
}
