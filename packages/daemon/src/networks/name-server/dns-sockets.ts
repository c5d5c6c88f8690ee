/** The sockets of a name server: one address and port, UDP and TCP. */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, isIPv6, type Server, type Socket } from 'node:net';
import { EDNS_UDP_BYTES, PLAIN_UDP_BYTES } from './dns-message.ts';
import { createMessageReader, framed } from './tcp-framing.ts';

export interface Answerer {
  /** Whether anything from the address is listened to. */
  knows(source: string): boolean;
  /** The answer to a message, or null; never throws. */
  answer(source: string, message: Buffer, maxBytes: MaxBytes): Promise<Buffer | null>;
}

/** How many bytes the answer to a query may have. */
export type MaxBytes = (query: { readonly edns: { readonly udpBytes: number } | null }) => number;

export interface DnsSockets {
  readonly port: number;
  close(): Promise<void>;
}

/** Answers that the network does not take are lost, as any datagram may be. */
const MAX_UNSENT_BYTES = 1024 * 1024;
const MAX_MESSAGE_BYTES = 65_535;
const MAX_CONNECTIONS = 256;
const MAX_CONNECTIONS_OF_CLIENT = 16;
const IDLE_MS = 10_000;
/** How often a port is chosen that is free for UDP, until it is free for TCP too. */
const ATTEMPTS = 10;

/**
 * Binds both sockets to the port, or where it is taken to another one.
 *
 * @param onError told what goes wrong later; the sockets stay open
 * @throws Error of the system, for instance EADDRNOTAVAIL
 */
export async function openDnsSockets(
  address: string,
  port: number,
  answerer: Answerer,
  onError: (error: Error) => void,
): Promise<DnsSockets> {
  for (let attempt = 0; ; attempt++) {
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    const tcp = createServer();
    try {
      udp.bind(attempt === 0 ? port : 0, address);
      await once(udp, 'listening');
      tcp.listen(udp.address().port, address);
      await once(tcp, 'listening');
    } catch (error) {
      udp.close();
      if (!isTaken(error) || attempt === ATTEMPTS) throw error;
      continue;
    }
    udp.on('error', onError);
    tcp.on('error', onError);
    let isOpen = true;
    const whileOpen: Answerer = {
      knows: answerer.knows,
      async answer(...asked) {
        const reply = await answerer.answer(...asked);
        return isOpen ? reply : null;
      },
    };
    serveUdp(udp, whileOpen);
    const connections = serveTcp(tcp, whileOpen);
    return {
      port: udp.address().port,
      async close() {
        isOpen = false;
        udp.close();
        for (const connection of connections) connection.destroy();
        tcp.close();
        await once(tcp, 'close');
      },
    };
  }
}

function serveUdp(socket: UdpSocket, { answer }: Answerer): void {
  const maxBytes: MaxBytes = ({ edns }) => Math.min(edns?.udpBytes ?? PLAIN_UDP_BYTES, EDNS_UDP_BYTES);
  socket.on('message', async (message, { address, port }) => {
    const reply = await answer(address, message, maxBytes);
    if (reply === null || socket.getSendQueueSize() > MAX_UNSENT_BYTES) return;
    socket.send(reply, port, address, clientGone);
  });
}

function serveTcp(server: Server, { knows, answer }: Answerer): ReadonlySet<Socket> {
  const connections = new Set<Socket>();
  server.maxConnections = MAX_CONNECTIONS;
  server.on('connection', (connection) => {
    const source = connection.remoteAddress;
    const others = [...connections].filter(({ remoteAddress }) => remoteAddress === source).length;
    if (source === undefined || !knows(source) || others >= MAX_CONNECTIONS_OF_CLIENT) {
      connection.destroy();
      return;
    }
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    connection.on('error', clientGone);
    connection.setTimeout(IDLE_MS, () => connection.destroy());
    const read = createMessageReader(async (message) => {
      const reply = await answer(source, message, () => MAX_MESSAGE_BYTES);
      if (reply !== null && connection.writable) connection.write(framed(reply));
      if (reply === null || connection.writableLength > MAX_UNSENT_BYTES) connection.destroy();
    });
    connection.on('data', read);
  });
  return connections;
}

function clientGone(): void {
  // Of no concern to anybody: who still wants an answer asks again.
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
