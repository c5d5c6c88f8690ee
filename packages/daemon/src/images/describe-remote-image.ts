/** `GET /distribution/{name}/json`: what a registry has under a name. moby, daemon/containerd and distribution routers. */
import type { DistributionInspect } from '@tsd/shared/api-images';
import { familiarString, type ImageReference } from '@tsd/shared/image-reference';
import { parseImageConfig } from './image-config.ts';
import { MAX_JSON_BYTES } from './parse-json.ts';
import type { Platform } from './platform.ts';
import { parseManifest } from './registry/manifest.ts';
import type { RegistryClient, RegistryCredentials } from './registry/remote-repository.ts';

/** @throws TsdError as the registry's repositories; `bad_parameter` for content that cannot be accepted */
export async function describeRemoteImage(
  { registry }: { readonly registry: () => Promise<RegistryClient> },
  reference: ImageReference,
  credentials: RegistryCredentials | null,
  signal: AbortSignal,
): Promise<DistributionInspect> {
  const remote = (await registry()).repository(reference, credentials, 'pull');
  const top = await remote.getManifest(reference.digest ?? reference.tag ?? 'latest', signal);
  const parsed = parseManifest(top, familiarString(reference));
  const platforms: Platform[] =
    parsed.kind === 'index'
      ? parsed.entries.flatMap(({ platform }) => (platform === null ? [] : [platform]))
      : [parseImageConfig(await remote.readBlob(parsed.config, { signal, maxBytes: MAX_JSON_BYTES }))];
  return {
    Descriptor: { mediaType: top.mediaType, digest: top.digest, size: top.bytes.length },
    Platforms: platforms.map(({ architecture, os, variant }) => ({
      architecture,
      os,
      ...(variant === undefined ? {} : { variant }),
    })),
  };
}
