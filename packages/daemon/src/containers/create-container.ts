/** Makes a container: checked, named, its directories made, and, last, its row: the commit point. */
import { randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { hostname as hostName } from 'node:os';
import type { ContainerCreateBody, ContainerCreateResponse } from '@tsd/shared/api-containers';
import { parseContainerName } from '@tsd/shared/container-name';
import { TsdError } from '@tsd/shared/errors';
import { requireSound } from '../images/image.ts';
import { requireRunnableOs } from '../images/image-config.ts';
import { formatPlatform, HOST_PLATFORM, type Platform, parsePlatform } from '../images/platform.ts';
import { checkHostConfig } from './check-host-config.ts';
import type { ContainerConfig, ContainerRecord } from './container.ts';
import { mergeContainerConfig } from './container-config.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerLaunchInput } from './container-launch-input.ts';
import { parseMountRequests } from './container-mounts.ts';
import { type ContainerFiles, containerFiles } from './container-paths.ts';
import { nameConflict } from './container-store.ts';
import { generateContainerName } from './generated-name.ts';
import { normalizeHostConfig } from './host-config.ts';
import { parseExtraHost } from './network-files.ts';
import { nowNs, timestampOfNs } from './timestamp.ts';

export type CreateDeps = Pick<ContainerDeps, 'idRanges' | 'images' | 'log' | 'planning' | 'roots' | 'store' | 'trash'>;

/**
 * Creates a container. Synchronous as a whole: no other verb sees it half made.
 *
 * @param options `name`: the user's; missing or empty for one made up. `platform`: `os[/architecture[/variant]]` that the
 *   image must have
 * @throws TsdError `not_found` for a missing image, `conflict` for a name in use, `bad_parameter` and `not_implemented`
 *   naming the field
 */
export function createContainer(
  deps: CreateDeps,
  body: ContainerCreateBody,
  options: { readonly name?: string | undefined; readonly platform?: string | undefined } = {},
): ContainerCreateResponse {
  const { name, platform } = options;
  const givenName = name === undefined || name === '' ? undefined : parseContainerName(name);
  const owner = givenName === undefined ? undefined : deps.store.byName(givenName);
  if (givenName !== undefined && owner !== undefined) throw nameConflict(givenName, owner.id);
  const imageReference = body.Image ?? '';
  if (imageReference === '') throw new TsdError('bad_parameter', 'Image: the name of an image is needed');
  const image = deps.images.resolve(imageReference);
  requireSound(image);
  requireRunnableOs(image.config);
  if (platform) checkPlatform(imageReference, image.config, parsePlatform(platform));

  const hostConfig = normalizeHostConfig(body.HostConfig ?? {});
  const warnings = [...checkHostConfig(hostConfig), ...(platform ? [] : platformWarnings(image.config))];
  checkNetworkingConfig(body, hostConfig.NetworkMode);
  for (const entry of hostConfig.ExtraHosts ?? []) parseExtraHost(entry);
  const mounts = parseMountRequests(hostConfig);

  const id = newContainerId();
  const config = mergeContainerConfig(body, image.config.config);
  if (hasHealthcheck(config)) {
    warnings.push('Health checks are not implemented yet: the container has no health status.');
  }
  const idRange = hostConfig.UsernsMode === 'host' || hostConfig.Privileged ? null : deps.idRanges.allocate();
  const record: ContainerRecord = {
    id,
    name: givenName ?? generateContainerName((candidate) => deps.store.byName(candidate) !== undefined),
    status: 'created',
    imageId: image.id,
    imageReference,
    config: { ...config, Hostname: config.Hostname || defaultHostname(id, hostConfig.NetworkMode, hostConfig.UTSMode) },
    hostConfig,
    idRange,
    createdAt: timestampOfNs(nowNs()),
    startedAt: null,
    finishedAt: null,
    pid: null,
    pidStartTicks: null,
    exitCode: 0,
    exitSignal: null,
    oomKilled: false,
    error: '',
    restartCount: 0,
    stopRequested: false,
  };
  const files = containerFiles(deps.roots, id);
  try {
    // Tells now, and not at the start, what the host refuses or cannot do. The users' names are looked up at the start.
    if (mounts.every((mount) => mount.type !== 'bind' || !mount.createSource)) {
      warnings.push(...planWarnings(deps, record, files, image.diffIds.length));
    } else {
      warnings.push(...planWarnings(deps, withoutBinds(record), files, image.diffIds.length));
    }
    makeDirectories(files);
    deps.store.insert(record);
  } catch (error) {
    deps.trash.discard(files.directory);
    if (idRange !== null) deps.idRanges.release(idRange);
    throw error;
  }
  deps.log.info({ containerId: id, name: record.name, image: imageReference }, 'a container was created');
  return { Id: id, Warnings: warnings };
}

/** 32 random bytes. Docker's short form must not read as a number, which some tools take for a pid or a port. */
function newContainerId(): string {
  for (;;) {
    const id = randomBytes(32).toString('hex');
    if (!/^\d+$/.test(id.slice(0, 12))) return id;
  }
}

/** The host's own name where its UTS namespace or network is shared, else the short id, as in Docker. */
function defaultHostname(id: string, networkMode: string, utsMode: string): string {
  return networkMode === 'host' || utsMode === 'host' ? hostName() : id.slice(0, 12);
}

/** Docker answers as if the image were not there: a pull could bring one that fits. */
function checkPlatform(reference: string, image: Platform, wanted: Platform): void {
  const matches =
    image.os === wanted.os &&
    image.architecture === wanted.architecture &&
    (wanted.variant === undefined || image.variant === wanted.variant);
  if (matches) return;
  throw new TsdError(
    'not_found',
    `image with reference ${reference} was found but its platform (${formatPlatform(image)}) does not match the specified platform (${formatPlatform(wanted)})`,
  );
}

function hasHealthcheck({ Healthcheck }: ContainerConfig): boolean {
  const test = Healthcheck?.Test ?? [];
  return test.length > 0 && test[0] !== 'NONE';
}

function platformWarnings(image: {
  readonly os: string;
  readonly architecture: string;
  readonly variant?: string;
}): string[] {
  if (image.architecture === HOST_PLATFORM.architecture) return [];
  return [
    `The requested image's platform (${formatPlatform(image)}) does not match the detected host platform ` +
      `(${formatPlatform(HOST_PLATFORM)}) and no specific platform was requested`,
  ];
}

/** Docker's client names the default network even where it asks nothing of it. */
function checkNetworkingConfig(body: ContainerCreateBody, networkMode: string): void {
  for (const network of Object.keys(body.NetworkingConfig?.EndpointsConfig ?? {})) {
    if (network === networkMode || (network === 'default' && networkMode === 'bridge')) continue;
    throw new TsdError('not_implemented', `NetworkingConfig: the network "${network}" cannot be joined yet`);
  }
}

function planWarnings(
  deps: CreateDeps,
  record: ContainerRecord,
  files: ContainerFiles,
  layerCount: number,
): readonly string[] {
  const anyUser: ContainerRecord = {
    ...record,
    config: { ...record.config, User: '' },
    hostConfig: { ...record.hostConfig, GroupAdd: null },
  };
  const input = containerLaunchInput(anyUser, files, deps.planning, {
    layerCount,
    accounts: { passwd: null, group: null },
  });
  return deps.planning.planLaunch(input).warnings;
}

/** A missing source of -v is made at the start, not before. */
function withoutBinds(record: ContainerRecord): ContainerRecord {
  return { ...record, hostConfig: { ...record.hostConfig, Binds: null } };
}

/** No user of the host gets past the first. The plan makes the overlay's own, which belong to the container's root. */
function makeDirectories(files: ContainerFiles): void {
  mkdirSync(files.directory, { mode: 0o700 });
  mkdirSync(files.logDirectory, { mode: 0o700 });
}
