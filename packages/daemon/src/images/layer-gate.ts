/**
 * Who may remove a layer's files, and when. Between a layer's arrival in the store and the commit of the image that needs
 * it nothing refers to it, so layers are removed only while nobody is bringing any in, and each is looked at again then.
 */
export interface LayerGate {
  /** Runs `work`, which brings layers in and commits the images that need them, or reads them; none is removed meanwhile. */
  hold<T>(work: () => Promise<T>): Promise<T>;
  /** The same for work that ends elsewhere, such as a stream: the caller must call what it gets, once. */
  enter(): Promise<() => void>;
  /**
   * Removes the files of those of `diffIds` that no image refers to. Waits for the removal, unless someone holds the gate:
   * then it happens when the last one lets go.
   */
  discard(diffIds: Iterable<string>): Promise<void>;
}

export interface LayerGateDeps {
  readonly isReferenced: (diffId: string) => boolean;
  readonly remove: (diffId: string) => Promise<void>;
  /** Told of a layer whose removal failed; its files stay until the next reconcile. */
  readonly onError: (diffId: string, error: unknown) => void;
}

export function createLayerGate(deps: LayerGateDeps): LayerGate {
  const candidates = new Set<string>();
  let holders = 0;
  let removal: Promise<void> | null = null;

  const removeCandidates = async (): Promise<void> => {
    for (const diffId of candidates) {
      candidates.delete(diffId);
      if (deps.isReferenced(diffId)) continue;
      try {
        await deps.remove(diffId);
      } catch (error) {
        deps.onError(diffId, error);
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
      if (holders === 0 && candidates.size > 0) void startRemoval();
    };
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
    async discard(diffIds) {
      for (const diffId of diffIds) candidates.add(diffId);
      if (holders === 0 && candidates.size > 0) await startRemoval();
    },
  };
}
