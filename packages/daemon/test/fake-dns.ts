/** A name server for tests to forward to, and a client to ask with: on loopback, encoded by dns-packet. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import {
  type Answer,
  type DecodedPacket,
  decode,
  encode,
  type Packet,
  RECURSION_DESIRED,
  streamEncode,
} from 'dns-packet';

/** What is lost, the kernel had no room for. */
const RESEND_MS = 500;

/** What the server makes of a query; null for silence, bytes as they are. */
export type Respond = (query: DecodedPacket, over: 'udp' | 'tcp', message: Buffer) => Packet | Buffer | null;

export interface FakeServer {
  readonly port: number;
  readonly queries: { readonly query: DecodedPacket; readonly over: 'udp' | 'tcp'; readonly sourcePort: number }[];
  respond: Respond;
  close(): Promise<void>;
}

/** Listens on a loopback address; on the port of another one, so that both can be servers of one host. */
export async function startFakeServer(address: string, respond: Respond, port = 0): Promise<FakeServer> {
  const udp = createSocket('udp4');
  udp.bind(port, address);
  await once(udp, 'listening');
  const connections = new Set<Socket>();
  const tcp = createServer();
  tcp.listen(udp.address().port, address);
  await once(tcp, 'listening');
  const server: FakeServer = {
    port: udp.address().port,
    queries: [],
    respond,
    async close() {
      udp.close();
      for (const connection of connections) connection.destroy();
      tcp.close();
      await once(tcp, 'close');
    },
  };
  const answer = (message: Buffer, over: 'udp' | 'tcp', sourcePort: number): Buffer | null => {
    const query = decode(message);
    server.queries.push({ query, over, sourcePort });
    const response = server.respond(query, over, message);
    if (response === null || Buffer.isBuffer(response)) return response;
    return encode({ type: 'response', id: query.id, questions: query.questions, ...response });
  };
  udp.on('message', (message, { address: client, port: clientPort }) => {
    const reply = answer(message, 'udp', clientPort);
    if (reply !== null) udp.send(reply, clientPort, client);
  });
  tcp.on('connection', (connection) => {
    connections.add(connection);
    connection.on('data', (chunk: Buffer) => {
      const reply = answer(chunk.subarray(2), 'tcp', (connection.address() as AddressInfo).port);
      const length = Buffer.alloc(2);
      length.writeUInt16BE(reply?.length ?? 0);
      if (reply !== null) connection.write(Buffer.concat([length, reply]));
    });
  });
  return server;
}

export function addressRecord(name: string, data: string, ttl = 60): Answer {
  return { type: data.includes(':') ? 'AAAA' : 'A', name, ttl, data };
}

export function query(name: string, type: 'A' | 'AAAA' | 'PTR' | 'MX' | 'TXT' = 'A', extra: Packet = {}): Packet {
  return { type: 'query', id: 4711, flags: RECURSION_DESIRED, questions: [{ type, name }], ...extra };
}

export interface Asked {
  readonly source: string;
  readonly server: string;
  readonly port: number;
}

/** Asks over UDP from a certain address, again when it takes long; null where nothing came in time. */
export async function ask(asked: Asked, packet: Packet | Buffer, timeoutMs = 3000): Promise<DecodedPacket | null> {
  const reply = await askRaw(asked, Buffer.isBuffer(packet) ? packet : encode(packet), timeoutMs);
  return reply === null ? null : decode(reply);
}

export async function askRaw(
  { source, server, port }: Asked,
  message: Buffer,
  timeoutMs = 3000,
): Promise<Buffer | null> {
  const socket = createSocket('udp4');
  socket.bind(0, source);
  await once(socket, 'listening');
  const send = () => socket.send(message, port, server);
  const resend = setInterval(send, RESEND_MS);
  try {
    send();
    const [reply] = (await once(socket, 'message', { signal: AbortSignal.timeout(timeoutMs) })) as [Buffer];
    return reply;
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') return null;
    throw error;
  } finally {
    clearInterval(resend);
    socket.close();
  }
}

/** Asks over TCP, all queries in one piece; gives as many answers as there were queries. */
export async function askOverTcp(
  { source, server, port }: Asked,
  packets: readonly Packet[],
): Promise<DecodedPacket[]> {
  const socket = connect({ host: server, port, localAddress: source });
  socket.write(Buffer.concat(packets.map(streamEncode)));
  let bytes = Buffer.alloc(0);
  const answers: DecodedPacket[] = [];
  try {
    for await (const chunk of socket) {
      bytes = Buffer.concat([bytes, chunk as Buffer]);
      while (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) {
        const end = 2 + bytes.readUInt16BE(0);
        answers.push(decode(bytes.subarray(2, end)));
        bytes = bytes.subarray(end);
      }
      if (answers.length === packets.length) break;
    }
  } finally {
    socket.destroy();
  }
  return answers;
}

/** What the answers say, in order. */
export function dataOf(answer: DecodedPacket | null): unknown[] {
  return (answer?.answers ?? []).map((record) => ('data' in record ? record.data : null));
}

export function rcodeOf(answer: DecodedPacket | null): string | undefined {
  return (answer as (DecodedPacket & { rcode: string }) | null)?.rcode;
}
