/** The thread that reads and hashes for a system check. One file or layer at a time. */
import { parentPort } from 'node:worker_threads';
import { checkFile, checkLayer } from './check-layer.ts';
import type { CheckAnswer, CheckCommand } from './check-thread.ts';

if (parentPort === null) throw new Error('check-worker runs as a worker thread only');
const port = parentPort;
/** Between two words of progress. */
const PROGRESS_BYTES = 8 * 1024 * 1024;

function answer(message: CheckAnswer): void {
  port.postMessage(message);
}

port.on('message', (command: CheckCommand) => {
  let bytes = 0;
  const onBytes = (more: number): void => {
    bytes += more;
    if (bytes < PROGRESS_BYTES) return;
    answer({ kind: 'bytes', bytes });
    bytes = 0;
  };
  try {
    const verdict =
      command.kind === 'file' ? checkFile(command.request, onBytes) : checkLayer(command.request, onBytes);
    answer({ kind: 'bytes', bytes });
    answer({ kind: 'done', verdict });
  } catch (error) {
    const { message, stack = '' } = error instanceof Error ? error : new Error(String(error));
    // A message to another thread keeps no further properties of an error.
    const code = error instanceof Error && 'code' in error ? String(error.code) : null;
    answer({ kind: 'failed', code, message, stack });
  }
});
