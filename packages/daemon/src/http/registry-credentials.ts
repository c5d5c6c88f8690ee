/** X-Registry-Auth: the credentials that a client sends along with a pull or a push. */
import type { RegistryAuth } from '@tsd/shared/api-registry';
import { TsdError } from '@tsd/shared/errors';
import type { RegistryCredentials } from '../images/registry/remote-repository.ts';

const FIELDS = ['username', 'password', 'identitytoken', 'registrytoken'] as const;

/**
 * Decodes the header: base64url of JSON (moby, api/types/registry). Padding may miss, and the alphabet of plain base64 is
 * read too. null where there are no credentials in it.
 *
 * @throws TsdError bad_parameter; the text never holds what was sent
 */
export function decodeRegistryAuth(header: string | string[] | undefined): RegistryCredentials | null {
  const encoded = [header ?? ''].flat()[0] ?? '';
  if (encoded === '') return null;
  let auth: unknown;
  try {
    auth = JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8'));
  } catch {
    throw invalid('it must be base64url-encoded JSON');
  }
  if (auth === null) return null;
  if (typeof auth !== 'object' || Array.isArray(auth)) throw invalid('it must hold a JSON object');
  for (const field of FIELDS) {
    const value = (auth as Record<string, unknown>)[field];
    if (value !== undefined && value !== null && typeof value !== 'string') throw invalid(`${field} must be a string`);
  }
  return registryCredentials(auth);
}

/** The fields that are not empty; null where all are. */
export function registryCredentials(auth: RegistryAuth): RegistryCredentials | null {
  const { username, password, identitytoken, registrytoken } = auth;
  const credentials = {
    ...(username ? { username } : {}),
    ...(password ? { password } : {}),
    ...(identitytoken ? { identityToken: identitytoken } : {}),
    ...(registrytoken ? { registryToken: registrytoken } : {}),
  };
  return Object.keys(credentials).length === 0 ? null : credentials;
}

function invalid(reason: string): TsdError {
  return new TsdError('bad_parameter', `invalid X-Registry-Auth header: ${reason}`);
}
