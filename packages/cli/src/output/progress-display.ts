/**
 * The messages of load, pull and push as Docker's client shows them (moby, pkg/jsonmessage): on a terminal one line for each
 * layer that is redrawn in place, with a bar; elsewhere a line for every step, without the counters in between.
 */
import type { ProgressMessage } from '@tsd/shared/api-images';
import { formatDecimalBytes } from '@tsd/shared/units';
import type { Output } from './output.ts';

const BAR_CELLS = 50;
/** Docker shows its bar only where the terminal has more columns than this. */
const WHOLE_BAR_COLUMNS = 110;
/** What a line takes besides its bar: id, status, counters. */
const COLUMNS_BESIDE_BAR = 60;
/** A shorter bar says nothing. */
const MIN_BAR_CELLS = 10;

/** Returns what shows one message after the other. */
export function createProgressDisplay(output: Output): (message: ProgressMessage) => void {
  /** The line of each id, counted from the first one. */
  let lines = new Map<string, number>();
  return (message) => {
    const { id, progressDetail } = message;
    const isProgress = progressDetail !== undefined;
    if (!output.isTerminal) {
      if (isProgress && ((progressDetail.current ?? 0) > 0 || (progressDetail.total ?? 0) > 0)) return;
      output.write(messageText(message));
      return;
    }
    if (id === undefined || !isProgress) {
      // What follows stands below this message.
      lines = new Map();
      output.write(messageText(message));
      return;
    }
    let text = '';
    if (!lines.has(id)) {
      lines.set(id, lines.size);
      text = '\n';
    }
    const up = lines.size - (lines.get(id) ?? 0);
    const shown = `${message.status ?? ''} ${counterText(progressDetail, output.columns)}`;
    output.write(`${text}\x1b[${up}A\x1b[2K\r${id}: ${shown}\r\x1b[${up}B`);
  };
}

function messageText(message: ProgressMessage): string {
  const id = message.id === undefined ? '' : `${message.id}: `;
  return message.stream === undefined ? `${id}${message.status ?? ''}\n` : `${id}${message.stream}`;
}

/** `[=====>   ]  45.1MB/180MB`; empty where nothing is counted. */
export function counterText(
  { current = 0, total = 0 }: NonNullable<ProgressMessage['progressDetail']>,
  columns: number,
): string {
  if (current <= 0 && total <= 0) return '';
  const passed = formatDecimalBytes(current, 4).padStart(8);
  if (total <= 0) return passed;
  const cells = columns > WHOLE_BAR_COLUMNS ? BAR_CELLS : Math.min(BAR_CELLS, columns - COLUMNS_BESIDE_BAR);
  let bar = '';
  if (cells >= MIN_BAR_CELLS) {
    const filled = Math.floor(Math.min(current / total, 1) * cells);
    bar = `[${'='.repeat(filled)}>${' '.repeat(cells - filled)}] `;
  }
  return bar + (current > total ? passed : `${passed}/${formatDecimalBytes(total, 4)}`);
}
