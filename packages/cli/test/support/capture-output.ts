import type { Output } from '../../src/output/output.ts';

export interface CapturedOutput extends Output {
  text(): string;
}

/** An output that keeps what is written to it. */
export function captureOutput(isTerminal = false): CapturedOutput {
  const parts: Buffer[] = [];
  const add = (data: string | Uint8Array): void => {
    parts.push(typeof data === 'string' ? Buffer.from(data) : Buffer.from(data));
  };
  return {
    isTerminal,
    columns: 80,
    write: add,
    push(data) {
      add(data);
      return true;
    },
    drained: () => Promise.resolve(),
    text: () => Buffer.concat(parts).toString('utf8'),
  };
}
