/** Where the credentials of a registry are: in the configuration file itself, or with a helper that the file names. */
import type { CommandContext } from '../command.ts';
import {
  type AuthEntry,
  type ClientConfig,
  clientConfigPath,
  readClientConfig,
  updateClientConfig,
} from './config-file.ts';
import { type CredentialHelper, credentialHelper } from './credential-helper.ts';

export interface Credentials {
  readonly username?: string;
  readonly password?: string;
  /** An OAuth2 refresh token, in place of a password. */
  readonly identityToken?: string;
  readonly registryToken?: string;
}

export interface CredentialStore {
  /** The configuration file. */
  readonly path: string;
  /** null where nothing is kept for the server. Throws CliError, as all do. */
  get(server: string): Promise<Credentials | null>;
  /** Resolves with true where a password is now in the file, readable. */
  store(server: string, credentials: Credentials): Promise<boolean>;
  erase(server: string): Promise<void>;
}

/** The name that helpers know in place of a user for an identity token. */
const TOKEN_USER = '<token>';

/** The file is read when it is needed: a helper may take minutes while the user unlocks it. */
export function createCredentialStore(env: CommandContext['env']): CredentialStore {
  const path = clientConfigPath(env);
  const helperFor = (config: ClientConfig, server: string): CredentialHelper | null => {
    const name = config.credHelpers?.[server] || config.credsStore;
    return name ? credentialHelper(name, env) : null;
  };
  return {
    path,
    async get(server) {
      const config = readClientConfig(path);
      const kept = decodeEntry(findEntry(config.auths ?? {}, server));
      const helped = await helperFor(config, server)?.get(server);
      if (!helped) return kept;
      const { Username, Secret } = helped;
      return Username === TOKEN_USER
        ? { ...kept, identityToken: Secret }
        : { ...kept, username: Username, password: Secret };
    },
    async store(server, credentials) {
      const helper = helperFor(readClientConfig(path), server);
      const { username = '', password = '', identityToken } = credentials;
      await helper?.store({
        ServerURL: server,
        Username: identityToken === undefined ? username : TOKEN_USER,
        Secret: identityToken ?? password,
      });
      // With a helper, the file only tells that there are credentials.
      return (
        writeEntry(path, server, helper === null ? encodeEntry(credentials) : {}) && helper === null && password !== ''
      );
    },
    async erase(server) {
      await helperFor(readClientConfig(path), server)?.erase(server);
      updateClientConfig(
        path,
        ({ auths }) => auths !== undefined && Object.hasOwn(auths, server) && delete auths[server],
      );
    },
  };
}

/** The host and port that a registry's address names: `https://host:5000/v2/` is `host:5000`. */
export function registryHostname(address: string): string {
  return address.replace(/^[a-z]+:\/\//, '').replace(/\/.*$/s, '');
}

/** The entry of a server; older clients wrote URLs where there are host names now. */
function findEntry(auths: Readonly<Record<string, AuthEntry>>, server: string): AuthEntry | undefined {
  if (Object.hasOwn(auths, server)) return auths[server];
  return Object.entries(auths).find(([address]) => registryHostname(address) === server)?.[1];
}

/** true where it was not there already. */
function writeEntry(path: string, server: string, entry: AuthEntry): boolean {
  let changed = false;
  updateClientConfig(path, (config) => {
    const before = config.auths?.[server];
    changed = before === undefined || JSON.stringify(before) !== JSON.stringify(entry);
    config.auths = { ...config.auths, [server]: entry };
    return changed;
  });
  return changed;
}

function encodeEntry({ username = '', password = '', identityToken, registryToken }: Credentials): AuthEntry {
  return {
    ...(username === '' && password === '' ? {} : { auth: Buffer.from(`${username}:${password}`).toString('base64') }),
    ...(identityToken ? { identitytoken: identityToken } : {}),
    ...(registryToken ? { registrytoken: registryToken } : {}),
  };
}

function decodeEntry(entry: AuthEntry | undefined): Credentials | null {
  if (entry === undefined) return null;
  let { username, password } = entry;
  if (entry.auth) {
    const text = Buffer.from(entry.auth, 'base64').toString('utf8');
    const colon = text.indexOf(':');
    username = text.slice(0, colon === -1 ? text.length : colon);
    password = colon === -1 ? '' : text.slice(colon + 1);
  }
  const credentials = {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(entry.identitytoken ? { identityToken: entry.identitytoken } : {}),
    ...(entry.registrytoken ? { registryToken: entry.registrytoken } : {}),
  };
  return Object.keys(credentials).length === 0 ? null : credentials;
}
