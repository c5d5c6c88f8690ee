/** What netlink sockets are answered with, as bytes: netlink(7), linux/netlink.h. Pure. */
import { errnoName } from './libc.ts';

const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
/** NLA_F_NESTED and NLA_F_NET_BYTEORDER are no part of an attribute's number. */
const ATTRIBUTE_TYPE_MASK = 0x3fff;

/** A request that the kernel refused: `errno` is positive, `reason` the kernel's own words (extended acknowledgement) or ''. */
export class NetlinkError extends Error {
  override readonly name = 'NetlinkError';
  readonly errno: number;
  readonly code: string;
  readonly reason: string;

  constructor(errno: number, reason: string) {
    const code = errnoName(errno);
    super(reason === '' ? code : `${reason} (${code})`);
    this.errno = errno;
    this.code = code;
    this.reason = reason;
  }
}

/** A message that is part of an answer. */
export interface NetlinkMessage {
  readonly type: number;
  /** What follows the header. */
  readonly body: Buffer;
}

export interface NetlinkAnswer {
  readonly messages: readonly NetlinkMessage[];
  /** The last message of the answer was among these: the acknowledgement, or the end of a dump. */
  readonly complete: boolean;
  /** What was listed changed meanwhile, so the list may have holes. */
  readonly interrupted: boolean;
}

/**
 * Takes one datagram of answers apart; messages of other requests (of one that was given up) are skipped.
 * @throws NetlinkError where it holds a refusal, Error where it is malformed.
 */
export function readAnswers(datagram: Buffer, sequence: number): NetlinkAnswer {
  const messages: NetlinkMessage[] = [];
  let complete = false;
  let interrupted = false;
  for (let at = 0; at + HEADER_BYTES <= datagram.length; ) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length) throw new Error('a malformed netlink answer');
    const type = datagram.readUInt16LE(at + 4);
    const flags = datagram.readUInt16LE(at + 6);
    const body = datagram.subarray(at + HEADER_BYTES, at + length);
    if (datagram.readUInt32LE(at + 8) === sequence) {
      interrupted ||= (flags & NLM_F_DUMP_INTR) !== 0;
      if (type === NLMSG_ERROR || type === NLMSG_DONE) {
        throwRefusal(type, flags, body);
        complete = true;
      } else {
        messages.push({ type, body });
      }
    }
    at += align(length);
  }
  return { messages, complete, interrupted };
}

/** Both begin with an errno: 0, or negative. An error's is followed by the request, or by its header only (NLM_F_CAPPED). */
function throwRefusal(type: number, flags: number, body: Buffer): void {
  const errno = body.length < 4 ? 0 : -body.readInt32LE(0);
  if (errno <= 0) return;
  let attributesAt = 4;
  if (type === NLMSG_ERROR) {
    const echoedLength = (flags & NLM_F_CAPPED) === 0 ? body.readUInt32LE(4) : HEADER_BYTES;
    attributesAt += align(echoedLength);
  }
  const attributes = (flags & NLM_F_ACK_TLVS) === 0 ? new Map<number, Buffer>() : readAttributes(body, attributesAt);
  throw new NetlinkError(errno, textOf(attributes.get(NLMSGERR_ATTR_MSG)));
}

/** Attributes by number, struct nlattr; of one that comes twice the last. One that is cut off ends the list. */
export function readAttributes(bytes: Buffer, from = 0): ReadonlyMap<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = from; at + ATTRIBUTE_HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readUInt16LE(at);
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) break;
    const type = bytes.readUInt16LE(at + 2) & ATTRIBUTE_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += align(length);
  }
  return attributes;
}

/** The text of an attribute, which ends with a NUL; '' where it is missing. */
export function textOf(attribute: Buffer | undefined): string {
  if (attribute === undefined) return '';
  const end = attribute.indexOf(0);
  return attribute.toString('utf8', 0, end === -1 ? attribute.length : end);
}

function align(length: number): number {
  return (length + 3) & ~3;
}
