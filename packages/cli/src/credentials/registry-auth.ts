/** What a request about a registry carries of the user's credentials. */
import type { RegistryAuth } from '@tsd/shared/api-registry';
import type { ImageReference } from '@tsd/shared/image-reference';
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import { type Credentials, createCredentialStore } from './credential-store.ts';

/** How the configuration file names Docker Hub (moby, registry.IndexServer). */
export const DOCKER_HUB_SERVER = 'https://index.docker.io/v1/';

/**
 * The X-Registry-Auth header for the registry of an image; no header where there are no credentials. A store that cannot be
 * read is a warning on stderr: what is public needs no credentials.
 */
export async function registryAuthHeaders(
  { env, stderr }: Pick<CommandContext, 'env' | 'stderr'>,
  { domain }: Pick<ImageReference, 'domain'>,
): Promise<Record<string, string>> {
  const server = domain === 'docker.io' ? DOCKER_HUB_SERVER : domain;
  try {
    const credentials = await createCredentialStore(env).get(server);
    if (credentials === null) return {};
    const json = JSON.stringify(registryAuth(server, credentials));
    // Go's URLEncoding: with padding.
    const encoded = Buffer.from(json).toString('base64').replaceAll('+', '-').replaceAll('/', '_');
    return { 'X-Registry-Auth': encoded };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    stderr.write(`WARNING: ${error.message}\n`);
    return {};
  }
}

/** Credentials as the API takes them. */
export function registryAuth(
  server: string,
  credentials: Credentials,
): Readonly<Record<keyof RegistryAuth, string | undefined>> {
  const { username, password, identityToken, registryToken } = credentials;
  return {
    username,
    password,
    serveraddress: server,
    identitytoken: identityToken,
    registrytoken: registryToken,
  };
}
