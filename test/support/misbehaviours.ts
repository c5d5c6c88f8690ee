/** What registries do wrong, for the hostile registry: each is about the reads whose URL holds `part`. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import {
  type Answer,
  answerTo,
  digestOf,
  type HostileRegistry,
  INDEX_TYPE,
  MANIFEST_TYPE,
  type Misbehaviour,
  sendJson,
} from './hostile-registry.ts';

/** Answers reads of what the registry has with something made of the honest answer. */
function inPlaceOf(
  registry: HostileRegistry,
  part: string,
  answer: (honest: Answer, response: ServerResponse) => void,
): Misbehaviour {
  return (request, response, honest) => {
    const content = registry.find(request.url ?? '');
    if (!isRead(request, part) || content === undefined) honest();
    else answer(answerTo(request, content), response);
  };
}

function isRead({ method, url }: IncomingMessage, part: string): boolean {
  return method === 'GET' && url?.includes(part) === true;
}

/** Other bytes, with the Content-Length that they have. */
export function changes(registry: HostileRegistry, part: string, change: (bytes: Buffer) => Buffer): Misbehaviour {
  return inPlaceOf(registry, part, ({ status, headers, bytes }, response) => {
    const changed = change(bytes);
    response.writeHead(status, { ...headers, 'content-length': String(changed.length) }).end(changed);
  });
}

/** Every answer ends after so many bytes, although its head announced the rest. */
export function cutsAfter(registry: HostileRegistry, part: string, sizeBytes: number): Misbehaviour {
  return inPlaceOf(registry, part, ({ status, headers, bytes }, response) => {
    response.writeHead(status, headers);
    if (sizeBytes >= bytes.length) response.end(bytes);
    else response.write(bytes.subarray(0, sizeBytes), () => response.destroy());
  });
}

/** Some bytes, then silence on an open connection. */
export function stallsAfter(registry: HostileRegistry, part: string, sizeBytes: number): Misbehaviour {
  return inPlaceOf(registry, part, ({ status, headers, bytes }, response) => {
    response.writeHead(status, headers).write(bytes.subarray(0, sizeBytes));
  });
}

/** The content again and again until it has so many bytes, of a length that is not announced. */
export function goesOn(registry: HostileRegistry, part: string, sizeBytes: number): Misbehaviour {
  return inPlaceOf(registry, part, ({ status, headers: { 'content-length': _, ...headers }, bytes }, response) => {
    response.writeHead(status, headers);
    writeRepeated(response, bytes, sizeBytes);
  });
}

/** Whoever reads all of it needs 100 MB. */
export function sendsHugeManifest(): Misbehaviour {
  return (request, response, honest) => {
    if (!isRead(request, '/manifests/')) return honest();
    response.writeHead(200, { 'content-type': MANIFEST_TYPE });
    writeRepeated(response, Buffer.alloc(64 * 1024, ' '), 100_000_000);
  };
}

function writeRepeated(response: ServerResponse, piece: Buffer, sizeBytes: number): void {
  let written = 0;
  const more = (): void => {
    while (!response.destroyed && written < sizeBytes) {
      written += piece.length;
      if (!response.write(piece)) return void response.once('drain', more);
    }
    response.end();
  };
  more();
}

/** From one URL to the next, for ever. */
export function redirectsForever(part: string): Misbehaviour {
  let redirects = 0;
  return (request, response, honest) => {
    if (!isRead(request, part)) honest();
    else response.writeHead(307, { location: `${request.url?.split('?')[0]}?again=${++redirects}` }).end();
  };
}

/** Asks for tokens, hands them out, and takes none. */
export function refusesItsTokens(registry: HostileRegistry): Misbehaviour {
  let tokens = 0;
  return (request, response) => {
    if (request.url?.startsWith('/token')) return sendJson(response, 200, { token: `token-${++tokens}` });
    const challenge = `Bearer realm="http://${registry.host}/token",service="hostile"`;
    response.writeHead(401, { 'www-authenticate': challenge }).end();
  };
}

/** A portal's page in place of what was asked for. */
export function sendsWebPage(part: string): Misbehaviour {
  return (request, response, honest) => {
    if (!isRead(request, part)) return honest();
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end('<html>Sign in to the hotel</html>');
  };
}

/** Passing trouble: the first so many requests get this status. */
export function failsFirst(times: number, status: number, headers: Record<string, string> = {}): Misbehaviour {
  let failed = 0;
  return (request, response, honest) => {
    if (failed++ >= times) return honest();
    request.resume();
    response.writeHead(status, headers).end();
  };
}

/** Every manifest is an index whose only entry is what was asked for. */
export function pointsToItself(): Misbehaviour {
  return (request, response, honest) => {
    const [, name] = /\/manifests\/([^/?]+)$/.exec(request.url ?? '') ?? [];
    if (name === undefined) return honest();
    const digest = name.startsWith('sha256:') ? name : digestOf(Buffer.from(name));
    const platform = { os: 'linux', architecture: process.arch === 'x64' ? 'amd64' : process.arch };
    response.writeHead(200, { 'content-type': INDEX_TYPE });
    const entry = { mediaType: INDEX_TYPE, digest, size: 300, platform };
    response.end(JSON.stringify({ schemaVersion: 2, mediaType: INDEX_TYPE, manifests: [entry] }));
  };
}
