/** Columns as Go's text/tabwriter aligns them for Docker's client (minimum width 10, padding 3). */
import { displayWidth } from './display-width.ts';

const PADDING = 3;

/** Aligns rows of cells; the last cell of a row is not padded. `minimumWidth` is 10 in most of Docker's tables. */
export function alignRows(rows: readonly (readonly string[])[], minimumWidth = 10): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.slice(0, -1).entries()) {
      widths[index] = Math.max(widths[index] ?? minimumWidth, displayWidth(cell) + PADDING);
    }
  }
  return rows
    .map((row) => {
      const cells = row.map((cell, index) =>
        index === row.length - 1 ? cell : cell + ' '.repeat((widths[index] ?? 0) - displayWidth(cell)),
      );
      return `${cells.join('')}\n`;
    })
    .join('');
}
