/** --sig-proxy: signals of the client go to the container (docker/cli ForwardAllSignals). */
import { constants } from 'node:os';
import type { ApiClient } from '../api/api-client.ts';
import type { Output } from '../output/output.ts';

/** What can be caught, is not about the client itself and is safe to catch in Node. */
const FORWARDED: readonly NodeJS.Signals[] = [
  'SIGHUP',
  'SIGINT',
  'SIGQUIT',
  'SIGTERM',
  'SIGUSR1',
  'SIGUSR2',
  'SIGALRM',
  'SIGCONT',
  'SIGTSTP',
  'SIGTTIN',
  'SIGTTOU',
  'SIGVTALRM',
  'SIGXCPU',
  'SIGXFSZ',
  'SIGIO',
  'SIGPWR',
];

/** A container may ignore the first two; the third of these ends the client, as Docker's. */
const TERMINATIONS_UNTIL_EXIT = 3;

/** Forwards until the returned function is called. `containerId` may still be unknown when a signal comes. */
export function forwardSignals(client: ApiClient, containerId: () => string | undefined, stderr: Output): () => void {
  let terminations = 0;
  const handler = (signal: NodeJS.Signals): void => {
    const id = containerId();
    if (signal === 'SIGINT' || signal === 'SIGTERM') terminations++;
    if (terminations >= TERMINATIONS_UNTIL_EXIT) {
      stderr.write(`\ngot ${TERMINATIONS_UNTIL_EXIT} SIGTERM/SIGINTs, forcefully exiting\n`);
      process.exit(1);
    }
    if (id === undefined) {
      if (signal === 'SIGINT' || signal === 'SIGTERM') process.exit(128 + constants.signals[signal]);
      return;
    }
    client
      .send({ method: 'POST', path: `/containers/${id}/kill`, query: { signal: signal.replace(/^SIG/, '') } })
      .catch(ignoreRefusal);
  };
  for (const signal of FORWARDED) process.on(signal, handler);
  return () => {
    for (const signal of FORWARDED) process.off(signal, handler);
  };
}

/** The container may have ended already. */
function ignoreRefusal(): void {
  // Nothing to do.
}
