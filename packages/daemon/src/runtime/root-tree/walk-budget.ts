/** What one walk through a container's files may cost: a container's root can make trees that never end. */
import { TsdError } from '@tsd/shared/errors';

/** A path that the kernel takes, PATH_MAX without its terminator. */
const MAX_PATH_BYTES = 4095;
/** Path components looked up: deep trees cost their depth for each name. */
const MAX_LOOKUPS = 400_000_000;
/** Names, those of the layers included. */
const MAX_NAMES = 20_000_000;

export class WalkBudget {
  private readonly isCancelled: () => boolean;
  private names = 0;
  private lookups = 0;

  constructor(isCancelled: () => boolean) {
    this.isCancelled = isCancelled;
  }

  /** To be called for each name that is read. @throws TsdError bad_parameter */
  countName(): void {
    if (++this.names > MAX_NAMES) throw tooLarge(`more than ${MAX_NAMES} names`);
  }

  /** To be called for each path that is opened. @throws TsdError bad_parameter; WalkCancelled */
  countLookup(path: string): void {
    if (this.isCancelled()) throw new WalkCancelled();
    if (path.length > MAX_PATH_BYTES) throw tooLarge(`a path of more than ${MAX_PATH_BYTES} bytes`);
    this.lookups++;
    for (let slash = path.indexOf('/'); slash >= 0; slash = path.indexOf('/', slash + 1)) this.lookups++;
    if (this.lookups > MAX_LOOKUPS) throw tooLarge('too many and too deep directories');
  }
}

/** Nobody waits for the walk any more. */
export class WalkCancelled extends Error {
  override readonly name = 'WalkCancelled';
}

function tooLarge(what: string): TsdError {
  return new TsdError(
    'bad_parameter',
    `the container's root file system holds ${what}: it cannot be archived or compared`,
  );
}
