/** A daemon for registry commands, and a folder of its own for Docker's config.json. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answerJson, type FakeDaemon, type Handler, type RecordedRequest, startFakeDaemon } from './fake-daemon.ts';
import { type RunResult, runInProcess } from './run-tsdctl.ts';

type Tap = Parameters<typeof startFakeDaemon>[0];

export const DIGEST = `sha256:${'a'.repeat(64)}`;
/** What dockerd 20.10 answers for a pull of two layers, one of which is here. */
export const PULL_MESSAGES = [
  { status: 'Pulling from team/app', id: '1' },
  { status: 'Already exists', progressDetail: {}, id: '0123456789ab' },
  { status: 'Pulling fs layer', progressDetail: {}, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 36450, total: 1068732 }, progress: '[>  ]', id: '21c1c9f379fe' },
  { status: 'Waiting', progressDetail: {}, id: 'ba9876543210' },
  { status: 'Downloading', progressDetail: { current: 534366, total: 1068732 }, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 1068733, total: 1068732 }, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 77777 }, id: 'ba9876543210' },
  { status: 'Download complete', progressDetail: {}, id: '21c1c9f379fe' },
  { status: 'Pull complete', progressDetail: {}, id: '21c1c9f379fe' },
  { status: `Digest: ${DIGEST}` },
  { status: 'Status: Downloaded newer image for localhost:5000/team/app:1' },
];
export const PUSH_MESSAGES = [
  { status: 'The push refers to repository [localhost:5000/team/app]' },
  { status: 'Preparing', progressDetail: {}, id: '2528f8f9c909' },
  { status: 'Pushing', progressDetail: { current: 512, total: 1024 }, id: '2528f8f9c909' },
  { status: 'Pushed', progressDetail: {}, id: '2528f8f9c909' },
  { status: `1: digest: ${DIGEST} size: 527` },
  { progressDetail: {}, aux: { Tag: '1', Digest: DIGEST, Size: 527 } },
];

export const stream =
  (messages: readonly unknown[]): Handler =>
  (_request, response) =>
    sendMessages(response, messages);

export function sendMessages(response: ServerResponse, messages: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const message of messages) response.write(`${JSON.stringify(message)}\r\n`);
  response.end();
}

export interface Scene {
  readonly daemon: FakeDaemon;
  /** $DOCKER_CONFIG. */
  readonly folder: string;
  readonly configPath: string;
  readonly env: Record<string, string>;
  run(...argv: string[]): Promise<RunResult>;
  config(): unknown;
  writeConfig(config: unknown): void;
  /** The last request's X-Registry-Auth, decoded. */
  sentAuth(): unknown;
}

/** A daemon for which alice's password is `s3cret pw`, and a folder for config.json. */
export async function startScene(t: Tap, routes: Record<string, Handler> = {}): Promise<Scene> {
  const base = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(base, { recursive: true }));
  const folder = join(base, 'docker');
  const configPath = join(folder, 'config.json');
  const pull = stream(PULL_MESSAGES);
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /auth': (request, response) => {
        const { username, password } = JSON.parse(request.body.toString());
        if (username === 'token') answerJson(response, 200, { Status: 'Login Succeeded', IdentityToken: 'refresh' });
        else if (username === 'alice' && password === 's3cret pw')
          answerJson(response, 200, { Status: 'Login Succeeded', IdentityToken: '' });
        else answerJson(response, 401, { message: 'login attempt failed with status: 401 Unauthorized' });
      },
      'HEAD /_ping': (_request, response) =>
        void response.writeHead(200, { 'api-version': '1.47', ostype: 'linux' }).end(),
      'POST /images/create': pull,
      'POST /v1.47/images/create': pull,
      'POST /images/*/*/push': stream(PUSH_MESSAGES),
      'POST /images/*/*/*/push': stream(PUSH_MESSAGES),
      ...routes,
    },
  });
  const env = { DOCKER_CONFIG: folder, PATH: `${join(base, 'bin')}:${process.env['PATH']}` };
  return {
    daemon,
    folder,
    configPath,
    env,
    run: (...argv) => runInProcess(['-H', daemon.host, ...argv], env),
    config: () => JSON.parse(readFileSync(configPath, 'utf8')),
    writeConfig(config) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(configPath, JSON.stringify(config));
    },
    sentAuth: () => decodeAuth(daemon.requests.at(-1)),
  };
}

export function decodeAuth(request: RecordedRequest | undefined): unknown {
  const header = request?.headers['x-registry-auth'];
  if (header === undefined) return undefined;
  return JSON.parse(Buffer.from(String(header), 'base64url').toString());
}

/** Base64. */
export const encode = (text: string): string => Buffer.from(text).toString('base64');
