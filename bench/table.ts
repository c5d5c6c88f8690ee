/** The result table on the terminal. */

export interface Row {
  readonly what: string;
  readonly unit: 'ms' | 'MB' | '/s' | 'Gbit/s';
  readonly ours: number;
  /** Name and median of each counterpart; the first is the one that the ratio is with. */
  readonly theirs: readonly { readonly name: string; readonly value: number }[];
  readonly budget: Budget;
}

/** `ratio`: ours over theirs at most (for rates: at least). `absolute`: ours at most. */
export type Budget =
  | { readonly kind: 'ratio'; readonly limit: number; readonly text: string }
  | { readonly kind: 'absolute'; readonly limit: number; readonly text: string }
  | { readonly kind: 'none' };

/** More is better. */
function isRate(unit: Row['unit']): boolean {
  return unit.endsWith('/s');
}

/** Takes at most 1/`of` of the counterpart's time. */
export function ratio(of: number): Budget {
  return { kind: 'ratio', limit: 1 / of, text: `≤ 1/${of}` };
}

/** Prints the rows with ratio, budget and whether it is kept. */
export function printTable(rows: readonly Row[]): void {
  const lines = rows.map((row) => [
    row.what,
    format(row.ours, row.unit),
    row.theirs.map(({ name, value }) => `${name} ${format(value, row.unit)}`).join(', ') || '–',
    ratioText(row),
    row.budget.kind === 'none' ? '–' : row.budget.text,
    verdict(row),
  ]);
  const table = [['', 'tsd', 'counterpart', 'ratio', 'budget', ''], ...lines];
  const widths = table[0]?.map((_, column) => Math.max(...table.map((line) => (line[column] ?? '').length))) ?? [];
  for (const line of table) {
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
  }
}

function format(value: number, unit: Row['unit']): string {
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${unit}`;
}

function ratioText({ ours, theirs, unit }: Row): string {
  const first = theirs[0];
  if (first === undefined) return '–';
  return isRate(unit) ? `${(ours / first.value).toFixed(2)}×` : `1/${(first.value / ours).toFixed(1)}`;
}

function verdict({ ours, theirs, unit, budget }: Row): string {
  if (budget.kind === 'none') return '';
  if (budget.kind === 'absolute') return ours <= budget.limit ? 'kept' : 'MISSED';
  const first = theirs[0];
  if (first === undefined) return 'not measured';
  const ratio = ours / first.value;
  return (isRate(unit) ? ratio >= budget.limit : ratio <= budget.limit) ? 'kept' : 'MISSED';
}
