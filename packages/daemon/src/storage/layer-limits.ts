/** Bounds on one layer, against archives made to exhaust the host. */
import { DEFAULT_LAYER_TREE_LIMITS, type LayerTreeLimits } from './erofs/layer-tree.ts';
import { DEFAULT_TAR_LIMITS, type TarLimits } from './tar/tar-entry.ts';

export interface LayerLimits {
  readonly tar: TarLimits;
  readonly tree: LayerTreeLimits;
  /** A compressed layer may grow to this size whatever its ratio. */
  readonly freeExpansionBytes: number;
  /** Beyond that, to this many times its compressed size. (gzip itself ends at 1032, zstd hardly anywhere.) */
  readonly maxExpansionRatio: number;
}

export const DEFAULT_LAYER_LIMITS: LayerLimits = {
  tar: DEFAULT_TAR_LIMITS,
  tree: DEFAULT_LAYER_TREE_LIMITS,
  freeExpansionBytes: 1024 ** 3,
  maxExpansionRatio: 200,
};
