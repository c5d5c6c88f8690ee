import { stat } from 'node:fs/promises';

/** Size of a file in bytes; 0 where there is none. */
export async function fileSizeBytes(path: string): Promise<number> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return 0;
    throw error;
  }
}
