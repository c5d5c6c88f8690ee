/** `--link CONTAINER[:ALIAS]`: names that only one container sees (legacy). */
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRecord } from './container.ts';
import type { ContainerStore } from './container-store.ts';

export interface Link {
  /** Name or id, as the user wrote it. */
  readonly container: string;
  readonly alias: string;
}

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
    return `${linked.name}:${alias}`;
  });
}
