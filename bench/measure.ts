/** Timing: alternating runs, medians, ratios. */
import { readFileSync } from 'node:fs';

/** What one engine needs for one round, in `unit`s. */
export type Sample = () => Promise<number>;

export interface Comparison {
  readonly ours: number;
  readonly theirs: number;
}

/** Median; of an even number the mean of the middle two. Throws on an empty list. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)];
  const below = sorted[Math.ceil(sorted.length / 2) - 1];
  if (middle === undefined || below === undefined) throw new Error('no values to take a median of');
  return (middle + below) / 2;
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/**
 * Runs the samples in turn, so that a change of the machine's mood strikes all alike, and returns the median of each. The
 * first round warms up and does not count.
 */
export async function alternate(samples: readonly Sample[], rounds: number): Promise<number[]> {
  const values: number[][] = samples.map(() => []);
  for (let round = 0; round <= rounds; round += 1) {
    for (const [index, sample] of samples.entries()) {
      const value = await sample();
      if (round > 0) values[index]?.push(value);
    }
  }
  return values.map(median);
}

/** What the hypervisor has taken of all processors since boot, in ms: `steal` of proc_stat(5), which counts in 1/100 s. */
export function stolenMs(): number {
  const [, , , , , , , , steal] = readFileSync('/proc/stat', 'utf8').split(/\s+/, 9);
  return Number(steal) * 10;
}
