/** A text that is drawn over the last one, from the top of the terminal. Pure. */
import { ellipsis } from './display-width.ts';

const HOME = '\x1b[H';
const ERASE_LINE = '\x1b[K';
const ERASE_BELOW = '\x1b[J';

/** What does not fit is cut: a terminal that scrolls or wraps would be drawn over in the wrong places. `size` null: all fits. */
export function screenText(text: string, size: { readonly rows: number; readonly columns: number } | null): string {
  const lines = text.replace(/\n$/, '').split('\n');
  // The cursor rests in the last row.
  const room = size === null ? lines.length : size.rows - 1;
  const fitting = lines.length <= room ? lines : [...lines.slice(0, room - 1), `… ${lines.length - room + 1} more`];
  const width = size?.columns ?? Number.POSITIVE_INFINITY;
  return `${HOME}${fitting.map((line) => `${ellipsis(line, width)}${ERASE_LINE}\n`).join('')}${ERASE_BELOW}`;
}
