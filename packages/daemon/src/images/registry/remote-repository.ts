/** What pull, push and repair need of a registry; `registry-client.ts` implements it over HTTP. */

/** Credentials of one request, from X-Registry-Auth. Never stored, never logged. */
export interface RegistryCredentials {
  readonly username?: string;
  readonly password?: string;
  /** An OAuth2 refresh token, in place of a password. */
  readonly identityToken?: string;
  /** Used as it is as bearer token. */
  readonly registryToken?: string;
}

/** A manifest or an index, with the bytes that its digest is of. */
export interface RemoteManifest {
  readonly digest: string;
  readonly mediaType: string;
  readonly bytes: Buffer;
}

/** What a descriptor promises of a blob (OCI image-spec, "descriptor"). */
export interface BlobDescriptor {
  readonly digest: string;
  readonly sizeBytes: number;
  readonly mediaType: string;
}

export interface BlobSource extends BlobDescriptor {
  /** The bytes from an offset to the end; called again, at a later offset, when an upload is resumed. */
  open(offsetBytes: number): AsyncIterable<Uint8Array>;
}

/** How a transfer goes on; called often, so cheap. */
export type OnBytes = (transferredBytes: number) => void;

/** Told of the wait before another try, each second: how many are left. */
export type OnWait = (secondsLeft: number) => void;

export interface TransferOptions {
  readonly signal: AbortSignal;
  readonly onBytes?: OnBytes;
  readonly onWait?: OnWait;
}

/**
 * One repository of one registry, or of its mirrors for reading. All methods retry what may be retried, end with the
 * signal's reason when it aborts, and throw TsdError with Docker's texts and codes: `not_found` (manifest unknown),
 * `unauthorized`, `forbidden` (denied), `unavailable` (unreachable, 429 or 5xx to the end), `bad_parameter` (the registry
 * sends what cannot be accepted: wrong digest, wrong size, no JSON, too large).
 */
export interface RemoteRepository {
  /** Canonical name with its domain, `docker.io/library/alpine`. */
  readonly name: string;
  /** By tag or digest; verified against the digest where one is given or announced. At most 4 MiB. */
  getManifest(tagOrDigest: string, signal: AbortSignal): Promise<RemoteManifest>;
  /** Whether the repository has the manifest, without reading it; null when not. */
  headManifest(tagOrDigest: string, signal: AbortSignal): Promise<Omit<RemoteManifest, 'bytes'> | null>;
  /**
   * The blob's bytes: exactly `sizeBytes` of them or an error. A broken connection is resumed with a Range request. The
   * digest is the reader's to verify. Small documents (configurations): see `readBlob`.
   */
  openBlob(blob: BlobDescriptor, options: TransferOptions): AsyncIterable<Uint8Array>;
  /**
   * The bytes that `openBlob` gave last of a blob turned out to be something else: mirrors that gave of them are not asked any
   * more. Returns whether there were any, so that another try may help.
   */
  distrustMirrors(digest: string): boolean;
  /** A whole small blob, verified. @throws TsdError `bad_parameter` above `maxBytes` */
  readBlob(blob: BlobDescriptor, options: { signal: AbortSignal; maxBytes: number }): Promise<Buffer>;
  /** All tags, page by page. */
  listTags(signal: AbortSignal): Promise<string[]>;
  /** HEAD. */
  hasBlob(digest: string, signal: AbortSignal): Promise<boolean>;
  /** Cross-repository mount from a path of the same registry; false when the registry wants an upload instead. */
  mountBlob(digest: string, fromPath: string, signal: AbortSignal): Promise<boolean>;
  /** Uploads a blob whose digest is known, in resumable chunks. */
  uploadBlob(blob: BlobSource, options: TransferOptions): Promise<void>;
  /** PUT of a manifest; returns the digest that it has in the registry. */
  putManifest(
    tagOrDigest: string,
    manifest: Pick<RemoteManifest, 'mediaType' | 'bytes'>,
    signal: AbortSignal,
  ): Promise<string>;
}

/** What a repository is opened for: the rights that are asked for with every request. */
export type RepositoryAccess = 'pull' | 'push';

export interface RegistryClient {
  /** The repository of a canonical reference; nothing is sent yet. */
  repository(
    reference: { readonly domain: string; readonly path: string },
    credentials: RegistryCredentials | null,
    access: RepositoryAccess,
  ): RemoteRepository;
  /** `POST /auth`: checks credentials. Returns what Docker's client stores: an identity token, or ''. */
  checkCredentials(serverAddress: string, credentials: RegistryCredentials, signal: AbortSignal): Promise<string>;
  /** Ends idle connections. */
  close(): Promise<void>;
}
