/** The attach request and everything of this terminal that belongs to it. */
import { segment } from '../api/api-request.ts';
import type { HijackedStream } from '../api/exchange.ts';
import type { CommandContext } from '../command.ts';
import { type AttachEnd, runAttachSession } from './attach-session.ts';

export interface AttachmentOptions {
  readonly containerId: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** As the user wrote them; undefined is the default. */
  readonly detachKeys: string | undefined;
}

export interface Attachment {
  /** Copies the streams until they end. */
  run(): Promise<AttachEnd>;
  /** The container runs now: its tty gets the terminal's size. */
  started(): void;
  /** Gives the terminal back; may be called repeatedly. */
  close(): void;
}

/** Opens the stream. Throws ApiError, CliError. */
export async function openAttachment(context: CommandContext, options: AttachmentOptions): Promise<Attachment> {
  const { client } = context;
  const { containerId, tty, stdin, stdout, stderr } = options;
  const hijacked = await client.hijack({
    method: 'POST',
    path: `/containers/${segment(containerId)}/attach`,
    query: { detachKeys: options.detachKeys, stderr, stdin, stdout, stream: true },
  });
  const stream: HijackedStream = { ...hijacked, multiplexed: !tty };
  const cleanups: (() => void)[] = [];
  const rawTerminal = tty && stdin ? await import('./raw-terminal.ts') : undefined;
  return {
    async run() {
      let input: AsyncIterable<Uint8Array> | undefined;
      let detachKeys = new Uint8Array();
      if (rawTerminal !== undefined) {
        const { DEFAULT_DETACH_KEYS, parseDetachKeys } = await import('./detach-keys.ts');
        detachKeys = Uint8Array.from(parseDetachKeys(options.detachKeys ?? DEFAULT_DETACH_KEYS));
        const terminal = rawTerminal.openRawTerminal();
        cleanups.push(terminal.restore);
        input = terminal.input;
      } else if (stdin) input = process.stdin;
      return runAttachSession({ stream, stdout: context.stdout, stderr: context.stderr, input, detachKeys });
    },
    started() {
      if (!tty) return;
      void import('./raw-terminal.ts').then((module) => {
        cleanups.push(module.followTerminalSize(client, containerId));
      });
    },
    close() {
      for (const cleanup of cleanups.splice(0)) cleanup();
      stream.connection.close();
    },
  };
}
