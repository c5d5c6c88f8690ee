/** Keeps the daemon's rules in other programs' chains, and tells once what is in the way of containers. */
import type { Nftables } from '../../os/libnftables.ts';
import type { NetworkLog } from '../network-deps.ts';
import {
  type GuestBridge,
  guestCommands,
  hostChains,
  type ListedGuest,
  listedGuests,
  obstacles,
  wantedGuests,
} from './other-tables.ts';

export interface Neighbours {
  /** Brings the rules into line with the bridges; without any, nothing of the daemon's is left. The newest call counts. */
  update(bridges: readonly GuestBridge[]): Promise<void>;
}

/** `owner`: the name of the daemon's table. */
export function createNeighbours(nft: Nftables, owner: string, log: NetworkLog): Neighbours {
  const told = new Set<string>();
  const update = async (bridges: readonly GuestBridge[]): Promise<void> => {
    const chains = await nft.read('list chains', { withElements: false });
    if (bridges.length > 0) {
      for (const obstacle of obstacles(owner, chains)) {
        if (told.has(obstacle)) continue;
        told.add(obstacle);
        log.warn({}, obstacle);
      }
    }
    const places = hostChains(chains);
    const guests: ListedGuest[] = [];
    for (const { family, table, name } of [...places.forward, ...places.input])
      guests.push(...listedGuests(owner, await nft.read(`list chain ${family} ${table} ${name}`)));
    const commands = guestCommands(guests, wantedGuests(owner, places, bridges));
    if (commands !== '') await nft.run(commands);
  };
  let wanted: readonly GuestBridge[] | null = null;
  let working: Promise<void> | null = null;
  const work = async (): Promise<void> => {
    try {
      for (let bridges = wanted; bridges !== null; bridges = wanted) {
        wanted = null;
        await update(bridges);
      }
    } finally {
      working = null;
    }
  };
  return {
    update(bridges) {
      wanted = bridges;
      working ??= work();
      return working;
    },
  };
}
