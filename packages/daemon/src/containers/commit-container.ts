/** `docker commit`: an image from what a container has written. */
import type { ContainerConfig as ContainerConfigBody } from '@tsd/shared/api-container-config';
import { TsdError } from '@tsd/shared/errors';
import { familiarString } from '@tsd/shared/image-reference';
import { commitImage, mergeRunConfig } from '../images/commit-image.ts';
import { applyConfigChanges } from '../images/config-changes.ts';
import { type Image, requireSound } from '../images/image.ts';
import type { ImageRunConfig } from '../images/image-config.ts';
import type { ImageStore } from '../images/image-store.ts';
import { targetReference } from '../images/tag-image.ts';
import type { LayerStore } from '../storage/layer-store.ts';
import type { ContainerConfig, ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerRootTree } from './container-root-tree.ts';
import { isRunning } from './lifecycle.ts';

export type CommitDeps = Pick<
  ContainerDeps,
  'cgroups' | 'events' | 'locks' | 'log' | 'rootTrees' | 'roots' | 'store'
> & {
  readonly imageStore: ImageStore;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
};

export interface CommitOptions {
  /** The image's name; may hold the tag itself. '' for none. */
  readonly repository: string;
  readonly tag: string;
  readonly author: string;
  readonly comment: string;
  /** Dockerfile instructions, see applyConfigChanges. */
  readonly changes: readonly string[];
  /** Stops the container's processes meanwhile. */
  readonly pause: boolean;
  /** What the image's configuration starts from; the container's own by default. */
  readonly config: ContainerConfigBody | undefined;
}

/**
 * Makes the image and returns its id. Holds the container's lock: it is neither stopped, started nor removed meanwhile.
 *
 * @throws TsdError `not_found`, `conflict` for a container that is being removed, `bad_parameter` for a name or a change
 */
export async function commitContainer(deps: CommitDeps, reference: string, options: CommitOptions): Promise<string> {
  const { repository, tag, author, comment } = options;
  const { id, config } = deps.store.lookup(reference);
  const own = imageRunConfig(config);
  const runConfig = mergeRunConfig(
    applyConfigChanges(options.config === undefined ? own : imageRunConfig(options.config), options.changes),
    own,
  );
  const name = repository === '' ? undefined : targetReference({ repository, tag });
  return await deps.locks.run(id, async () => {
    const record = deps.store.lookup(id);
    if (record.status === 'removing' || record.status === 'dead') {
      const state = record.status === 'dead' ? 'Dead' : 'being removed';
      throw new TsdError('conflict', `You cannot commit container ${id} which is ${state}`);
    }
    const base = imageOf(deps, record);
    const layerTar = deps.rootTrees.stream(containerRootTree(deps, record, base), 'layer');
    const { image } = await whilePaused(deps, record, options.pause, () =>
      commitImage({ store: deps.imageStore, layerStore: deps.layerStore }, layerTar, {
        base,
        config: runConfig,
        author,
        comment,
        createdBy: (config.Cmd ?? []).join(' '),
        reference: name,
      }),
    );
    deps.log.info({ containerId: id, imageId: image.id }, 'a container was committed');
    const imageRef = name === undefined ? '' : familiarString(name);
    publishContainerEvent(deps, record, 'commit', { comment, imageID: image.id, imageRef });
    return image.id;
  });
}

function imageOf({ imageStore }: Pick<CommitDeps, 'imageStore'>, { id, imageId }: ContainerRecord): Image {
  const image = imageStore.get(imageId);
  if (image === null) throw new TsdError('not_found', `No such image: ${imageId}, which container ${id} was made from`);
  requireSound(image);
  return image;
}

/** Docker commits a container that cannot be paused all the same; so does tsd, and says so in its log. */
async function whilePaused<T>(
  { cgroups, log }: Pick<CommitDeps, 'cgroups' | 'log'>,
  { id, status }: ContainerRecord,
  pause: boolean,
  work: () => Promise<T>,
): Promise<T> {
  if (!pause || !isRunning(status) || status === 'paused') return await work();
  if (!(await cgroups.freeze(id))) log.warn({ containerId: id }, 'a container could not be paused for its commit');
  try {
    return await work();
  } finally {
    cgroups.thaw(id);
  }
}

/** The part of a container's configuration that images have. Empty values say nothing. */
function imageRunConfig(config: ContainerConfig | ContainerConfigBody): ImageRunConfig {
  const { User, ExposedPorts, Env, Entrypoint, Cmd, Volumes, WorkingDir, Labels, StopSignal } = config;
  const { Healthcheck, OnBuild, Shell } = config;
  const fields = {
    User,
    ExposedPorts: keySet(ExposedPorts),
    Env,
    Entrypoint: argumentList(Entrypoint),
    Cmd: argumentList(Cmd),
    Volumes: keySet(Volumes),
    WorkingDir,
    Labels,
    StopSignal,
    Healthcheck,
    OnBuild,
    Shell,
  };
  const given = Object.entries(fields).filter(([, value]) => value !== undefined && value !== null && value !== '');
  return Object.fromEntries(given) as ImageRunConfig;
}

function keySet(keys: Readonly<Record<string, unknown>> | null | undefined): Record<string, object> | undefined {
  return keys ? Object.fromEntries(Object.keys(keys).map((key) => [key, {}])) : undefined;
}

function argumentList(value: readonly string[] | string | null | undefined): readonly string[] | null | undefined {
  return typeof value === 'string' ? [value] : value;
}
