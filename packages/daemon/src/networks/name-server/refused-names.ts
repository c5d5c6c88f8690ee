/** Names that egress policies kept from containers, counted; the newest ones. */
import type { RefusedName } from './name-server.ts';

export interface RefusedNames {
  add(networkId: string, containerId: string, name: string): void;
  of(networkId: string): readonly RefusedName[];
}

/** A container can ask for any number of names. */
const MAX_NAMES = 1000;

export function createRefusedNames(): RefusedNames {
  /** By network, container and name; the one that was refused longest ago first. */
  const entries = new Map<string, RefusedName & { readonly networkId: string }>();
  return {
    add(networkId, containerId, name) {
      const key = `${networkId} ${containerId} ${name}`;
      const queries = (entries.get(key)?.queries ?? 0) + 1;
      entries.delete(key);
      entries.set(key, { networkId, containerId, name, queries });
      for (const oldest of entries.keys()) {
        if (entries.size <= MAX_NAMES) break;
        entries.delete(oldest);
      }
    },
    of: (networkId) =>
      [...entries.values()]
        .filter((entry) => entry.networkId === networkId)
        .map(({ containerId, name, queries }) => ({ containerId, name, queries })),
  };
}
