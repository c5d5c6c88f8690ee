/** The user's terminal while a container's tty is attached: raw input, and the container's tty as big as it is. */
import { spawnSync } from 'node:child_process';
import { isatty, ReadStream } from 'node:tty';
import type { ApiClient } from '../api/api-client.ts';
import { CliError } from '../cli-error.ts';
import { terminalSize } from '../output/terminal-size.ts';

/** Docker's check before it attaches stdin to a tty. Throws CliError. */
export function checkInputIsTerminal(): void {
  if (!isatty(0)) throw new CliError('the input device is not a TTY');
}

export interface RawTerminal {
  readonly input: AsyncIterable<Uint8Array>;
  restore(): void;
}

/** Puts the terminal of stdin into raw mode; every key reaches the container. `restore` may be called repeatedly. */
export function openRawTerminal(): RawTerminal {
  const stream = new ReadStream(0);
  stream.setRawMode(true);
  // Node's raw mode still turns a newline into carriage return and newline, which breaks what full-screen programs draw.
  // Restoring the mode undoes this too. Without stty(1) the terminal stays usable.
  spawnSync('stty', ['-opost'], { stdio: [0, 'ignore', 'ignore'] });
  const restore = (): void => {
    if (!stream.isRaw || stream.destroyed) return;
    stream.setRawMode(false);
    stream.pause();
  };
  // Whatever ends the process, the user's shell gets a usable terminal.
  process.on('exit', restore);
  return { input: stream, restore };
}

/**
 * Gives the container's tty the size of this terminal, now and whenever it changes; returns what stops it.
 * A container that is not running yet or no longer refuses: that is no error for the user.
 */
export function followTerminalSize(client: ApiClient, containerId: string): () => void {
  const send = (): void => {
    const size = terminalSize();
    if (size === null) return;
    client
      .send({ method: 'POST', path: `/containers/${containerId}/resize`, query: { h: size.rows, w: size.columns } })
      .catch(ignoreRefusal);
  };
  send();
  process.on('SIGWINCH', send);
  return () => process.off('SIGWINCH', send);
}

function ignoreRefusal(): void {
  // Nothing to do.
}
