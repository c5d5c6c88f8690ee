/** Verbs that take several containers or images. */
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';

/** Requests in flight at a time. */
const PARALLEL = 16;

/**
 * Does something to every target, several at a time, and prints each name (or what the action returns as text, or
 * nothing for null) in the order of the arguments; errors go to stderr. Resolves with 0, or 1 if any failed.
 */
export async function eachTarget(
  context: CommandContext,
  names: readonly string[],
  action: (name: string) => Promise<unknown>,
): Promise<number> {
  const running = new Set<Promise<unknown>>();
  const results: Promise<unknown>[] = [];
  const run = async (name: string): Promise<unknown> => {
    while (running.size >= PARALLEL) await Promise.race(running);
    const result = action(name);
    const settled: Promise<void> = result.then(noop, noop).then(() => {
      running.delete(settled);
    });
    running.add(settled);
    return result;
  };
  for (const name of names) {
    const result = run(name);
    // It is awaited below, in order; until then its failure is not an unhandled one.
    result.catch(noop);
    results.push(result);
  }
  let failed = false;
  for (const [index, result] of results.entries()) {
    try {
      const shown = await result;
      if (shown !== null) context.stdout.write(`${typeof shown === 'string' ? shown : (names[index] ?? '')}\n`);
    } catch (error) {
      if (!(error instanceof CliError) || names.length === 1) throw error;
      context.stderr.write(`tsdctl: ${error.message}\n`);
      failed = true;
    }
  }
  return failed ? 1 : 0;
}

function noop(): void {
  // Nothing to do.
}
