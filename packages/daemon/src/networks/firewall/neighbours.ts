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
  /** Brings the rules into line with the bridges; without any, nothing of the daemon's is left. Calls follow one another. */
  update(bridges: readonly GuestBridge[]): Promise<void>;
}

/** `owner`: the name of the daemon's table. */
export function createNeighbours(nft: Nftables, owner: string, log: NetworkLog): Neighbours {
  const told = new Set<string>();
  let last: Promise<void> = Promise.resolve();
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
  return {
    update(bridges) {
      const turn = last.then(() => update(bridges));
      last = turn.catch(() => undefined);
      return turn;
    },
  };
}
