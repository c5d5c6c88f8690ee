/**
 * Docker's client configuration, `config.json` in $DOCKER_CONFIG or ~/.docker, as far as it is about credentials. Other
 * clients share it: what tsdctl does not know is kept.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fchownSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { reasonOf } from '../session/client-source.ts';

/** What is kept for one registry (docker/cli, cli/config/types). */
export interface AuthEntry {
  /** Base64 of `username:password`. */
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

export interface ClientConfig {
  auths?: Record<string, AuthEntry>;
  /** Suffix of the docker-credential-… program for all registries. */
  credsStore?: string;
  /** The same for one registry. */
  credHelpers?: Record<string, string>;
  [unknown: string]: unknown;
}

export function clientConfigPath(env: CommandContext['env']): string {
  return join(env['DOCKER_CONFIG'] || join(env['HOME'] || homedir(), '.docker'), 'config.json');
}

/** Empty where there is no file. Throws CliError for one that cannot be read. */
export function readClientConfig(path: string): ClientConfig {
  let config: unknown;
  try {
    config = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {};
    // The parser's message cites the text, which may be a password.
    const reason = error instanceof SyntaxError ? 'it is not JSON' : reasonOf(error);
    throw new CliError(`Error parsing config file (${path}): ${reason}`, { cause: error });
  }
  const { auths, credHelpers, credsStore } = asObject(config, path, 'the file');
  for (const [name, entry] of Object.entries(asObject(auths, path, 'auths'))) asObject(entry, path, `auths.${name}`);
  for (const [name, value] of Object.entries({ credsStore, ...asObject(credHelpers, path, 'credHelpers') })) {
    if (value !== undefined && typeof value !== 'string') throw misshapen(path, `the helper of ${name}`, 'a text');
  }
  return config as ClientConfig;
}

/** Reads the file anew, lets `change` work on it and puts it back, if that answers true. Throws CliError. */
export function updateClientConfig(path: string, change: (config: ClientConfig) => boolean): void {
  const config = readClientConfig(path);
  if (!change(config)) return;
  try {
    writeWhole(path, JSON.stringify(config, null, '\t'));
  } catch (error) {
    throw new CliError(`the credentials could not be saved in ${path}: ${reasonOf(error)}`, { cause: error });
  }
}

/** Others see the old file or the new one, only the owner may read it, and a symbolic link stays one. */
function writeWhole(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const existing = statSync(path, { throwIfNoEntry: false });
  const target = existing === undefined ? path : realpathSync(path);
  const temporary = `${target}.${randomBytes(6).toString('hex')}.tmp`;
  const descriptor = openSync(temporary, 'wx', 0o600);
  try {
    // Under sudo the file stays the user's.
    if (existing !== undefined && process.getuid?.() === 0) fchownSync(descriptor, existing.uid, existing.gid);
    writeSync(descriptor, text);
    fsyncSync(descriptor);
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}

function asObject(value: unknown, path: string, what: string): Record<string, unknown> {
  if (value === undefined || value === null) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw misshapen(path, what, 'a JSON object');
  return value as Record<string, unknown>;
}

function misshapen(path: string, what: string, expected: string): CliError {
  return new CliError(`Error parsing config file (${path}): ${what} must be ${expected}`);
}
