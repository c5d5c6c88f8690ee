/**
 * Who may remove the files of layers and of their compressed forms (blobs), and when. Between a file's arrival in its store and
 * the commit of the row that needs it nothing refers to it, and who reads a file may outlive the row. So whoever brings in,
 * relies on or reads a file pins its digest, by two rules:
 *
 * - a digest is pinned before it is looked whether its file is there, and before a file is put in its place;
 * - a file is removed while its digest is not pinned and no row refers to it; who pins it then waits until it is gone.
 *
 * So what was found there under a pin stays, and all other files can go meanwhile, however long some work takes.
 */
export interface LayerPins {
  /** Runs `work`, which pins what it needs. It is unpinned when `work` has ended. */
  hold<T>(work: (pin: Pin) => Promise<T>): Promise<T>;
  /** The same for work that ends elsewhere, such as a stream: `leave` must be called, once. */
  enter(): { readonly pin: Pin; readonly leave: () => void };
  /**
   * Removes the files of those of `diffIds` that no image refers to and those of `blobs` that are not kept. Resolves when
   * they are gone; those that are pinned go when nobody needs them any longer.
   */
  discard(diffIds: Iterable<string>, blobs?: Iterable<string>): Promise<void>;
  /** Notes blobs that the next removal is to look at too. */
  doom(blobs: Iterable<string>): void;
  /** When no work is under way and nothing is being removed. */
  idle(): Promise<void>;
}

/** Takes diff ids and digests of blobs. Of what was pinned before it was called, nothing has to be waited for. */
export type Pin = (digests: Iterable<string>) => Promise<void>;

/** One kind of file. */
export interface GuardedFiles {
  readonly isReferenced: (digest: string) => boolean;
  readonly remove: (digest: string) => Promise<void>;
}

export interface LayerPinsDeps {
  readonly layers: GuardedFiles;
  readonly blobs: GuardedFiles;
  /** Told of a removal that failed; the files stay until the next reconcile. */
  readonly onError: (digest: string, error: unknown) => void;
}

export function createLayerPins(deps: LayerPinsDeps): LayerPins {
  const candidates = [
    { files: deps.layers, digests: new Set<string>() },
    { files: deps.blobs, digests: new Set<string>() },
  ] as const;
  /** How many hold each. A plain layer's blob is its tar: the two kinds need not be told apart. */
  const pinned = new Map<string, number>();
  const idlers: (() => void)[] = [];
  let holders = 0;
  let removal: Promise<void> | null = null;
  /** The one file that is being removed. */
  let going: { readonly digest: string; readonly gone: Promise<void> } | null = null;

  const nextCandidate = (): { files: GuardedFiles; digests: Set<string>; digest: string } | null => {
    for (const { files, digests } of candidates) {
      for (const digest of digests) if (!pinned.has(digest)) return { files, digests, digest };
    }
    return null;
  };
  const removeCandidates = async (): Promise<void> => {
    // Whoever discards something meanwhile waits for this removal: it is to take that along.
    for (let next = nextCandidate(); next !== null; next = nextCandidate()) {
      const { files, digests, digest } = next;
      digests.delete(digest);
      if (files.isReferenced(digest)) continue;
      const gone = files.remove(digest).catch((error: unknown) => deps.onError(digest, error));
      going = { digest, gone };
      await gone;
      going = null;
    }
  };
  const startRemoval = (): Promise<void> => {
    removal ??= removeCandidates().finally(() => {
      removal = null;
    });
    return removal;
  };

  const enter = (): ReturnType<LayerPins['enter']> => {
    const own = new Set<string>();
    let isOver = false;
    holders++;
    return {
      async pin(digests) {
        if (isOver) throw new Error('nothing can be pinned for work that has ended');
        const wanted = new Set(digests);
        for (const digest of wanted) {
          if (own.has(digest)) continue;
          own.add(digest);
          pinned.set(digest, (pinned.get(digest) ?? 0) + 1);
        }
        // From now on no removal of these begins.
        if (going !== null && wanted.has(going.digest)) await going.gone;
      },
      leave() {
        isOver = true;
        holders--;
        for (const digest of own) {
          const others = (pinned.get(digest) ?? 0) - 1;
          if (others > 0) pinned.set(digest, others);
          else pinned.delete(digest);
        }
        if (nextCandidate() !== null) void startRemoval();
        if (holders === 0) for (const wake of idlers.splice(0)) wake();
      },
    };
  };

  const doom = (blobs: Iterable<string>): void => {
    for (const digest of blobs) candidates[1].digests.add(digest);
  };

  return {
    enter,
    async hold(work) {
      const { pin, leave } = enter();
      try {
        return await work(pin);
      } finally {
        leave();
      }
    },
    doom,
    async idle() {
      while (holders > 0) await new Promise<void>((resolve) => idlers.push(resolve));
      while (removal !== null) await removal;
    },
    async discard(diffIds, blobs = []) {
      for (const diffId of diffIds) candidates[0].digests.add(diffId);
      doom(blobs);
      // A removal that is under way may have come to its end just now.
      while (nextCandidate() !== null) await startRemoval();
    },
  };
}
