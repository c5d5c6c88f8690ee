/** Sends what a log holds to a client that attaches, up to the very byte where its supervisor goes on. */
import type { LogPosition } from '../runtime/launcher-protocol.ts';
import { openLogChain } from './log-chain.ts';
import { createLogEncoder } from './log-encoder.ts';
import { createLogReader } from './log-reader.ts';

export interface LogReplayOptions {
  readonly stdout: boolean;
  readonly stderr: boolean;
  readonly multiplexed: boolean;
  /** Told how many files rotation deleted before they could be sent. */
  readonly onGap: (files: number) => void;
}

export interface LogReplay {
  /** Sends what is there now and has not been sent; returns how many bytes that were. */
  catchUp(): Promise<number>;
  /** Sends all that is before the position. */
  upTo(position: LogPosition): Promise<void>;
  close(): void;
}

/** @param write resolves when there is room for more */
export function openLogReplay(
  file: string,
  { stdout, stderr, multiplexed, onGap }: LogReplayOptions,
  write: (bytes: Buffer) => Promise<void>,
): LogReplay {
  const encoder = createLogEncoder({
    stdout,
    stderr,
    multiplexed,
    since: null,
    until: null,
    timestamps: false,
    details: '',
  });
  const nothing = (): void => undefined;
  // Watched, so that a client that is slow does not miss what is rotated away meanwhile.
  const chain = openLogChain(file, { onChange: nothing, onError: nothing });
  const reader = createLogReader(chain, encoder, 0, onGap);
  const upTo = async (position: LogPosition): Promise<number> => {
    let bytes = 0;
    for (let piece = await reader.next(position); piece !== null; piece = await reader.next(position)) {
      bytes += piece.length;
      await write(piece);
    }
    return bytes;
  };
  return {
    catchUp() {
      chain.refresh();
      return upTo(reader.end());
    },
    async upTo(position) {
      chain.refresh();
      await upTo(position);
    },
    close: chain.close,
  };
}
