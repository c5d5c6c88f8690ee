import { open } from 'node:fs/promises';

/** Makes a file's content durable, or a directory's entries: what was made, renamed or removed in it. */
export async function syncPath(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
