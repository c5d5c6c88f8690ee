import { TsdError } from '@tsd/shared/errors';
import type { RemoteRepository } from './registry/remote-repository.ts';

/**
 * Reads a blob and verifies it; once more without the mirrors that gave of it, where it turns out to be something else. Whoever reads
 * cannot know before the end: by then a repository has long turned to where the bytes come from.
 *
 * @throws what `read` threw, when no mirror was to blame
 */
export async function readPastMirrors<T>(
  remote: Pick<RemoteRepository, 'distrustMirrors'>,
  digest: string,
  read: () => Promise<T>,
): Promise<T> {
  for (;;) {
    try {
      return await read();
    } catch (error) {
      const isWrong = error instanceof TsdError && error.code === 'bad_parameter';
      if (!isWrong || !remote.distrustMirrors(digest)) throw error;
    }
  }
}
