/** What goes wrong with a registry, in Docker's words, and whether another try may help. */
import { type ErrorCode, TsdError } from '@tsd/shared/errors';

/** `soon`: passing trouble. `transfers`: not worth waiting for, unless bytes have already come. `never`: trying again is no use. */
export type Retry = 'soon' | 'transfers' | 'never';

export interface RegistryErrorOptions extends ErrorOptions {
  /** The registry's own code (OCI distribution-spec, "error codes"), such as MANIFEST_UNKNOWN. */
  readonly registryCode?: string;
  readonly retry?: Retry;
  /** What Retry-After asked for. */
  readonly retryAfterMs?: number;
}

export class RegistryError extends TsdError {
  readonly registryCode: string | null;
  readonly retry: Retry;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, options: RegistryErrorOptions = {}) {
    super(code, message, options);
    this.registryCode = options.registryCode ?? null;
    this.retry = options.retry ?? 'never';
    this.retryAfterMs = options.retryAfterMs ?? null;
  }
}

/** Longest text of a registry that is repeated in an error. */
const MAX_TEXT = 500;

/** A registry's text, harmless in a terminal and of readable length. */
export function plainText(text: string): string {
  const clean = text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+/g, ' ').trim();
  return clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean;
}

/** `Get "https://host/v2/…"`: how Docker names a request. Queries hold signatures and tokens, so they are left out. */
export function requestText(method: string, url: URL): string {
  return `${method.slice(0, 1)}${method.slice(1).toLowerCase()} "${url.origin}${url.pathname}"`;
}

const CERTIFICATE_ERRORS: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate signed by unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT: 'certificate signed by unknown authority',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate signed by unknown authority',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate signed by unknown authority',
  CERT_HAS_EXPIRED: 'certificate has expired',
  CERT_NOT_YET_VALID: 'certificate is not yet valid',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is not valid for this name',
};

const NETWORK_ERRORS: Readonly<Record<string, { readonly text: string; readonly retry: Retry }>> = {
  ENOTFOUND: { text: 'dial tcp: lookup HOST: no such host', retry: 'never' },
  EAI_AGAIN: { text: 'dial tcp: lookup HOST: temporary failure in name resolution', retry: 'transfers' },
  ECONNREFUSED: { text: 'dial tcp HOST: connect: connection refused', retry: 'transfers' },
  EHOSTUNREACH: { text: 'dial tcp HOST: connect: no route to host', retry: 'transfers' },
  ENETUNREACH: { text: 'dial tcp HOST: connect: network is unreachable', retry: 'transfers' },
  ETIMEDOUT: { text: 'dial tcp HOST: i/o timeout', retry: 'transfers' },
  UND_ERR_CONNECT_TIMEOUT: { text: 'dial tcp HOST: i/o timeout', retry: 'transfers' },
  UND_ERR_HEADERS_TIMEOUT: { text: 'the registry does not answer', retry: 'soon' },
  UND_ERR_BODY_TIMEOUT: { text: 'the registry stopped sending', retry: 'soon' },
  ECONNRESET: { text: 'connection reset by peer', retry: 'soon' },
  EPIPE: { text: 'connection reset by peer', retry: 'soon' },
  UND_ERR_SOCKET: { text: 'unexpected EOF', retry: 'soon' },
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: { text: 'unexpected EOF', retry: 'soon' },
  UND_ERR_HEADERS_OVERFLOW: { text: 'the headers of the answer are too large', retry: 'never' },
  // A proxy that would not connect.
  UND_ERR_ABORTED: { text: 'the proxy refuses the connection', retry: 'transfers' },
};

/** The error of a request that got no answer, or whose answer broke off. A TsdError stays what it is. */
export function networkError(error: unknown, method: string, url: URL): TsdError {
  if (error instanceof TsdError) return error;
  const code = errorCode(error);
  const head = requestText(method, url);
  const certificate = CERTIFICATE_ERRORS[code];
  if (certificate !== undefined) {
    return new RegistryError(
      'unavailable',
      `${head}: tls: failed to verify certificate: x509: ${certificate} (put its CA's certificate at /etc/tsd/certs.d/${url.host}/ca.crt)`,
      { cause: error },
    );
  }
  if (speaksPlainHttp(error)) {
    return new RegistryError(
      'unavailable',
      `${head}: http: server gave HTTP response to HTTPS client (to allow that, start tsd with --insecure-registry ${url.host})`,
      { cause: error },
    );
  }
  const known = NETWORK_ERRORS[code];
  const detail = plainText(error instanceof Error ? error.message : String(error));
  if (known === undefined) {
    // HPE_…: bytes that are no HTTP; ERR_SSL_…: a handshake that cannot succeed.
    return new RegistryError('unavailable', `${head}: ${detail}`, { cause: error });
  }
  return new RegistryError('unavailable', `${head}: ${known.text.replace('HOST', url.host)}`, {
    retry: known.retry,
    cause: error,
  });
}

/** Whether a TLS handshake failed because the other side answered in plain text. */
export function speaksPlainHttp(error: unknown): boolean {
  return /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|HTTP_REQUEST|EPROTO/.test(errorCode(error));
}

function errorCode(error: unknown): string {
  if (error instanceof AggregateError && !('code' in error && typeof error.code === 'string')) {
    return errorCode(error.errors[0]);
  }
  if (error instanceof Error) {
    if ('code' in error && typeof error.code === 'string') return error.code;
    if (error.cause !== undefined) return errorCode(error.cause);
  }
  return '';
}
