/** Netlink sockets, netlink(7): requests to the kernel's networking and their answers. */
import { closeSync } from 'node:fs';
import { checked, libc } from './libc.ts';
import { type NetlinkMessage, readAnswers } from './netlink-answers.ts';

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
/** Families of netlink, netlink(7). */
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_DONTWAIT = 0x40;
const SEQUENCE_OFFSET = 8;
/** A dump fills at most this much at a time; a single interface's answer may be several KiB. */
const ANSWER_BYTES = 64 * 1024;
/** A list that changes while it is read is read again, this often. */
const DUMP_TRIES = 10;

const socketCall = libc.func('int socket(int domain, int type, int protocol)') as (
  domain: number,
  type: number,
  protocol: number,
) => number;
const setsockoptCall = libc.func(
  'int setsockopt(int socket, int level, int name, const void *value, uint32_t length)',
) as (socket: number, level: number, name: number, value: Buffer, length: number) => number;
/** Without an address a netlink message goes to the kernel. */
const sendCall = libc.func('long send(int socket, const void *bytes, size_t length, int flags)');
const recvCall = libc.func('long recv(int socket, _Out_ void *bytes, size_t length, int flags)') as (
  socket: number,
  bytes: Buffer,
  length: number,
  flags: number,
) => number;

export interface NetlinkSocket {
  /**
   * Sends one message (its sequence number is set) and waits for the kernel, which answers within microseconds unless
   * somebody else holds its lock on interfaces. Returns the messages of the answer, none for a mere acknowledgement.
   * @throws NetlinkError where the kernel refuses, with its own words; SystemCallError where the socket fails.
   */
  request(message: Uint8Array): readonly NetlinkMessage[];
  close(): void;
}

/** A socket, by default for rtnetlink(7), in the network namespace that the thread is in now. @throws SystemCallError */
export function openNetlink(family = NETLINK_ROUTE): NetlinkSocket {
  const socket = openSocket(family);
  const buffer = Buffer.allocUnsafe(ANSWER_BYTES);
  let sequence = 0;
  return {
    request(message) {
      const bytes = Buffer.from(message);
      for (let tries = 1; ; tries += 1) {
        sequence += 1;
        bytes.writeUInt32LE(sequence, SEQUENCE_OFFSET);
        checked('send', sendCall(socket, bytes, bytes.length, 0), 'netlink');
        const { messages, interrupted } = receive(socket, buffer, sequence);
        if (!interrupted || tries === DUMP_TRIES) return messages;
      }
    },
    close() {
      closeSync(socket);
    },
  };
}

/**
 * One request through a socket of its own, with the wait in a thread: for what takes the kernel milliseconds, as deleting an
 * interface does. Throws as `request`.
 */
export async function requestInThread(message: Uint8Array, family = NETLINK_ROUTE): Promise<readonly NetlinkMessage[]> {
  const socket = openSocket(family);
  try {
    const sent = await new Promise<number>((resolve, reject) => {
      sendCall.async(socket, message, message.length, 0, (error: Error | null, result: number) => {
        if (error === null) resolve(result);
        else reject(error);
      });
    });
    if (sent !== message.length) throw new Error('netlink took no request');
    return receive(socket, Buffer.allocUnsafe(ANSWER_BYTES), 0).messages;
  } finally {
    closeSync(socket);
  }
}

function openSocket(family: number): number {
  const socket = checked('socket', socketCall(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family), 'netlink');
  try {
    const on = Buffer.from([1, 0, 0, 0]);
    for (const option of [NETLINK_EXT_ACK, NETLINK_CAP_ACK, NETLINK_GET_STRICT_CHK]) {
      checked('setsockopt', setsockoptCall(socket, SOL_NETLINK, option, on, on.length), 'netlink');
    }
  } catch (error) {
    closeSync(socket);
    throw error;
  }
  return socket;
}

/** The kernel has handled a request when send(2) returns: the answer, or the first part of a list, is there. */
function receive(
  socket: number,
  buffer: Buffer,
  sequence: number,
): { readonly messages: readonly NetlinkMessage[]; readonly interrupted: boolean } {
  const messages: NetlinkMessage[] = [];
  for (let interrupted = false; ; ) {
    const length = checked('recv', recvCall(socket, buffer, buffer.length, MSG_DONTWAIT), 'netlink');
    // A copy: the messages are parts of it, and the buffer is used again.
    const answer = readAnswers(Buffer.from(buffer.subarray(0, length)), sequence);
    messages.push(...answer.messages);
    interrupted ||= answer.interrupted;
    if (answer.complete) return { messages, interrupted };
  }
}
