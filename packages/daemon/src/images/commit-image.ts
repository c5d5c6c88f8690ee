/** `docker commit`: an image that is another one, a layer on top, and a configuration of its own (moby daemon/images, CommitImage). */
import { mergeEnvironment } from '@tsd/shared/environment';
import { TsdError } from '@tsd/shared/errors';
import type { ImageReference } from '@tsd/shared/image-reference';
import type { LayerStore, StoredLayer } from '../storage/layer-store.ts';
import type { Image } from './image.ts';
import { type ImageRunConfig, MAX_LAYERS } from './image-config.ts';
import type { AddedImage, ImageStore } from './image-store.ts';
import { layerRecord } from './layer-records.ts';

export interface CommitImageDeps {
  readonly store: ImageStore;
  readonly layerStore: Pick<LayerStore, 'ingest'>;
}

export interface CommitImageOptions {
  readonly base: Image;
  readonly config: ImageRunConfig;
  readonly author: string;
  readonly comment: string;
  /** What the image's history says of the new layer: the container's command. */
  readonly createdBy: string;
  /** The image's name; without one it stays untagged. */
  readonly reference: ImageReference | undefined;
}

/**
 * Stores the image. A layer without entries adds none, only a step to the history, as in Docker.
 *
 * @param layerTar uncompressed, from tsd's own writer; what is in it is hostile all the same
 * @throws TsdError `bad_parameter`: too many layers, or a layer that cannot be one; `insufficient_storage`; nothing is left
 *   behind then
 */
export async function commitImage(
  { store, layerStore }: CommitImageDeps,
  layerTar: AsyncIterable<Uint8Array>,
  { base, config, author, comment, createdBy, reference }: CommitImageOptions,
): Promise<AddedImage> {
  if (base.diffIds.length >= MAX_LAYERS) {
    throw new TsdError(
      'bad_parameter',
      `max depth exceeded: the image already has ${base.diffIds.length} layers (import an export of the container instead)`,
    );
  }
  let layer: StoredLayer | undefined;
  try {
    return await store.layers.hold(async (pin) => {
      await pin(base.diffIds);
      // Never `detect`: the archive begins with a file's name, and that could look like anything.
      layer = await layerStore.ingest(layerTar, { compression: 'none', beforePublish: pin });
      const isEmpty = layer.entryCount === 0;
      const layers = [...store.imageLayers(base.id), ...(isEmpty ? [] : [layerRecord(layer)])];
      const created = new Date().toISOString();
      const { architecture, os, variant } = base.config;
      const step = {
        created,
        ...(createdBy === '' ? {} : { created_by: createdBy }),
        ...(author === '' ? {} : { author }),
        ...(comment === '' ? {} : { comment }),
        ...(isEmpty ? { empty_layer: true } : {}),
      };
      const configBytes = Buffer.from(
        JSON.stringify({
          architecture,
          ...(author === '' ? {} : { author }),
          ...(comment === '' ? {} : { comment }),
          config,
          created,
          history: [...base.config.history, step],
          os,
          ...(base.config['os.version'] === undefined ? {} : { 'os.version': base.config['os.version'] }),
          rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
          ...(variant === undefined ? {} : { variant }),
        }),
      );
      const [added] = store.add([{ configBytes, layers, tags: reference === undefined ? [] : [reference] }]);
      if (added === undefined) throw new TsdError('internal', 'the committed image was not stored');
      return added;
    });
  } finally {
    if (layer !== undefined) await store.layers.discard([layer.diffId]);
  }
}

/** What the user says, and for all that it leaves open what the container has (moby daemon/commit.go, merge). */
export function mergeRunConfig(user: ImageRunConfig, container: ImageRunConfig): ImageRunConfig {
  const hasEntrypoint = (user.Entrypoint?.length ?? 0) > 0;
  const hasCommand = (user.Cmd?.length ?? 0) > 0;
  const entrypoint = user.Entrypoint ?? container.Entrypoint;
  const command = hasCommand || hasEntrypoint ? user.Cmd : container.Cmd;
  const { Entrypoint: _entrypoint, Cmd: _command, ...rest } = { ...container, ...user };
  return {
    ...rest,
    ...optional('Env', user.Env || container.Env ? mergeEnvironment(container.Env ?? [], user.Env ?? []) : undefined),
    ...optional('ExposedPorts', merged(container.ExposedPorts, user.ExposedPorts)),
    ...optional('Volumes', merged(container.Volumes, user.Volumes)),
    ...optional('Labels', merged(container.Labels, user.Labels)),
    ...optional('Entrypoint', entrypoint),
    ...optional('Cmd', command),
  };
}

function merged<T>(
  below: Readonly<Record<string, T>> | undefined,
  above: Readonly<Record<string, T>> | undefined,
): Record<string, T> | undefined {
  return below === undefined && above === undefined ? undefined : { ...below, ...above };
}

function optional<Name extends string, Value>(name: Name, value: Value | undefined): { [N in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [N in Name]: Value });
}
