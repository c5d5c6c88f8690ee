/**
 * Which containers use another one's network (`--network container:NAME`). Their processes keep its namespace, and the
 * interfaces in it, past its owner's end. In memory: a daemon that starts asks the kernel (restore-networks.ts).
 */
export interface NetworkSharers {
  /** Notes that a container, which starts or runs, uses the network that `target` has, or shares with another one itself. */
  add(sharerId: string, target: string): void;
  /** The sharer has ended. Does nothing where it is none. */
  remove(sharerId: string): void;
  isShared(ownerId: string): boolean;
  /** The owner's interfaces are gone: what the sharers have left is nobody's network. */
  forget(ownerId: string): void;
}

export function createNetworkSharers(): NetworkSharers {
  const ownerOf = new Map<string, string>();
  return {
    add: (sharerId, target) => void ownerOf.set(sharerId, ownerOf.get(target) ?? target),
    remove: (sharerId) => void ownerOf.delete(sharerId),
    // As a rule there are none at all.
    isShared: (ownerId) => ownerOf.size > 0 && [...ownerOf.values()].includes(ownerId),
    forget(ownerId) {
      for (const [sharerId, owner] of ownerOf) if (owner === ownerId) ownerOf.delete(sharerId);
    },
  };
}
