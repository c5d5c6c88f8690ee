/** What the parts of a launch plan share while one plan is made. */
import type { CapabilityName } from './capabilities.ts';
import type { LaunchInput } from './launch-input.ts';
import type { Slot } from './launch-plan.ts';
import type { OwnNamespaces } from './plan-namespaces.ts';

export interface LaunchContext {
  readonly input: LaunchInput;
  readonly own: OwnNamespaces;
  readonly privileged: boolean;
  /** Of the first process. */
  readonly capabilities: readonly CapabilityName[];
  /** The container's root file system: a detached mount first, attached later. */
  readonly rootSlot: Slot;
  /** A slot that nothing else uses. */
  readonly newSlot: () => Slot;
  readonly warnings: string[];
}

/** The host's number for an id of the container. */
export function hostId(context: LaunchContext, id: number): number {
  const range = context.input.idRange;
  return context.own.user && range !== null ? range.first + id : id;
}
