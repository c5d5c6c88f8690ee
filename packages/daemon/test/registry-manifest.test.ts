import { createHash } from 'node:crypto';
import t from 'tap';
import { MEDIA_TYPE } from '../src/images/oci-descriptor.ts';
import { parsePlatform } from '../src/images/platform.ts';
import { type ResolvedManifest, resolveManifest } from '../src/images/pull-manifest.ts';
import { type IndexEntry, parseManifest, rankEntries } from '../src/images/registry/manifest.ts';
import type { RemoteManifest, RemoteRepository } from '../src/images/registry/remote-repository.ts';

const digestOf = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const GZIP = `${MEDIA_TYPE.layer}+gzip`;
const config = { mediaType: MEDIA_TYPE.config, digest: digestOf('config'), size: 10 };
const layer = { mediaType: GZIP, digest: digestOf('layer'), size: 20 };

function remote(document: object | string, mediaType: string = MEDIA_TYPE.manifest): RemoteManifest {
  const bytes = Buffer.from(typeof document === 'string' ? document : JSON.stringify(document));
  return { digest: digestOf(bytes), mediaType, bytes };
}

const image = (changes: object = {}): object => ({ schemaVersion: 2, config, layers: [layer], ...changes });

t.test('manifests of both kinds, and every kind of layer', async (t) => {
  t.strictSame(parseManifest(remote(image()), 'app'), {
    kind: 'image',
    mediaType: MEDIA_TYPE.manifest,
    config: { mediaType: config.mediaType, digest: config.digest, sizeBytes: 10 },
    layers: [{ mediaType: GZIP, digest: layer.digest, sizeBytes: 20 }],
  });
  for (const mediaType of [
    MEDIA_TYPE.layer,
    `${MEDIA_TYPE.layer}+zstd`,
    'application/vnd.docker.image.rootfs.diff.tar',
    'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ]) {
    const docker = image({ mediaType: MEDIA_TYPE.dockerManifest, layers: [{ ...layer, mediaType }] });
    t.match(parseManifest(remote(docker, MEDIA_TYPE.dockerManifest), 'app'), { layers: [{ mediaType }] }, mediaType);
  }
  t.match(
    parseManifest(remote(image({ mediaType: MEDIA_TYPE.manifest }), 'application/json'), 'app'),
    { mediaType: MEDIA_TYPE.manifest },
    'a registry that announces nothing of use leaves it to the document',
  );
  t.match(
    parseManifest(remote(image({ layers: null, manifests: null })), 'app'),
    { layers: [] },
    'null is empty, as in Go',
  );
});

t.test('what is refused', async (t) => {
  const index = { schemaVersion: 2, manifests: [] };
  const cases: [string, RemoteManifest, RegExp][] = [
    [
      'schema 1 by type',
      remote({ schemaVersion: 1, fsLayers: [] }, 'application/vnd.docker.distribution.manifest.v1+prettyjws'),
      /schema 1 are not supported/,
    ],
    [
      'schema 1 by content',
      remote({ schemaVersion: 1, fsLayers: [], history: [] }, 'application/json'),
      /schema 1 are not supported/,
    ],
    ['schema 3', remote(image({ schemaVersion: 3 })), /unsupported manifest schema version 3/],
    ['no JSON', remote('<html>'), /not valid JSON/],
    ['a list', remote('[]'), /not valid/],
    [
      'another type than announced',
      remote(image({ mediaType: MEDIA_TYPE.dockerManifest })),
      /the registry says that the manifest is/,
    ],
    ['an index announced as manifest', remote(index), /no configuration|ambiguous/],
    ['a manifest announced as index', remote(image(), MEDIA_TYPE.index), /ambiguous/],
    ['both at once', remote(image({ manifests: [] })), /ambiguous/],
    ['no type at all', remote(image(), ''), /of what media type/],
    [
      'an unknown type',
      remote(image(), 'application/vnd.x+json'),
      /unsupported manifest media type "application\/vnd.x\+json"/,
    ],
    [
      'a chart',
      remote(image({ config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' } })),
      /no container image.*helm/,
    ],
    [
      'a foreign layer',
      remote(
        image({
          layers: [
            { ...layer, mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', urls: ['http://x/'] },
          ],
        }),
      ),
      /foreign layers are not supported/,
    ],
    [
      'a nondistributable layer',
      remote(
        image({ layers: [{ ...layer, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' }] }),
      ),
      /foreign layers/,
    ],
    [
      'an encrypted layer',
      remote(image({ layers: [{ ...layer, mediaType: `${GZIP}+encrypted` }] })),
      /unsupported layer media type/,
    ],
    ['a digest that is none', remote(image({ layers: [{ ...layer, digest: 'sha256:../../x' }] })), /layers\/0\/digest/],
    ['a negative size', remote(image({ layers: [{ ...layer, size: -1 }] })), /layers\/0\/size/],
    ['an impossible size', remote(image({ layers: [{ ...layer, size: 1e300 }] })), /larger than/],
    ['a large configuration', remote(image({ config: { ...config, size: 5_000_000 } })), /configuration is larger/],
    ['too many layers', remote(image({ layers: Array.from({ length: 500 }, () => layer) })), /layers/],
    [
      'too many entries',
      remote({ schemaVersion: 2, manifests: Array.from({ length: 1001 }, () => layer) }, MEDIA_TYPE.index),
      /manifests/,
    ],
    ['too large', remote(JSON.stringify(image({ x: 'x'.repeat(4 * 1024 * 1024) }))), /larger than/],
  ];
  for (const [name, manifest, message] of cases) {
    t.throws(() => parseManifest(manifest, 'app:1'), { code: 'bad_parameter', message }, name);
  }
});

t.test('choice by platform and variant', async (t) => {
  const entry = (platform: string | null): IndexEntry => ({
    digest: digestOf(String(platform)),
    mediaType: MEDIA_TYPE.manifest,
    sizeBytes: 1,
    platform: platform === null ? null : parsePlatform(platform),
  });
  const names = [
    'linux/arm/v5',
    'linux/amd64/v3',
    'linux/amd64',
    'linux/arm/v7',
    'linux/arm/v6',
    'linux/arm64/v8',
    null,
    'windows/amd64',
  ];
  const ranked = (wanted: string): (string | null | undefined)[] =>
    rankEntries(names.map(entry), parsePlatform(wanted)).map(({ digest }) =>
      names.find((name) => digestOf(String(name)) === digest),
    );
  t.strictSame(ranked('linux/amd64'), ['linux/amd64', null]);
  t.strictSame(ranked('linux/amd64/v3'), ['linux/amd64/v3', 'linux/amd64', null]);
  t.strictSame(ranked('linux/arm'), ['linux/arm/v7', 'linux/arm/v6', 'linux/arm/v5', null]);
  t.strictSame(ranked('linux/arm/v6'), ['linux/arm/v6', 'linux/arm/v5', null]);
  t.strictSame(ranked('linux/arm64'), ['linux/arm64/v8', null]);
  t.strictSame(ranked('linux/s390x'), [null]);
});

/** From a tag on, as a pull goes. */
async function resolveImage(
  repository: RemoteRepository,
  tag: string,
  changes: Pick<typeof options, 'platform' | 'what' | 'signal'>,
): Promise<ResolvedManifest> {
  return resolveManifest(repository, await repository.getManifest(tag, changes.signal), changes);
}

/** A repository of documents, by tag and digest. */
function repositoryOf(documents: Readonly<Record<string, RemoteManifest>>): RemoteRepository {
  const byDigest = new Map(Object.values(documents).map((document) => [document.digest, document]));
  return {
    getManifest: async (name: string) => {
      const document = documents[name] ?? byDigest.get(name);
      if (document === undefined) throw new Error(`no ${name}`);
      return document;
    },
  } as unknown as RemoteRepository;
}

const describe = (document: RemoteManifest, platform?: object): object => ({
  mediaType: document.mediaType,
  digest: document.digest,
  size: document.bytes.length,
  ...(platform === undefined ? {} : { platform }),
});
const indexOf = (...manifests: object[]): RemoteManifest => remote({ schemaVersion: 2, manifests }, MEDIA_TYPE.index);
const AMD64 = { os: 'linux', architecture: 'amd64' };
const options = { platform: AMD64, what: 'app:1', signal: new AbortController().signal };

t.test('the way from a tag to an image', async (t) => {
  const amd64 = remote(image({ annotations: { x: 'amd64' } }));
  const arm64 = remote(image({ annotations: { x: 'arm64' } }));
  const inner = indexOf(describe(amd64, AMD64));
  const top = indexOf(describe(arm64, { os: 'linux', architecture: 'arm64' }), describe(inner));
  const attestation = { ...describe(arm64, { os: 'unknown', architecture: 'unknown' }) };
  const repository = repositoryOf({ direct: amd64, top, inner, arm64, attested: indexOf(attestation) });
  t.strictSame((await resolveImage(repository, 'direct', options)).documents, [amd64]);
  const nested = await resolveImage(repository, 'top', options);
  t.strictSame(
    nested.documents.map(({ digest }) => digest),
    [top.digest, inner.digest, amd64.digest],
  );
  await t.rejects(resolveImage(repository, 'top', { ...options, platform: { os: 'linux', architecture: 's390x' } }), {
    code: 'not_found',
    message: 'app:1: no matching manifest for linux/s390x in the manifest list entries (there are linux/arm64)',
  });
  await t.rejects(resolveImage(repository, 'attested', options), { code: 'not_found' }, 'an attestation is no image');
});

t.test('indexes without end, and entries that lie', async (t) => {
  const own: RemoteManifest = {
    ...indexOf({ mediaType: MEDIA_TYPE.index, digest: digestOf('me'), size: 1 }),
    digest: digestOf('me'),
  };
  const sized = {
    ...own,
    bytes: Buffer.from(own.bytes.toString().replace('"size":1', `"size":${own.bytes.length + 2}`)),
  };
  await t.rejects(resolveImage(repositoryOf({ own: sized }), 'own', options), {
    code: 'bad_parameter',
    message: /holds itself/,
  });

  let deep = remote(image());
  const documents: Record<string, RemoteManifest> = { bottom: deep };
  for (let level = 0; level < 6; level++) {
    deep = indexOf(describe(deep));
    documents[`level${level}`] = deep;
  }
  await t.rejects(resolveImage(repositoryOf(documents), 'level5', options), {
    code: 'bad_parameter',
    message: /nested more than 4 deep/,
  });

  const leaves = Array.from({ length: 100 }, (_, index) => ({ ...indexOf(), digest: digestOf(`leaf ${index}`) }));
  const wide = indexOf(...leaves.map((leaf) => describe(leaf)));
  await t.rejects(
    resolveImage(
      repositoryOf({ wide, ...Object.fromEntries(leaves.map((leaf, index) => [`leaf${index}`, leaf])) }),
      'wide',
      options,
    ),
    { code: 'bad_parameter', message: /no image for linux\/amd64 among 16 manifests/ },
  );

  const target = remote(image());
  for (const lie of [{ size: 3 }, { mediaType: MEDIA_TYPE.dockerManifest }]) {
    const lying = indexOf({ ...describe(target, AMD64), ...lie });
    await t.rejects(resolveImage(repositoryOf({ lying, target }), 'lying', options), {
      code: 'bad_parameter',
      message: /the index says/,
    });
  }
});
