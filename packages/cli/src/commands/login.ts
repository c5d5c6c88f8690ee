import type { RegistryLogin } from '@tsd/shared/api-registry';
import { ApiError } from '../api/api-error.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { readClientConfig } from '../credentials/config-file.ts';
import {
  type CredentialStore,
  type Credentials,
  createCredentialStore,
  registryHostname,
} from '../credentials/credential-store.ts';
import { DOCKER_HUB_SERVER, registryAuth } from '../credentials/registry-auth.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] [SERVER]',
  minArgs: 0,
  maxArgs: 1,
  flags: [
    { name: 'password', short: 'p', type: 'string', help: 'Password or Personal Access Token (PAT)' },
    {
      name: 'password-stdin',
      type: 'bool',
      help: 'Take the Password or Personal Access Token (PAT) from stdin',
    },
    { name: 'username', short: 'u', type: 'string', help: 'Username' },
  ],
  description:
    "Defaults to Docker Hub if no server is specified. The credentials are kept on this side, in Docker's " +
    '~/.docker/config.json or with the docker-credential-… helper that it names (credsStore, credHelpers); the daemon ' +
    'gets them with every pull and push and keeps nothing.',
  examples: [
    ['Asks for the name and the password', 'login registry.example.com'],
    ['From a script', 'tsdctl login -u ci --password-stdin registry.example.com < token'],
  ],
};

/** A password is short; more is a mistake. */
const MAX_PASSWORD_BYTES = 64 * 1024;

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [address = ''] = flags.args;
  const server = address === '' || address === 'docker.io' ? DOCKER_HUB_SERVER : address;
  const key = server === DOCKER_HUB_SERVER ? server : registryHostname(server);
  const given = await givenCredentials(context, flags);
  const store = createCredentialStore(context.env);
  // A file that cannot be read cannot be added to either: better known before the user types a password.
  readClientConfig(store.path);
  let knownUser = '';
  if (given.username === undefined && given.password === undefined) {
    const kept = await keptCredentials(context, store, key);
    if (kept !== null && (await loginAgain(context, store, key, kept))) return 0;
    knownUser = kept?.username ?? '';
  }
  const credentials = await completeCredentials(context, given, knownUser);
  await checkAndStore(context, store, key, credentials);
  return 0;
}

interface GivenCredentials {
  readonly username?: string;
  readonly password?: string;
}

async function givenCredentials(context: CommandContext, flags: ParsedFlags): Promise<GivenCredentials> {
  const username = flags.string('username');
  let password = flags.string('password');
  if (username !== undefined && username.trim() === '') throw new CliError('username is empty');
  if (password === '') throw new CliError('password is empty');
  if (flags.bool('password-stdin')) {
    if (password !== undefined) {
      throw new CliError('conflicting options: cannot specify both --password and --password-stdin');
    }
    if (username === undefined) throw new CliError('the --password-stdin option requires --username to be set');
    password = (await readPassword()).replace(/\r?\n$/, '');
    if (password.trim() === '') throw new CliError('password is empty: stdin held none');
  } else if (password !== undefined) {
    context.stderr.write('WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n');
  }
  return {
    ...(username === undefined ? {} : { username: username.trim() }),
    ...(password === undefined ? {} : { password: password.trim() }),
  };
}

async function readPassword(): Promise<string> {
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_PASSWORD_BYTES) throw new CliError('stdin holds more than a password');
    parts.push(chunk);
  }
  return Buffer.concat(parts).toString('utf8');
}

/** A helper that does not answer has none: the user is asked. */
async function keptCredentials(
  context: CommandContext,
  store: CredentialStore,
  key: string,
): Promise<Credentials | null> {
  try {
    return await store.get(key);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    context.stderr.write(`WARNING: ${error.message}\n`);
    return null;
  }
}

/** true where what is kept is still good; else the user is told, and to be asked. */
async function loginAgain(
  context: CommandContext,
  store: CredentialStore,
  key: string,
  { username, password }: Credentials,
): Promise<boolean> {
  if (username === undefined || password === undefined) return false;
  const { stdout, stderr } = context;
  stdout.write(`Authenticating with existing credentials... [Username: ${username}]\n`);
  stderr.write("\nInfo -> To login with a different account, run 'tsdctl logout' followed by 'tsdctl login'\n\n\n");
  try {
    await checkAndStore(context, store, key, { username, password });
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    stderr.write(
      error.status === 401
        ? 'Stored credentials invalid or expired\n'
        : `Login did not succeed, error: ${error.message}\n`,
    );
    return false;
  }
}

async function completeCredentials(
  context: CommandContext,
  given: GivenCredentials,
  knownUser: string,
): Promise<Required<GivenCredentials>> {
  const { username, password } = given;
  if (username !== undefined && password !== undefined) return { username, password };
  const { openTerminalPrompt, stdinIsTerminal } = await import('../session/terminal-prompt.ts');
  if (!stdinIsTerminal()) {
    throw new CliError(
      'Error: Cannot perform an interactive login from a non TTY device (give --username and --password-stdin)',
    );
  }
  const prompt = openTerminalPrompt(context.stdout);
  try {
    const question = knownUser === '' ? 'Username: ' : `Username (${knownUser}): `;
    const name = username ?? ((await prompt.ask(question)).trim() || knownUser);
    if (name === '') throw new CliError('Error: Non-null Username Required');
    const secret = password ?? (await prompt.ask('Password: ', { secret: true })).trim();
    if (secret === '') throw new CliError('Error: Password Required');
    return { username: name, password: secret };
  } finally {
    prompt.close();
  }
}

async function checkAndStore(
  { client, stdout, stderr }: CommandContext,
  store: CredentialStore,
  key: string,
  credentials: Required<GivenCredentials>,
): Promise<void> {
  const answer = await client.json<RegistryLogin>({
    method: 'POST',
    path: '/auth',
    json: registryAuth(key, credentials),
  });
  const { username } = credentials;
  const kept = answer.IdentityToken ? { username, identityToken: answer.IdentityToken } : credentials;
  if (await store.store(key, kept)) {
    stderr.write(
      `\nWARNING! Your credentials are stored unencrypted in '${store.path}'.\n` +
        'Configure a credential helper to remove this warning. See\n' +
        'https://docs.docker.com/go/credential-store/\n\n',
    );
  }
  stdout.write(`${answer.Status || 'Login Succeeded'}\n`);
}
