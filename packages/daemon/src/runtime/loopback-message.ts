/** Netlink messages, rtnetlink(7). */

const RTM_NEWLINK = 16;
const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const IFF_UP = 1;
const LOOPBACK_INDEX = 1;

/** The message that brings `lo` up: a new network namespace has it as interface 1, down. */
export function loopbackUpMessage(): Uint8Array {
  const message = Buffer.alloc(32);
  // struct nlmsghdr: length, type, flags, sequence, port.
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(RTM_NEWLINK, 4);
  message.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6);
  message.writeUInt32LE(1, 8);
  // struct ifinfomsg: family, pad, type, index, flags, change mask.
  message.writeInt32LE(LOOPBACK_INDEX, 20);
  message.writeUInt32LE(IFF_UP, 24);
  message.writeUInt32LE(IFF_UP, 28);
  return message;
}
