/** --sig-proxy: signals of the client go to the container (docker/cli ForwardAllSignals). */
import { parseSignal } from '@tsd/shared/signal-names';
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

export interface SignalTarget {
  /** The container that takes the signals; undefined while it is not started. */
  containerId(): string | undefined;
  /** SIGINT or SIGTERM came before that. */
  interrupted(exitCode: number): void;
}

/** Forwards for as long as the client lives, which ends with the container: taking 16 handlers back would take a millisecond. */
export function forwardSignals(client: ApiClient, target: SignalTarget, stderr: Output): void {
  let terminations = 0;
  const handler = (signal: NodeJS.Signals): void => {
    const id = target.containerId();
    const isTermination = signal === 'SIGINT' || signal === 'SIGTERM';
    if (isTermination) terminations++;
    if (terminations >= TERMINATIONS_UNTIL_EXIT) {
      stderr.write(`\ngot ${TERMINATIONS_UNTIL_EXIT} SIGTERM/SIGINTs, forcefully exiting\n`);
      process.exit(1);
    }
    if (id === undefined) {
      if (isTermination) target.interrupted(128 + parseSignal(signal));
      return;
    }
    client
      .send({ method: 'POST', path: `/containers/${id}/kill`, query: { signal: signal.replace(/^SIG/, '') } })
      .catch(ignoreRefusal);
  };
  for (const signal of FORWARDED) process.on(signal, handler);
}

/** The container may have ended already. */
function ignoreRefusal(): void {
  // Nothing to do.
}
