/** How far an upload or download is: a bar on a terminal, a line every few seconds otherwise. */
import { formatDecimalBytes } from '@tsd/shared/units';
import type { Output } from './output.ts';

export interface TransferOptions {
  /** What happens, such as `Loading`. */
  readonly title: string;
  readonly output: Output;
  readonly quiet: boolean;
  /** The clock, for tests. */
  readonly nowMs?: () => number;
}

export interface TransferProgress {
  readonly stream: AsyncIterable<Uint8Array>;
  /** Removes the bar; may be called repeatedly. */
  done(): void;
}

/** A terminal is redrawn at most this often, a log gets a line this often. */
const REDRAW_MS = 100;
const LINE_MS = 5000;
const BAR_WIDTH = 30;

/** Passes the stream on and shows how much of it has passed. */
export function withTransferProgress(
  input: { readonly stream: AsyncIterable<Uint8Array>; readonly sizeBytes: number | null },
  options: TransferOptions,
): TransferProgress {
  const { output, quiet } = options;
  const nowMs = options.nowMs ?? Date.now;
  const intervalMs = output.isTerminal ? REDRAW_MS : LINE_MS;
  let shownAtMs = nowMs();
  let passedBytes = 0;
  let isDrawn = false;

  const show = (): void => {
    const text = transferText(options.title, passedBytes, input.sizeBytes, output.isTerminal);
    output.write(output.isTerminal ? `\r\x1b[K${text}` : `${text}\n`);
    isDrawn = true;
  };
  async function* pass(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of input.stream) {
      passedBytes += chunk.length;
      if (!quiet && nowMs() - shownAtMs >= intervalMs) {
        shownAtMs = nowMs();
        show();
      }
      yield chunk;
    }
  }
  return {
    stream: pass(),
    done() {
      if (isDrawn && output.isTerminal) output.write('\r\x1b[K');
      isDrawn = false;
    },
  };
}

/** `Loading [======>      ] 45MB/180MB`, or `Loading: 25% (45MB of 180MB)` as a line. */
export function transferText(title: string, passed: number, total: number | null, bar: boolean): string {
  if (total === null || total === 0) return `${title}: ${formatDecimalBytes(passed, 3)}`;
  const share = Math.min(passed / total, 1);
  const sizes = [formatDecimalBytes(passed, 3), formatDecimalBytes(total, 3)] as const;
  if (!bar) return `${title}: ${Math.floor(share * 100)}% (${sizes[0]} of ${sizes[1]})`;
  const filled = Math.floor(share * BAR_WIDTH);
  const line = '='.repeat(filled) + (filled < BAR_WIDTH ? '>' : '');
  return `${title} [${line.padEnd(BAR_WIDTH)}] ${sizes[0]}/${sizes[1]}`;
}
