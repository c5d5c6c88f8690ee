/** Certificates for registries: the system's authorities and those of certs.d folders, laid out as Docker's. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { TsdError } from '@tsd/shared/errors';
import type { Environment } from './proxy-rules.ts';

/** Searched in this order, and both used: Docker's folder serves who comes from there. */
export const CERTIFICATE_FOLDERS: readonly string[] = ['/etc/tsd/certs.d', '/etc/docker/certs.d'];

/** Bundles of the distributions, in Go's order (crypto/x509, root_linux.go). */
const SYSTEM_BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/pki/tls/cacert.pem',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** A host's own folder, `HOST[:PORT]/`. */
export interface HostCertificates {
  /** `*.crt`: authorities, besides the system's. */
  readonly authorities: readonly string[];
  /** `NAME.cert` with `NAME.key`: what the client shows to that host. */
  readonly clients: readonly { readonly certificate: string; readonly key: string }[];
}

/**
 * @throws TsdError `bad_parameter` with Docker's texts for a certificate without its key or the reverse, `internal` for an
 *   unreadable file
 */
export function readHostCertificates(folders: readonly string[], hostAndPort: string): HostCertificates {
  const authorities: string[] = [];
  const clients: { certificate: string; key: string }[] = [];
  for (const folder of folders.map((parent) => join(parent, hostAndPort))) {
    const names = listFolder(folder);
    for (const name of names) {
      if (name.endsWith('.crt')) authorities.push(readText(join(folder, name)));
      const stem = name.replace(/\.(cert|key)$/, '');
      if (name.endsWith('.cert')) {
        if (!names.includes(`${stem}.key`)) {
          throw new TsdError(
            'bad_parameter',
            `missing key ${stem}.key for client certificate ${join(folder, name)}. CA certificates must use the extension .crt`,
          );
        }
        clients.push({ certificate: readText(join(folder, name)), key: readText(join(folder, `${stem}.key`)) });
      }
      if (name.endsWith('.key') && !names.includes(`${stem}.cert`)) {
        throw new TsdError('bad_parameter', `missing client certificate ${stem}.cert for key ${join(folder, name)}`);
      }
    }
  }
  return { authorities, clients };
}

/**
 * What a connection trusts and shows.
 *
 * @throws TsdError `bad_parameter` for a file that holds no certificate
 */
export function secureContext(
  env: Environment,
  authorities: readonly string[],
  clients: HostCertificates['clients'],
): SecureContext {
  try {
    return createSecureContext({
      ca: [...systemAuthorities(env), ...authorities],
      cert: clients.map(({ certificate }) => certificate),
      key: clients.map(({ key }) => key),
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new TsdError(
      'bad_parameter',
      `a certificate for registries cannot be used: ${reason} (see /etc/tsd/certs.d)`,
      {
        cause: error,
      },
    );
  }
}

/** Node brings authorities of its own: used only where the host has no bundle, since administrators add theirs there. */
function systemAuthorities(env: Environment): readonly string[] {
  const named = env['SSL_CERT_FILE'];
  for (const path of named ? [named] : SYSTEM_BUNDLES) {
    try {
      return [readFileSync(path, 'utf8')];
    } catch {
      // The next distribution's place.
    }
  }
  return rootCertificates;
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path).sort();
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
    if (missing) return [];
    throw new TsdError('internal', `the certificates in ${path} cannot be read`, { cause: error });
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new TsdError('internal', `the certificate ${path} cannot be read`, { cause: error });
  }
}
