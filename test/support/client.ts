/** Clients of a daemon: command lines with their output, and the API over its socket. */
import { spawn } from 'node:child_process';
import {
  Agent,
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
} from 'node:http';
import type { Socket } from 'node:net';
import { resolve } from 'node:path';

export const repository = resolve(import.meta.dirname, '../..');
export const TSDCTL = resolve(repository, 'bin/tsdctl');

export interface CommandResult {
  /** Exit code; 128 + n when a signal ended it. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string | Buffer | undefined;
  readonly env?: NodeJS.ProcessEnv;
  readonly timeoutMs?: number;
  readonly cwd?: string;
}

const COMMAND_TIMEOUT_MS = 60_000;
const SIGNAL_NUMBERS: Readonly<Record<string, number>> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };

/** Runs a command to its end. Never rejects for an exit code; rejects when it runs out of time. */
export function run(program: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const child = spawn(program, args, {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: options.env ?? process.env,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  // A command that does not read its input closes the pipe: not an error of the test.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  const timeoutMs = options.timeoutMs ?? COMMAND_TIMEOUT_MS;
  return new Promise((done, fail) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      const said = `${Buffer.concat(stdout)}${Buffer.concat(stderr)}`.slice(-2000);
      fail(new Error(`${program} ${args.join(' ')}: not done within ${timeoutMs} ms; it said: ${said}`));
    }, timeoutMs);
    child.on('error', (error) => {
      clearTimeout(timer);
      fail(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      done({
        code: code ?? 128 + (SIGNAL_NUMBERS[signal ?? ''] ?? 0),
        stdout: Buffer.concat(stdout).toString(),
        stderr: Buffer.concat(stderr).toString(),
      });
    });
  });
}

/** A command line bound to one daemon: `await docker('ps', '-q')`. */
export interface CommandLine {
  (...args: string[]): Promise<CommandResult>;
  with(options: CommandOptions, ...args: string[]): Promise<CommandResult>;
  /** Runs and returns stdout without the final newline; throws when the exit code is not 0. */
  output(...args: string[]): Promise<string>;
}

/** Binds a Docker-like program to the daemon on `socketPath` with `-H`. */
export function commandLine(program: string, socketPath: string): CommandLine {
  const runWith = (options: CommandOptions, ...args: string[]): Promise<CommandResult> =>
    run(program, ['-H', `unix://${socketPath}`, ...args], options);
  return Object.assign((...args: string[]) => runWith({}, ...args), {
    with: runWith,
    output: async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await runWith({}, ...args);
      if (code !== 0) throw new Error(`${program} ${args.join(' ')} exited with ${code}: ${stderr}`);
      return stdout.replace(/\n$/, '');
    },
  });
}

/** Runs a command on a terminal of its own (util-linux script(1)); stdout is what the terminal showed. */
export function runOnTerminal(
  program: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const quoted = [program, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(' ');
  return run('script', ['--quiet', '--return', '--flush', '--command', quoted, '/dev/null'], options);
}

export interface ApiResponse {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON; throws where it is none. */
  json<T>(): T;
}

export interface Api {
  readonly socketPath: string;
  request(method: string, path: string, body?: unknown, headers?: OutgoingHttpHeaders): Promise<ApiResponse>;
  /** The same with a body of bytes. */
  send(
    method: string,
    path: string,
    body: Buffer | NodeJS.ReadableStream,
    type: string,
    headers?: OutgoingHttpHeaders,
  ): Promise<ApiResponse>;
  /** Answers as soon as the headers are there; the caller reads or destroys the body. */
  stream(method: string, path: string): Promise<IncomingMessage>;
  /** A hijacked connection, with Upgrade headers. */
  hijack(path: string): Promise<{ socket: Socket; head: Buffer; status: number }>;
  close(): void;
}

/** The API of the daemon on a socket, over one kept-alive connection unless requests run side by side. */
export function connectApi(socketPath: string): Api {
  const agent = new Agent({ keepAlive: true });
  const send: Api['send'] = (method, path, body, type, more = {}) =>
    new Promise((done, fail) => {
      const headers: OutgoingHttpHeaders = { 'Content-Type': type, Host: 'tsd', ...more };
      if (Buffer.isBuffer(body)) headers['Content-Length'] = body.length;
      const request = httpRequest({ socketPath, path, method, agent, headers }, (response) => {
        collect(response).then(done, fail);
      });
      request.on('error', fail);
      if (Buffer.isBuffer(body)) request.end(body);
      else body.pipe(request);
    });
  return {
    socketPath,
    send,
    request: (method, path, body, headers) => {
      const bytes = body === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(body));
      return send(method, path, bytes, 'application/json', headers);
    },
    stream: (method, path) =>
      new Promise((done, fail) => {
        const request = httpRequest({ socketPath, path, method, headers: { Host: 'tsd' } }, done);
        request.on('error', fail);
        request.end();
      }),
    hijack: (path) =>
      new Promise((done, fail) => {
        const headers = { Host: 'tsd', Connection: 'Upgrade', Upgrade: 'tcp', 'Content-Length': 0 };
        const request = httpRequest({ socketPath, path, method: 'POST', headers });
        request.on('upgrade', (response, socket, head) =>
          done({ socket: socket as Socket, head, status: response.statusCode ?? 0 }),
        );
        request.on('response', (response) => {
          collect(response).then(({ status, text }) => fail(new Error(`not hijacked: ${status} ${text}`)), fail);
        });
        request.on('error', fail);
        request.end();
      }),
    close: () => agent.destroy(),
  };
}

async function collect(response: IncomingMessage): Promise<ApiResponse> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  return { status: response.statusCode ?? 0, headers: response.headers, text, json: <T>() => JSON.parse(text) as T };
}
