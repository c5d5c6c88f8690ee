/**
 * A program of the test that stands in one network namespace: it serves and asks. The namespace's own process runs it
 * (`ip netns exec NAME node peer.ts`) and takes orders over IPC; the test's own namespace uses the functions directly.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect, createServer, isIPv6 } from 'node:net';

export type Protocol = 'tcp' | 'udp';

export interface Question {
  readonly protocol: Protocol;
  readonly host: string;
  readonly port: number;
  /** The port that is asked from; of no account where it is missing. */
  readonly from?: number;
}

/** How long an answer may take before there is none. Datagrams are asked again until then. */
const ANSWER_TIMEOUT_MS = 1500;
const REPEAT_MS = 300;

/** Answers everyone with the address that they come from, over IPv4 and IPv6, for as long as the process has other work. */
export async function serve(protocol: Protocol, port: number, name: string): Promise<void> {
  if (protocol === 'tcp') {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(answer(name, socket.remoteAddress ?? ''));
    });
    server.listen(port, '::');
    await once(server, 'listening');
    server.unref();
    return;
  }
  const socket = createSocket('udp6');
  socket.on('message', (_, sender) => socket.send(answer(name, sender.address), sender.port, sender.address));
  socket.bind(port, '::');
  await once(socket, 'listening');
  socket.unref();
}

/** What the server says: its name and the address that it sees; `ECONNREFUSED` and the like, or `no answer`. */
export async function ask(question: Question, timeoutMs = ANSWER_TIMEOUT_MS): Promise<string> {
  return question.protocol === 'tcp' ? askTcp(question, timeoutMs) : askUdp(question, timeoutMs);
}

function askTcp({ host, port, from }: Question, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, ...(from === undefined ? {} : { localPort: from }) });
    const timer = setTimeout(() => {
      socket.destroy();
      resolve('no answer');
    }, timeoutMs);
    let heard = '';
    socket.setEncoding('utf8').on('data', (text) => {
      heard += text;
    });
    const finish = (result: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(result);
    };
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    socket.on('end', () => finish(heard));
  });
}

function askUdp({ host, port, from }: Question, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4');
    const ask = (): void => socket.send('?', port, host, () => undefined);
    const repeat = setInterval(ask, REPEAT_MS);
    const finish = (result: string): void => {
      clearInterval(repeat);
      clearTimeout(timer);
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish('no answer'), timeoutMs);
    socket.on('message', (text) => finish(text.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
    if (from === undefined) ask();
    else socket.bind(from, ask);
  });
}

function answer(name: string, address: string): string {
  return `${name} sees ${address.replace('::ffff:', '')}`;
}

export type Order =
  | {
      readonly id: number;
      readonly serve: { readonly protocol: Protocol; readonly port: number; readonly name: string };
    }
  | { readonly id: number; readonly ask: Question };

export interface Reply {
  readonly id: number;
  readonly result: string;
}

if (process.send !== undefined && process.argv[1] === import.meta.filename) {
  const reply = (id: number) => (result: string) => process.send?.({ id, result } satisfies Reply);
  process.on('message', (order: Order) => {
    const work =
      'ask' in order
        ? ask(order.ask)
        : serve(order.serve.protocol, order.serve.port, order.serve.name).then(() => 'serving');
    work.then(reply(order.id), (error: unknown) => reply(order.id)(String(error)));
  });
  process.on('disconnect', () => process.exit(0));
}
