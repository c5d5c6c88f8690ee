/** How much space a container takes: what it wrote itself, and that with its image. */
import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { containerFiles } from './container-paths.ts';

export async function containerSize(
  deps: Pick<ContainerDeps, 'images' | 'roots'>,
  record: ContainerRecord,
): Promise<{ SizeRw: number; SizeRootFs: number }> {
  const writtenBytes = await directoryBytes(containerFiles(deps.roots, record.id).upper);
  const imageBytes = deps.images.get(record.imageId)?.sizeBytes ?? 0;
  return { SizeRw: writtenBytes, SizeRootFs: imageBytes + writtenBytes };
}

/** Sum of the files' sizes below the directory; a file with several names counts once. Changes meanwhile are no error. */
export async function directoryBytes(directory: string): Promise<number> {
  const counted = new Set<string>();
  let bytes = 0;
  const pending = [directory];
  for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
    const entries = (await unlessGone(readdir(path, { withFileTypes: true }))) ?? [];
    for (const entry of entries) {
      const child = join(path, entry.name);
      if (entry.isDirectory()) {
        pending.push(child);
        continue;
      }
      const stats = (await unlessGone(lstat(child))) ?? null;
      if (stats === null || isCounted(stats, counted)) continue;
      bytes += stats.size;
    }
  }
  return bytes;
}

function isCounted(stats: Stats, counted: Set<string>): boolean {
  if (stats.nlink === 1) return false;
  const key = `${stats.dev}:${stats.ino}`;
  if (counted.has(key)) return true;
  counted.add(key);
  return false;
}

async function unlessGone<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR'))
      return undefined;
    throw error;
  }
}
