/**
 * Image references as Docker reads them (github.com/distribution/reference): `alpine` is
 * docker.io/library/alpine:latest, `localhost/x` and `host:5000/x` name a registry, digests pin content.
 */
import { TsdError } from './errors.ts';

const DEFAULT_DOMAIN = 'docker.io';
const LEGACY_DEFAULT_DOMAIN = 'index.docker.io';
const OFFICIAL_PREFIX = 'library/';
const DEFAULT_TAG = 'latest';
/** Longest repository path, characters (distribution/reference, RepositoryNameTotalLengthMax). */
const MAX_PATH_LENGTH = 255;
/** Longer text cannot be valid: domain, path, tag and digest are all bounded. Keeps hostile input away from the expressions. */
const MAX_REFERENCE_LENGTH = 4096;

const DOMAIN_COMPONENT = '(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)';
const DOMAIN = `(?:${DOMAIN_COMPONENT}(?:\\.${DOMAIN_COMPONENT})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const PATH_COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*';
const PATH = `${PATH_COMPONENT}(?:/${PATH_COMPONENT})*`;
const TAG = '[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';

const REFERENCE = new RegExp(`^(${DOMAIN})/(${PATH})(?::(${TAG}))?(?:@(${DIGEST}))?$`);
const WHOLE_TAG = new RegExp(`^${TAG}$`);
const IDENTIFIER = /^[a-f0-9]{64}$/;
const DIGEST_HEX_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** A normalised reference: domain and path are always there, tag and digest where they were given. */
export interface ImageReference {
  readonly domain: string;
  readonly path: string;
  readonly tag?: string;
  readonly digest?: string;
}

/**
 * Parses and normalises a name such as `alpine`, `user/app:1.2`, `localhost:5000/app@sha256:…`. No tag is added: see
 * `withDefaultTag`. Throws bad_parameter with distribution/reference's texts ("invalid reference format …").
 */
export function parseReference(text: string): ImageReference {
  if (IDENTIFIER.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  if (text.length > MAX_REFERENCE_LENGTH) throw invalid('invalid reference format');
  const { domain, remainder } = splitDomain(text);
  const colon = remainder.indexOf(':');
  const remote = colon === -1 ? remainder : remainder.slice(0, colon);
  if (remote.toLowerCase() !== remote) {
    throw invalid(`invalid reference format: repository name (${remote}) must be lowercase`);
  }
  const match = REFERENCE.exec(`${domain}/${remainder}`);
  if (match === null) throw invalid('invalid reference format');
  const [, matchedDomain = '', path = '', tag, digest] = match;
  if (path.length > MAX_PATH_LENGTH) {
    throw invalid(`repository name must not be more than ${MAX_PATH_LENGTH} characters`);
  }
  if (digest !== undefined) checkDigest(digest);
  return {
    domain: matchedDomain,
    path,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** The reference with `:latest` where it has neither tag nor digest. */
export function withDefaultTag(reference: ImageReference): ImageReference {
  return reference.tag === undefined && reference.digest === undefined ? { ...reference, tag: DEFAULT_TAG } : reference;
}

/** The repository as users write it: `alpine`, `user/app`, `localhost:5000/app`. Without tag and digest. */
export function familiarName(reference: ImageReference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return repositoryName(reference);
  const { path } = reference;
  if (!path.startsWith(OFFICIAL_PREFIX)) return path;
  const remainder = path.slice(OFFICIAL_PREFIX.length);
  return remainder.includes('/') ? path : remainder;
}

/** The familiar name with tag and digest: what `docker images` and RepoTags show (`alpine:latest`). */
export function familiarString(reference: ImageReference): string {
  return familiarName(reference) + suffix(reference);
}

/** The repository with its domain, `docker.io/library/alpine`. Without tag and digest. */
export function repositoryName(reference: ImageReference): string {
  return `${reference.domain}/${reference.path}`;
}

/** The complete normalised name, with `:latest` where there is neither tag nor digest: one spelling per image name. */
export function canonicalName(reference: ImageReference): string {
  return repositoryName(reference) + suffix(withDefaultTag(reference));
}

/** Whether the text can be a tag ([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}). */
export function isValidTag(text: string): boolean {
  return WHOLE_TAG.test(text);
}

/** Whether the text is a complete digest such as `sha256:<64 hex digits>`. */
export function isDigest(text: string): boolean {
  const colon = text.indexOf(':');
  const length = colon === -1 ? undefined : DIGEST_HEX_LENGTHS[text.slice(0, colon)];
  return length !== undefined && text.length === colon + 1 + length && /^[a-f0-9]+$/.test(text.slice(colon + 1));
}

function suffix(reference: ImageReference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`;
  return reference.digest === undefined ? tag : `${tag}@${reference.digest}`;
}

/** distribution/reference, splitDockerDomain: the first component is a registry if it looks like a host. */
function splitDomain(text: string): { domain: string; remainder: string } {
  const slash = text.indexOf('/');
  if (slash === -1) return { domain: DEFAULT_DOMAIN, remainder: OFFICIAL_PREFIX + text };
  const first = text.slice(0, slash);
  const rest = text.slice(slash + 1);
  let domain = DEFAULT_DOMAIN;
  let remainder = text;
  if (first === LEGACY_DEFAULT_DOMAIN) {
    remainder = rest;
  } else if (first === 'localhost' || /[.:]/.test(first) || first.toLowerCase() !== first) {
    domain = first;
    remainder = rest;
  }
  if (domain === DEFAULT_DOMAIN && !remainder.includes('/')) remainder = OFFICIAL_PREFIX + remainder;
  return { domain, remainder };
}

function checkDigest(digest: string): void {
  const colon = digest.indexOf(':');
  const length = DIGEST_HEX_LENGTHS[digest.slice(0, colon)];
  if (length === undefined) throw invalid('invalid reference format: unsupported digest algorithm');
  const hex = digest.slice(colon + 1);
  if (hex.length !== length) throw invalid('invalid reference format: invalid checksum digest length');
  if (!/^[a-f0-9]+$/.test(hex)) throw invalid('invalid reference format: invalid checksum digest format');
}

function invalid(message: string): TsdError {
  return new TsdError('bad_parameter', message);
}
