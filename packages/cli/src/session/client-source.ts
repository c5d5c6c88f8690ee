import { readFileSync } from 'node:fs';
import { CliError } from '../cli-error.ts';
import { terminalSize } from '../output/terminal-size.ts';
import type { RequestSource } from '../request/request-source.ts';

/** The files, environment and directory of this process. */
export function clientSource(env: RequestSource['env']): RequestSource {
  return {
    env,
    workingDirectory: process.cwd(),
    terminalSize,
    readFile(path) {
      try {
        return readFileSync(path, 'utf8');
      } catch (error) {
        throw new CliError(`open ${path}: ${reasonOf(error)}`, { exitCode: 125, cause: error });
      }
    },
  };
}

/** What the operating system said, as Go words it: "no such file or directory". */
export function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return /^[A-Z0-9]+: ([^,]+)/.exec(message)?.[1] ?? message;
}
