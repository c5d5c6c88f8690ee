/** The streams of one attached container: frames or a raw tty to stdout and stderr, stdin to the container. */
import { createFrameDecoder, STREAM_STDERR, STREAM_SYSTEM_ERROR } from '@tsd/shared/stream-framing';
import type { HijackedStream } from '../api/exchange.ts';
import { CliError } from '../cli-error.ts';
import type { Output } from '../output/output.ts';
import { createDetachDetector } from './detach-keys.ts';

/** How the stream ended: the container closed it, the user left with the detach keys, or the connection broke. */
export type AttachEnd = 'closed' | 'detached' | 'lost';

export interface AttachOptions {
  readonly stream: HijackedStream;
  readonly stdout: Output;
  readonly stderr: Output;
  /** Where input comes from; undefined attaches output only. */
  readonly input: AsyncIterable<Uint8Array> | undefined;
  /** Empty: the sequence is not looked for (no terminal). */
  readonly detachKeys: Uint8Array;
}

/**
 * Copies until the container closes its side, with everything written that arrived. The end of the input closes only
 * the container's stdin. Throws CliError for an error that the daemon sends inside of the stream.
 */
export function runAttachSession(options: AttachOptions): Promise<AttachEnd> {
  const { stream, input, detachKeys } = options;
  const { connection } = stream;
  return new Promise((resolve, reject) => {
    const output = createOutputSplitter(options);
    let ended = false;
    let detached = false;

    const finish = (end: AttachEnd): void => {
      if (ended) return;
      ended = true;
      connection.close();
      output.finish().then(() => resolve(detached ? 'detached' : end), reject);
    };
    const fail = (error: unknown): void => {
      ended = true;
      connection.close();
      reject(error);
    };
    const take = (chunk: Buffer): void => {
      if (ended) return;
      try {
        if (output.push(chunk)) return;
      } catch (error) {
        fail(error);
        return;
      }
      connection.pause();
      output.drained().then(() => connection.resume(), fail);
    };

    connection.hand({ data: take, end: () => finish('closed'), error: () => finish('lost') });
    if (stream.head.length > 0) take(stream.head);
    connection.resume();
    if (input !== undefined) {
      copyInput(input, stream, detachKeys)
        .then((left) => {
          if (!left) return;
          detached = true;
          finish('detached');
        })
        .catch(fail);
    }
  });
}

/** Sends the input; true where the user asked to detach. */
async function copyInput(
  input: AsyncIterable<Uint8Array>,
  stream: HijackedStream,
  detachKeys: Uint8Array,
): Promise<boolean> {
  const { connection } = stream;
  const detector = detachKeys.length === 0 ? undefined : createDetachDetector(detachKeys);
  for await (const chunk of input) {
    if (connection.closed) return false;
    const { pass, detached } = detector?.push(chunk) ?? { pass: chunk, detached: false };
    if (pass.length > 0 && !connection.write(pass)) await connection.sent();
    if (detached) return true;
  }
  connection.endWriting();
  return false;
}

interface OutputSplitter {
  /** false while stdout or stderr is behind. */
  push(chunk: Buffer): boolean;
  drained(): Promise<void>;
  finish(): Promise<void>;
}

/** Splits frames over stdout and stderr; a raw stream goes to stdout. */
export function createOutputSplitter(options: {
  readonly stream: Pick<HijackedStream, 'multiplexed'>;
  readonly stdout: Output;
  readonly stderr: Output;
}): OutputSplitter {
  const { stdout, stderr } = options;
  const decoder = options.stream.multiplexed ? createFrameDecoder() : undefined;
  const systemError: string[] = [];
  const drained = async (): Promise<void> => {
    await stdout.drained();
    await stderr.drained();
  };
  return {
    push(chunk) {
      if (decoder === undefined) return stdout.push(chunk);
      let ready = true;
      decoder.push(chunk, (stream, payload) => {
        if (stream === STREAM_SYSTEM_ERROR) systemError.push(Buffer.from(payload).toString());
        else if (!(stream === STREAM_STDERR ? stderr : stdout).push(payload)) ready = false;
      });
      return ready;
    },
    drained,
    async finish() {
      await drained();
      if (systemError.length > 0) throw new CliError(`error from daemon in stream: ${systemError.join('')}`);
    },
  };
}
