/**
 * A small registry on loopback that misbehaves on demand. Honestly, it serves what was published, with ranges, and takes
 * uploads, which it can resume; a {@link Misbehaviour} sees each request first.
 */
import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

export const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';
export const INDEX_TYPE = 'application/vnd.oci.image.index.v1+json';
const CONFIG_TYPE = 'application/vnd.oci.image.config.v1+json';
const LAYER_TYPE = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** Answers a request in its own way, or calls `honest`. */
export type Misbehaviour = (request: IncomingMessage, response: ServerResponse, honest: () => void) => void;

export interface Content {
  readonly mediaType: string;
  readonly digest: string;
  readonly bytes: Buffer;
}

export interface PublishedImage {
  readonly manifest: Content;
  readonly config: Content;
  readonly layers: readonly Content[];
}

export interface HostileRegistry {
  /** `127.0.0.1:PORT`: the domain of its images. */
  readonly host: string;
  /** What was asked so far, `GET /v2/app/manifests/latest` each. */
  readonly requests: readonly string[];
  /** An image of these layers (plain archives) in a repository, under a tag (default: latest) and its digest. */
  publish(repository: string, layers: readonly Buffer[], tag?: string): PublishedImage;
  /** The same of layers as they are; the diff ids may be wrong, for what nobody unpacks to its end. */
  publishBlobs(
    repository: string,
    layers: readonly Buffer[],
    diffIds?: readonly string[],
    tag?: string,
  ): PublishedImage;
  addBlob(bytes: Buffer, mediaType?: string): Content;
  addManifest(repository: string, tag: string, document: object | Buffer, mediaType?: string): Content;
  /** What a path such as `/v2/app/blobs/sha256:…` gives, uploads included. */
  find(path: string): Content | undefined;
  /** For all further requests; undefined for honesty. */
  misbehave(misbehaviour: Misbehaviour | undefined): void;
  remove(): Promise<void>;
}

export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** What a manifest says of a content. */
export function describe({ mediaType, digest, bytes }: Content): object {
  return { mediaType, digest, size: bytes.length };
}

export async function startHostileRegistry(): Promise<HostileRegistry> {
  const blobs = new Map<string, Content>();
  /** By `REPOSITORY/TAG` and `REPOSITORY/DIGEST`. */
  const manifests = new Map<string, Content>();
  const uploads = new Map<string, Buffer>();
  const requests: string[] = [];
  let misbehaviour: Misbehaviour | undefined;

  const addBlob = (bytes: Buffer, mediaType = LAYER_TYPE): Content => {
    const content = { mediaType, digest: digestOf(bytes), bytes };
    blobs.set(content.digest, content);
    return content;
  };
  const addManifest = (
    repository: string,
    tag: string,
    document: object | Buffer,
    mediaType = MANIFEST_TYPE,
  ): Content => {
    const bytes = Buffer.isBuffer(document) ? document : Buffer.from(JSON.stringify(document));
    const content = { mediaType, digest: digestOf(bytes), bytes };
    for (const name of [tag, content.digest]) manifests.set(`${repository}/${name}`, content);
    return content;
  };
  const publish = (repository: string, layers: readonly Buffer[], tag?: string): PublishedImage =>
    publishBlobs(
      repository,
      layers.map((layer) => gzipSync(layer)),
      layers.map(digestOf),
      tag,
    );
  const publishBlobs = (
    repository: string,
    layers: readonly Buffer[],
    diffIds: readonly string[] = layers.map(digestOf),
    tag = 'latest',
  ): PublishedImage => {
    const configuration = {
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: { Cmd: ['/bin/sh'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    };
    const config = addBlob(Buffer.from(JSON.stringify(configuration)), CONFIG_TYPE);
    const contents = layers.map((layer) => addBlob(layer));
    const manifest = addManifest(repository, tag, {
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: describe(config),
      layers: contents.map(describe),
    });
    return { manifest, config, layers: contents };
  };
  const find = (path: string): Content | undefined => {
    const [, repository, kind, name = ''] = /^\/v2\/(.+)\/(blobs|manifests)\/([^/?]+)/.exec(path) ?? [];
    return kind === 'blobs' ? blobs.get(name) : manifests.get(`${repository}/${name}`);
  };

  const honest = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = '', headers } = request;
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://registry');
    const upload = /^\/v2\/(.+)\/blobs\/uploads\/([^/]*)$/.exec(pathname);
    if (upload !== null) return handleUpload(request, response, searchParams, upload[1] ?? '', upload[2] ?? '');
    const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(pathname);
    if (method === 'PUT' && manifest !== null) {
      const [, repository = '', tag = ''] = manifest;
      const { digest } = addManifest(repository, tag, await bodyOf(request), headers['content-type'] ?? '');
      response.writeHead(201, { 'docker-content-digest': digest }).end();
      return;
    }
    if (pathname === '/v2/') return sendJson(response, 200, {});
    const tags = /^\/v2\/(.+)\/tags\/list$/.exec(pathname);
    if (tags !== null) {
      const [, repository = ''] = tags;
      const names = [...manifests.keys()].filter((key) => key.startsWith(`${repository}/`) && !key.includes(':'));
      return sendJson(response, 200, { name: repository, tags: names.map((key) => key.slice(repository.length + 1)) });
    }
    const content = find(pathname);
    if (content === undefined) return sendError(response, 404, manifest === null ? 'BLOB_UNKNOWN' : 'MANIFEST_UNKNOWN');
    const answer = answerTo(request, content);
    response.writeHead(answer.status, answer.headers).end(method === 'HEAD' ? undefined : answer.bytes);
  };

  const handleUpload = async (
    request: IncomingMessage,
    response: ServerResponse,
    query: URLSearchParams,
    repository: string,
    id: string,
  ): Promise<void> => {
    const { method } = request;
    const location = (name: string): string => `/v2/${repository}/blobs/uploads/${name}?state=x`;
    if (method === 'POST') {
      const mounted = blobs.has(query.get('mount') ?? '');
      const name = randomUUID();
      if (!mounted) uploads.set(name, Buffer.alloc(0));
      response.writeHead(mounted ? 201 : 202, { location: location(name) }).end();
      return;
    }
    const before = uploads.get(id);
    if (before === undefined) return sendError(response, 404, 'BLOB_UPLOAD_UNKNOWN');
    const start = /^(\d+)-/.exec(request.headers['content-range'] ?? '')?.[1];
    if (start !== undefined && Number(start) !== before.length) return sendError(response, 416, 'RANGE_INVALID');
    // Of a body that breaks off, what came is kept: this registry can resume.
    const bytes = method === 'GET' ? before : Buffer.concat([before, await bodyOf(request)]);
    uploads.set(id, bytes);
    const range = { location: location(id), range: `0-${Math.max(bytes.length - 1, 0)}` };
    if (method !== 'PUT') return void response.writeHead(method === 'GET' ? 204 : 202, range).end();
    uploads.delete(id);
    if (digestOf(bytes) !== query.get('digest')) return sendError(response, 400, 'DIGEST_INVALID');
    response.writeHead(201, { 'docker-content-digest': addBlob(bytes).digest }).end();
  };

  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    const beHonest = (): void => {
      honest(request, response).catch((error: unknown) => response.destroy(error as Error));
    };
    if (misbehaviour === undefined) beHonest();
    else misbehaviour(request, response, beHonest);
  });
  server.on('connection', (socket) => {
    sockets.add(socket);
    // Clients that end in the middle of an answer are what this is for.
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    publish,
    publishBlobs,
    addBlob,
    addManifest,
    find,
    misbehave: (next) => {
      misbehaviour = next;
    },
    remove: async () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

export interface Answer {
  readonly status: number;
  readonly bytes: Buffer;
  readonly headers: Record<string, string>;
}

/** The honest answer to a read, with its range. */
export function answerTo(request: IncomingMessage, { mediaType, digest, bytes }: Content): Answer {
  const start = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const part = bytes.subarray(start);
  return {
    status: start > 0 ? 206 : 200,
    bytes: part,
    headers: {
      'content-type': mediaType,
      'content-length': String(part.length),
      'docker-content-digest': digest,
      ...(start > 0 ? { 'content-range': `bytes ${start}-${bytes.length - 1}/${bytes.length}` } : {}),
    },
  };
}

export function sendJson(response: ServerResponse, status: number, value: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

/** The body of errors: OCI distribution-spec, "error codes". */
export function sendError(response: ServerResponse, status: number, code: string): void {
  sendJson(response, status, { errors: [{ code, message: code.toLowerCase().replaceAll('_', ' ') }] });
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer);
  } catch {
    // The client is gone; what came stays.
  }
  return Buffer.concat(chunks);
}
