/** `docker image inspect`: Docker Engine API, ImageInspect. */
import type { ImageInspect } from '@tsd/shared/api-images';
import { ZERO_TIME } from './image.ts';
import type { ImageStore } from './image-store.ts';

/** @throws TsdError `not_found`. */
export function inspectImage({ store }: { readonly store: ImageStore }, reference: string): ImageInspect {
  const image = store.resolve(reference);
  const { config } = image;
  const run = config.config;
  return {
    Id: image.id,
    RepoTags: [...image.repoTags],
    RepoDigests: [...image.repoDigests],
    Parent: '',
    Comment: config.comment ?? '',
    Created: image.createdAt,
    DockerVersion: config.docker_version ?? '',
    Author: config.author ?? '',
    Config: {
      ...run,
      // Docker's clients and templates count on these fields.
      User: run.User ?? '',
      Env: run.Env === undefined ? null : [...run.Env],
      Cmd: run.Cmd === undefined ? null : [...run.Cmd],
      Entrypoint: run.Entrypoint === undefined ? null : [...run.Entrypoint],
      Volumes: run.Volumes ?? null,
      WorkingDir: run.WorkingDir ?? '',
      OnBuild: run.OnBuild === undefined ? null : [...run.OnBuild],
      Labels: run.Labels ?? null,
    },
    Architecture: config.architecture,
    ...(config.variant === undefined ? {} : { Variant: config.variant }),
    Os: config.os,
    ...(config['os.version'] === undefined ? {} : { OsVersion: config['os.version'] }),
    Size: image.sizeBytes,
    GraphDriver: { Name: 'erofs', Data: null },
    RootFS: { Type: 'layers', Layers: [...image.diffIds] },
    Metadata: { LastTagTime: image.lastTaggedAt ?? ZERO_TIME },
  };
}
