/**
 * Programs that keep credentials, `docker-credential-NAME get|store|erase` (github.com/docker/docker-credential-helpers):
 * a request on stdin, the answer on stdout, and where it fails the reason on stdout too.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';

export interface HelperCredentials {
  readonly ServerURL: string;
  readonly Username: string;
  readonly Secret: string;
}

/** An answer is a few hundred bytes. */
const MAX_ANSWER_BYTES = 1024 * 1024;
const NOT_FOUND = 'credentials not found in native keychain';

export interface CredentialHelper {
  /** null where it has nothing for the server. Throws CliError, as all do. */
  get(server: string): Promise<HelperCredentials | null>;
  store(credentials: HelperCredentials): Promise<void>;
  erase(server: string): Promise<void>;
}

export function credentialHelper(name: string, env: CommandContext['env']): CredentialHelper {
  const program = `docker-credential-${name}`;
  return {
    async get(server) {
      const { answer, failure } = await runHelper(program, 'get', server, env);
      if (failure === null) return parseAnswer(program, answer);
      if (answer.trim() === NOT_FOUND) return null;
      throw new CliError(`error getting credentials - err: ${failure}, out: \`${answer.trim()}\``);
    },
    async store(credentials) {
      const { answer, failure } = await runHelper(program, 'store', JSON.stringify(credentials), env);
      if (failure === null) return;
      throw new CliError(
        `Error saving credentials: error storing credentials - err: ${failure}, out: \`${answer.trim()}\``,
      );
    },
    async erase(server) {
      const { answer, failure } = await runHelper(program, 'erase', server, env);
      if (failure === null) return;
      throw new CliError(`error erasing credentials - err: ${failure}, out: \`${answer.trim()}\``);
    },
  };
}

/** What it wrote to stdout, and in Go's words how it failed. Its stderr is the user's. */
async function runHelper(
  program: string,
  action: 'get' | 'store' | 'erase',
  input: string,
  env: CommandContext['env'],
): Promise<{ readonly answer: string; readonly failure: string | null }> {
  const child = spawn(program, [action], { env: { ...env }, stdio: ['pipe', 'pipe', 'inherit'] });
  const closed = once(child, 'close') as Promise<[code: number | null, signal: string | null]>;
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_ANSWER_BYTES) child.kill();
    else parts.push(chunk);
  });
  // A helper may answer without reading.
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  try {
    const [code, signal] = await closed;
    const answer = Buffer.concat(parts).toString('utf8');
    if (sizeBytes > MAX_ANSWER_BYTES) return { answer: '', failure: `more than ${MAX_ANSWER_BYTES} bytes` };
    if (code === 0) return { answer, failure: null };
    return { answer, failure: code === null ? `signal: ${signal}` : `exit status ${code}` };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'executable file not found in $PATH' : message;
    return { answer: '', failure: `exec: "${program}": ${reason}` };
  }
}

function parseAnswer(program: string, answer: string): HelperCredentials {
  try {
    const { ServerURL = '', Username, Secret } = JSON.parse(answer) as Partial<HelperCredentials>;
    if (typeof Username === 'string' && typeof Secret === 'string') return { ServerURL, Username, Secret };
  } catch {
    // Told below, without the answer: it may hold a password.
  }
  throw new CliError(`error getting credentials - err: ${program} did not answer with {"Username", "Secret"} as JSON`);
}
