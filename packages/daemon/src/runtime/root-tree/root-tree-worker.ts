/** The thread that reads a container's files, so that the daemon's event loop never waits for them. One job each. */
import { parentPort, workerData } from 'node:worker_threads';
import { TsdError } from '@tsd/shared/errors';
import type { RootTreeAnswer, RootTreeJob } from './root-tree-job.ts';
import { runRootTreeJob } from './run-root-tree-job.ts';

if (parentPort === null) throw new Error('root-tree-worker runs as a worker thread only');
const port = parentPort;
const answer = (message: RootTreeAnswer): void => port.postMessage(message);

try {
  runRootTreeJob(workerData as RootTreeJob, (slot, length) => answer({ kind: 'piece', slot, length }));
  answer({ kind: 'done' });
} catch (error) {
  const { message, stack = message } = error instanceof Error ? error : new Error(String(error));
  answer({ kind: 'failed', code: error instanceof TsdError ? error.code : null, message, stack });
}
