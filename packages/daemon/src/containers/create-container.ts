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
import { parseEgressRules } from '../networks/egress-rule.ts';
import { allowedEgress } from './attached-endpoints.ts';
import { checkHostConfig } from './check-host-config.ts';
import type { ContainerConfig, ContainerRecord, HostConfig } from './container.ts';
import { mergeContainerConfig } from './container-config.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { containerLaunchInput } from './container-launch-input.ts';
import { checkLinks } from './container-links.ts';
import { parseMountRequests } from './container-mounts.ts';
import { type ContainerFiles, containerFiles } from './container-paths.ts';
import { nameConflict } from './container-store.ts';
import { requestedEndpoints } from './endpoint-request.ts';
import { generateContainerName } from './generated-name.ts';
import { normalizeHostConfig } from './host-config.ts';
import { joinedContainer } from './joined-container.ts';
import { sharedIdRange, withJoinedContainers } from './joined-namespaces.ts';
import { parseExtraHost } from './network-files.ts';
import { checkPorts } from './requested-ports.ts';
import { nowNs, timestampOfNs } from './timestamp.ts';

export type CreateDeps = Pick<
  ContainerDeps,
  'events' | 'idRanges' | 'images' | 'log' | 'networks' | 'planning' | 'roots' | 'store' | 'trash'
>;

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

  const hostConfig = withJoinedContainers(
    deps.store,
    withFoundContainers(deps, normalizeHostConfig(body.HostConfig ?? {})),
  );
  const warnings = [...checkHostConfig(hostConfig), ...(platform ? [] : platformWarnings(image.config))];
  checkSharedNetwork(body, hostConfig);
  const endpoints = requestedEndpoints(body, hostConfig, deps.networks.store);
  for (const entry of hostConfig.ExtraHosts ?? []) parseExtraHost(entry);
  const mounts = parseMountRequests(hostConfig);

  const id = newContainerId();
  const config = mergeContainerConfig(body, image.config.config);
  if (hasHealthcheck(config)) {
    warnings.push('Health checks are not implemented yet: the container has no health status.');
  }
  checkPorts({ config, hostConfig });
  parseEgressRules(allowedEgress({ hostConfig }) ?? []);
  const idRange = takeIdRange(deps, hostConfig);
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
    deps.store.insert(record, () => {
      for (const { network, config: asked } of endpoints) deps.networks.store.putEndpoint(id, network, asked);
    });
  } catch (error) {
    deps.trash.discard(files.directory);
    if (idRange !== null) deps.idRanges.release(idRange);
    throw error;
  }
  deps.log.info({ containerId: id, name: record.name, image: imageReference }, 'a container was created');
  publishContainerEvent(deps, record, 'create');
  return { Id: id, Warnings: warnings };
}

/** @throws TsdError `bad_parameter` where the containers that are joined do not share theirs, `insufficient_storage` */
function takeIdRange({ idRanges, store }: CreateDeps, hostConfig: HostConfig): number | null {
  if (hostConfig.UsernsMode === 'host' || hostConfig.Privileged) return null;
  const shared = sharedIdRange(store, hostConfig);
  if (shared === null) return idRanges.allocate();
  idRanges.share(shared);
  return shared;
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

/** Other containers are named by their ids from here on. */
function withFoundContainers({ store }: CreateDeps, hostConfig: HostConfig): HostConfig {
  const joined = joinedContainer(hostConfig.NetworkMode);
  const links = hostConfig.Links === null ? null : checkLinks(store, hostConfig.Links);
  if (joined === null) return { ...hostConfig, Links: links };
  const target = store.byId(joined) ?? store.byName(joined) ?? findOther(store, joined);
  return { ...hostConfig, Links: links, NetworkMode: `container:${target.id}` };
}

/** Not `not_found`: Docker's client takes that for the image's, and pulls. */
function findOther(store: CreateDeps['store'], reference: string): ContainerRecord {
  try {
    return store.lookup(reference);
  } catch (error) {
    if (error instanceof TsdError && error.code === 'not_found')
      throw new TsdError('bad_parameter', `cannot join the network of ${reference}: ${error.message}`, {
        cause: error,
      });
    throw error;
  }
}

/** What another container's network, or the host's, decides (moby runconfig/hostconfig_unix.go, validateNetMode). */
function checkSharedNetwork(body: ContainerCreateBody, hostConfig: HostConfig): void {
  const isJoined = joinedContainer(hostConfig.NetworkMode) !== null;
  const conflict = (what: string) => new TsdError('bad_parameter', `conflicting options: ${what}`);
  if ((isJoined || hostConfig.NetworkMode === 'host') && (hostConfig.Links ?? []).length > 0)
    throw conflict(
      `${isJoined ? 'container' : 'host'} type network can't be used with links. This would result in undefined behavior`,
    );
  if (!isJoined) return;
  if (body.Hostname) throw conflict('hostname and the network mode');
  if (hostConfig.Dns.length > 0) throw conflict('dns and the network mode');
  if ((hostConfig.ExtraHosts ?? []).length > 0) throw conflict('custom host-to-IP mapping and the network mode');
  if (body.MacAddress) throw conflict('mac-address and the network mode');
  if (Object.keys(hostConfig.PortBindings).length > 0 || hostConfig.PublishAllPorts)
    throw conflict('port publishing and the container type network mode');
  if (Object.keys(body.ExposedPorts ?? {}).length > 0)
    throw conflict('port exposing and the container type network mode');
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
    // Networks and other containers add steps that can fail at the start only.
    hostConfig: {
      ...record.hostConfig,
      GroupAdd: null,
      ...withoutJoins(record.hostConfig),
      NetworkMode: record.hostConfig.NetworkMode === 'host' ? 'host' : 'none',
    },
  };
  const root = { layerCount, accounts: { passwd: null, group: null }, missingMarks: [] };
  const input = containerLaunchInput(anyUser, files, deps.planning, root, { interfaces: [] });
  return deps.planning.planLaunch(input).warnings;
}

function withoutJoins({ PidMode, IpcMode }: HostConfig): Pick<HostConfig, 'PidMode' | 'IpcMode'> {
  const alone = (mode: string) => (mode.startsWith('container:') ? 'private' : mode);
  return { PidMode: alone(PidMode), IpcMode: alone(IpcMode) };
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
