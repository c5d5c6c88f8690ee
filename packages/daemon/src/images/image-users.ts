/** Containers as the images' verbs see them: who keeps an image from being removed. */
export interface ContainerUse {
  readonly id: string;
  readonly running: boolean;
}

/** The containers made from an image, whatever their state. */
export type ImageUsers = (imageId: string) => readonly ContainerUse[];

/** The twelve digits that Docker shows of a container id. */
export function shortContainerId(id: string): string {
  return id.slice(0, 12);
}
