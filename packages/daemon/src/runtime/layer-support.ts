/** What a kernel can do with layers: docs/layers.md, "Older kernels". */
import type { LayerImageMode } from '../storage/layer-image.ts';

export interface LayerSupport {
  /** `index` needs file systems that are mounted from files, with blocks smaller than a page (Linux 6.12). */
  readonly imageMode: LayerImageMode;
  /** Detached mounts can be cloned, and overlayfs takes them as layers (Linux 6.15). */
  readonly detachedLayers: boolean;
}

export interface KernelVersion {
  readonly major: number;
  readonly minor: number;
}

export function layerSupport({ major, minor }: KernelVersion): LayerSupport {
  const since = (sinceMajor: number, sinceMinor: number): boolean =>
    major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
  return { imageMode: since(6, 12) ? 'index' : 'copy', detachedLayers: since(6, 15) };
}
