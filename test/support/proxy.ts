/** An HTTP proxy on loopback that finds every name there. */
import { createServer, request as httpRequest } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';

export interface Proxy {
  readonly port: number;
  /** What it was asked, with credentials where there were any: `CONNECT registry.test:5000`, `GET http://registry.test/v2/`. */
  readonly asked: string[];
  remove(): Promise<void>;
}

export async function startProxy(): Promise<Proxy> {
  const asked: string[] = [];
  const note = (method = '', url = '', authorization = ''): void => {
    asked.push(`${method} ${url} ${authorization}`.trim());
  };
  const server = createServer((request, response) => {
    note(request.method, request.url, request.headers['proxy-authorization']);
    const { port, pathname, search } = new URL(request.url ?? '');
    const { method, headers } = request;
    const path = pathname + search;
    const onward = httpRequest({ host: '127.0.0.1', port, path, method, headers, maxHeaderSize: 1 << 20 }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(response);
    });
    onward.on('error', () => response.destroy());
    request.pipe(onward);
  });
  server.on('connect', (request, socket: Socket) => {
    note('CONNECT', request.url, request.headers['proxy-authorization']);
    const port = Number(request.url?.split(':')[1]);
    // Privileged ports are nobody's here.
    if (port < 1024) return void socket.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
    pipeTo(port, socket);
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    remove: async () => {
      const closed = new Promise((done) => server.close(done));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** Joins a connection to one to a port on loopback. */
export function pipeTo(port: number, socket: Socket): void {
  const onward = connect(port, '127.0.0.1');
  for (const end of [socket, onward]) end.on('error', () => undefined);
  socket.pipe(onward).pipe(socket);
}
