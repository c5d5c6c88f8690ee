/** /etc/passwd and /etc/group of a container's root file system, read without following links out of it. */
import { readFileInLayers } from '../runtime/layered-root.ts';

export interface Accounts {
  readonly passwd: string | null;
  readonly group: string | null;
}

export interface AccountsSource {
  readonly imageId: string;
  /** The image's layers, as LayerMounts leases them. */
  readonly layers: readonly number[];
  /** The container's upper directory; null where nothing has been written yet: its files are the image's then. */
  readonly upperPath: string | null;
}

/** @throws TsdError `bad_parameter`: one of them is larger than 1 MiB */
export type AccountsReader = (source: AccountsSource) => Accounts;

/** They are small as a rule; a larger one is not read. */
const MAX_BYTES = 1024 * 1024;
/** Images whose files are remembered, and how long they may be together. */
const MAX_REMEMBERED = 16;
const MAX_REMEMBERED_LENGTH = 16 * 1024;

/** Remembers the files of images that were used last: most containers start with nothing of their own. */
export function createAccountsReader(): AccountsReader {
  const ofImages = new Map<string, Accounts>();
  return ({ imageId, layers, upperPath }) => {
    const known = upperPath === null ? ofImages.get(imageId) : undefined;
    if (known !== undefined) return known;
    const read = (path: string): string | null =>
      readFileInLayers({ upperPath, layerDescriptors: layers, path, maxBytes: MAX_BYTES })?.toString() ?? null;
    const accounts = { passwd: read('etc/passwd'), group: read('etc/group') };
    if (upperPath === null && lengthOf(accounts) <= MAX_REMEMBERED_LENGTH) {
      for (const oldest of ofImages.keys()) {
        if (ofImages.size < MAX_REMEMBERED) break;
        ofImages.delete(oldest);
      }
      ofImages.set(imageId, accounts);
    }
    return accounts;
  };
}

function lengthOf({ passwd, group }: Accounts): number {
  return (passwd?.length ?? 0) + (group?.length ?? 0);
}
