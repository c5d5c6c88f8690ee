/** `--link CONTAINER[:ALIAS]`: what one container is told of another in the default network (legacy). */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { type Attachment, predefinedNetworkId } from '../networks/network.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFiles } from './container-paths.ts';
import type { ContainerStore } from './container-store.ts';
import { isRunning } from './lifecycle.ts';
import { linkEnvironment } from './link-environment.ts';
import { exposedPorts } from './requested-ports.ts';

export interface Link {
  /** Name or id as the user wrote it; the full id in records. */
  readonly container: string;
  readonly alias: string;
}

/** What a container is given of its links at its start. */
export interface ResolvedLinks {
  readonly environment: readonly string[];
  /** Lines of /etc/hosts. */
  readonly hostLines: readonly string[];
}

/** Of an /etc/hosts that the daemon reads again. */
const MAX_HOSTS_BYTES = 1024 * 1024;

export const NO_LINKS: ResolvedLinks = { environment: [], hostLines: [] };

/**
 * `name`, `name:alias`, and `/name:/container/alias`, as Docker shows them.
 *
 * @throws TsdError `bad_parameter` with Docker's text
 */
export function parseLink(text: string): Link {
  const [container = '', alias = container, ...rest] = text.split(':');
  const name = container.replace(/^\//, '');
  const short = alias.slice(alias.lastIndexOf('/') + 1);
  if (rest.length > 0 || !/^[^\s\p{Cc}]+$/u.test(name) || !/^[^\s\p{Cc}]+$/u.test(short))
    throw new TsdError('bad_parameter', `bad format for links: ${text}`);
  return { container: name, alias: short };
}

/**
 * The links of a HostConfig, which hold in the default network, with the full ids of their containers.
 *
 * @throws TsdError `bad_parameter` for one that does not exist (not `not_found`, which Docker's client takes for the image's)
 */
export function checkLinks(store: Pick<ContainerStore, 'lookup'>, links: readonly string[]): readonly string[] {
  return links.map((text) => {
    const { container, alias } = parseLink(text);
    let linked: ContainerRecord;
    try {
      linked = store.lookup(container);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      throw new TsdError('bad_parameter', `could not get container for ${container}: ${reason}`, { cause: error });
    }
    if (linked.hostConfig.NetworkMode === 'host')
      throw new TsdError(
        'bad_parameter',
        "conflicting options: host type networking can't be used with links. This would result in undefined behavior",
      );
    return `${linked.id}:${alias}`;
  });
}

/** `/db:/web/alias`: the links as Docker shows them, by the names of now; without those of containers that are gone. */
export function shownLinks(
  store: Pick<ContainerStore, 'byId' | 'byName'>,
  { name, hostConfig }: Pick<ContainerRecord, 'name' | 'hostConfig'>,
): readonly string[] | null {
  if (hostConfig.Links === null) return null;
  return linkedRecords(store, hostConfig.Links).map(({ linked, alias }) => `/${linked.name}:/${name}/${alias}`);
}

/**
 * What a container that is to start is told of the others: nothing outside of the default network.
 *
 * @throws TsdError `conflict` with Docker's texts where one does not run, or is not in the default network
 */
export function resolveLinks(
  { store, networks }: Pick<ContainerDeps, 'store' | 'networks'>,
  { id, name, hostConfig }: ContainerRecord,
): ResolvedLinks {
  const bridge = predefinedNetworkId('bridge');
  const links = linkedRecords(store, hostConfig.Links ?? []);
  if (links.length === 0 || networks.store.endpoint(id, bridge) === undefined) return NO_LINKS;
  const resolved = links.map(({ linked, alias }): ResolvedLinks => {
    if (!isRunning(linked.status))
      throw new TsdError('conflict', `Cannot link to a non running container: /${linked.name} AS /${name}/${alias}`);
    const attachment = networks.store.endpoint(linked.id, bridge)?.attachment ?? null;
    if (attachment === null)
      throw new TsdError('conflict', `Cannot link to /${linked.name}, as it does not belong to the default network`);
    const environment = linkEnvironment(name, {
      alias,
      address: attachment.ipv4 ?? '',
      environment: linked.config.Env ?? [],
      exposedPorts: exposedPorts({ config: linked.config, hostConfig: { PortBindings: {}, PublishAllPorts: false } }),
    });
    return { environment, hostLines: hostLines(linked, alias, attachment) };
  });
  return {
    environment: resolved.flatMap((one) => one.environment),
    hostLines: resolved.flatMap((one) => one.hostLines),
  };
}

/** Tells the containers that are linked to one that has just been given its addresses: their lines of it had others. */
export function updateLinkingHosts(
  { networks, roots, log }: Pick<ContainerDeps, 'networks' | 'roots' | 'log'>,
  record: ContainerRecord,
): void {
  const bridge = predefinedNetworkId('bridge');
  for (const { containerId, alias } of networks.directory.linkingTo(bridge, record.id)) {
    const attachment = networks.store.endpoint(record.id, bridge)?.attachment;
    if (attachment === null || attachment === undefined) return;
    try {
      const { hosts } = containerFiles(roots, containerId);
      // The container may write to it.
      if (statSync(hosts).size > MAX_HOSTS_BYTES) throw new Error(`${hosts} is larger than ${MAX_HOSTS_BYTES} bytes`);
      const isOld = (line: string): boolean => {
        const [, first, second] = line.split(/\s+/);
        return first === alias && second === record.config.Hostname;
      };
      const kept = readFileSync(hosts, 'utf8')
        .split('\n')
        .filter((line) => line !== '' && !isOld(line));
      // In place: the file is mounted in the container.
      writeFileSync(hosts, `${[...kept, ...hostLines(record, alias, attachment)].join('\n')}\n`);
    } catch (error) {
      log.warn({ containerId, err: error }, 'a link’s new address could not be written into /etc/hosts');
    }
  }
}

/** Docker's order: the alias, the hostname, and the name where it is another one. */
function hostLines(
  { name, config }: ContainerRecord,
  alias: string,
  { ipv4, ipv6 }: Pick<Attachment, 'ipv4' | 'ipv6'>,
): string[] {
  const names = [alias, config.Hostname, ...(alias === name ? [] : [name])].join(' ');
  return [ipv4, ipv6].flatMap((address) => (address === null ? [] : [`${address}\t${names}`]));
}

function linkedRecords(
  store: Pick<ContainerStore, 'byId' | 'byName'>,
  links: readonly string[],
): { readonly linked: ContainerRecord; readonly alias: string }[] {
  return links.map(parseLink).flatMap(({ container, alias }) => {
    const linked = store.byId(container) ?? store.byName(container);
    return linked === undefined ? [] : [{ linked, alias }];
  });
}
