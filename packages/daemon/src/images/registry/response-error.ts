/** Answers that are no success, as errors in Docker's words. OCI distribution-spec, "error codes". */
import type { ErrorCode } from '@tsd/shared/errors';
import { parseChallenges } from './challenges.ts';
import { type HttpResponse, readBody } from './connections.ts';
import { plainText, RegistryError, requestText } from './registry-error.ts';

const MAX_ERROR_BYTES = 64 * 1024;

/** Texts for codes that come without one (distribution, registry/api/errcode). */
const CODE_TEXTS: Readonly<Record<string, string>> = {
  UNAUTHORIZED: 'authentication required',
  DENIED: 'requested access to the resource is denied',
  MANIFEST_UNKNOWN: 'manifest unknown',
  NAME_UNKNOWN: 'repository name not known to registry',
  BLOB_UNKNOWN: 'blob unknown to registry',
  TOOMANYREQUESTS: 'too many requests',
};

const ERROR_CODES: Readonly<Record<string, ErrorCode>> = {
  UNAUTHORIZED: 'unauthorized',
  DENIED: 'forbidden',
  MANIFEST_UNKNOWN: 'not_found',
  NAME_UNKNOWN: 'not_found',
  BLOB_UNKNOWN: 'not_found',
  TOOMANYREQUESTS: 'unavailable',
};

/** The error that an answer means; reads its body. */
export async function responseError(response: HttpResponse): Promise<RegistryError> {
  const { status } = response;
  const retryAfterMs =
    status === 429 || status >= 500 ? readRetryAfter(response.headers['retry-after'], Date.now()) : null;
  const rest = {
    retry: isPassing(status) ? ('soon' as const) : ('never' as const),
    ...(retryAfterMs === null ? {} : { retryAfterMs }),
  };
  const told = tokenError(response) ?? (await bodyError(response));
  if (told !== null) {
    const text = plainText(told.message || CODE_TEXTS[told.code] || '');
    const name = told.code.toLowerCase().replaceAll('_', ' ');
    return new RegistryError(ERROR_CODES[told.code] ?? codeOfStatus(status), `${name}: ${text || name}`, {
      registryCode: told.code,
      ...rest,
    });
  }
  if (status === 401) return unauthorized();
  const head = requestText(response.method, response.url);
  return new RegistryError(codeOfStatus(status), `${head}: unexpected status from the registry: ${status}`, rest);
}

function unauthorized(): RegistryError {
  return new RegistryError('unauthorized', 'unauthorized: authentication required', { registryCode: 'UNAUTHORIZED' });
}

/**
 * Retry-After: seconds or a date (RFC 9110, 10.2.3).
 *
 * @returns the wait in milliseconds; null when it cannot be read
 */
export function readRetryAfter(header: string | undefined, nowMs: number): number | null {
  const text = header?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = text.endsWith(' GMT') ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function isPassing(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501 && status !== 505);
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthorized';
  if (status === 403) return 'forbidden';
  if (status === 404) return 'not_found';
  if (status === 429 || status >= 500) return 'unavailable';
  return 'bad_parameter';
}

interface ToldError {
  readonly code: string;
  readonly message: string;
}

/** RFC 6750, section 3.1: a token without the scope is a denial. */
function tokenError({ headers }: HttpResponse): ToldError | null {
  for (const { scheme, parameters } of parseChallenges([headers['www-authenticate'] ?? []].flat())) {
    const error = scheme === 'bearer' ? parameters.get('error') : undefined;
    const message = parameters.get('error_description') ?? '';
    if (error === 'insufficient_scope') return { code: 'DENIED', message };
    if (error === 'invalid_token') return { code: 'UNAUTHORIZED', message };
  }
  return null;
}

/** `{"errors": [{"code", "message"}]}`, or the `{"details"}` of Docker Hub's token server. */
async function bodyError(response: HttpResponse): Promise<ToldError | null> {
  if (response.method === 'HEAD') return null;
  let body: unknown;
  try {
    body = JSON.parse((await readBody(response, MAX_ERROR_BYTES, 'an error')).toString());
  } catch {
    response.signal.throwIfAborted();
    return null;
  }
  if (typeof body !== 'object' || body === null) return null;
  const { errors, details, message } = body as Record<string, unknown>;
  const first: unknown = Array.isArray(errors) ? errors[0] : undefined;
  if (typeof first === 'object' && first !== null && 'code' in first && typeof first.code === 'string') {
    const text = 'message' in first && typeof first.message === 'string' ? first.message : '';
    return { code: plainText(first.code).toUpperCase(), message: text };
  }
  const text = [details, message].find((value) => typeof value === 'string');
  if (text !== undefined && response.status === 401) return { code: 'UNAUTHORIZED', message: String(text) };
  return null;
}
