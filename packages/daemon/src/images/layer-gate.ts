/**
 * Who may remove the files of layers and of their compressed forms (blobs), and when. Between a layer's arrival in the store and the commit of the image that needs
 * it nothing refers to it, so files are removed only while nobody is bringing any in, and each is looked at again then.
 */
export interface LayerGate {
  /** Runs `work`, which brings layers in and commits the images that need them, or reads them; none is removed meanwhile. */
  hold<T>(work: () => Promise<T>): Promise<T>;
  /** The same for work that ends elsewhere, such as a stream: the caller must call what it gets, once. */
  enter(): Promise<() => void>;
  /**
   * Removes the files of those of `diffIds` that no image refers to and those of `blobs` that are not kept. Waits for the
   * removal, unless someone holds the gate: then it happens when the last one lets go.
   */
  discard(diffIds: Iterable<string>, blobs?: Iterable<string>): Promise<void>;
  /** When nobody holds the gate and nothing is being removed. */
  idle(): Promise<void>;
  /** Notes blobs that the next `discard` is to look at too. */
  doom(blobs: Iterable<string>): void;
}

/** One kind of file. */
export interface GuardedFiles {
  readonly isReferenced: (digest: string) => boolean;
  readonly remove: (digest: string) => Promise<void>;
}

export interface LayerGateDeps {
  readonly layers: GuardedFiles;
  readonly blobs: GuardedFiles;
  /** Told of a removal that failed; the files stay until the next reconcile. */
  readonly onError: (digest: string, error: unknown) => void;
}

export function createLayerGate(deps: LayerGateDeps): LayerGate {
  const candidates = [
    { files: deps.layers, digests: new Set<string>() },
    { files: deps.blobs, digests: new Set<string>() },
  ] as const;
  const hasCandidates = (): boolean => candidates.some(({ digests }) => digests.size > 0);
  const idlers: (() => void)[] = [];
  let holders = 0;
  let removal: Promise<void> | null = null;

  const removeCandidates = async (): Promise<void> => {
    // Whoever discards something meanwhile waits for this removal: it is to take that along.
    while (hasCandidates()) {
      for (const { files, digests } of candidates) {
        for (const digest of digests) {
          digests.delete(digest);
          if (files.isReferenced(digest)) continue;
          try {
            await files.remove(digest);
          } catch (error) {
            deps.onError(digest, error);
          }
        }
      }
    }
  };
  const startRemoval = (): Promise<void> => {
    removal ??= removeCandidates().finally(() => {
      removal = null;
    });
    return removal;
  };

  const enter = async (): Promise<() => void> => {
    while (removal !== null) await removal;
    holders++;
    return () => {
      holders--;
      if (holders > 0) return;
      if (hasCandidates()) void startRemoval();
      for (const wake of idlers.splice(0)) wake();
    };
  };

  const doom = (blobs: Iterable<string>): void => {
    for (const digest of blobs) candidates[1].digests.add(digest);
  };

  return {
    enter,
    async hold(work) {
      const leave = await enter();
      try {
        return await work();
      } finally {
        leave();
      }
    },
    doom,
    async idle() {
      while (holders > 0) await new Promise<void>((resolve) => idlers.push(resolve));
      await removal;
    },
    async discard(diffIds, blobs = []) {
      for (const diffId of diffIds) candidates[0].digests.add(diffId);
      doom(blobs);
      // One that is under way may have come to its end just now.
      while (holders === 0 && hasCandidates()) await startRemoval();
    },
  };
}
