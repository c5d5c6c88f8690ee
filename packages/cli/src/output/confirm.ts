import { createInterface } from 'node:readline';
import type { Output } from './output.ts';

/** Asks on the terminal; anything but `y` is a no, so is the end of the input. */
export async function confirm(output: Output, question: string): Promise<boolean> {
  output.write(`${question}\nAre you sure you want to continue? [y/N] `);
  const lines = createInterface({ input: process.stdin });
  try {
    for await (const line of lines) return line.trim().toLowerCase() === 'y';
    return false;
  } finally {
    lines.close();
  }
}
