/**
 * DNS messages as bytes (RFC 1035 section 4, RFC 6891). What is passed on is not decoded and encoded anew, since record types
 * come and go and must arrive as they were sent: only the few places that a forwarder changes are found here.
 */

export const HEADER_BYTES = 12;
/** Without EDNS, and the least that anyone may announce with it. */
export const PLAIN_UDP_BYTES = 512;
/** Fits into one packet on every common path (DNS flag day 2020). */
export const EDNS_UDP_BYTES = 1232;

export const FLAGS = { response: 0x8000, truncated: 0x200, recursion: 0x100, available: 0x80, rcode: 0xf } as const;
/** What a query asks of the server apart from its question: recursion desired, authentic data, checking disabled. */
const ASKED_FLAGS = 0x0130;
const OPCODE = 0x7800;
const DNSSEC_OK = 0x8000;

export const RCODE = { ok: 0, formatError: 1, serverFailure: 2, nameError: 3, notImplemented: 4, refused: 5 } as const;
/** Needs EDNS: its upper bits are in the OPT record. */
const BAD_VERSION = 16;

export const TYPE = { a: 1, soa: 6, ptr: 12, aaaa: 28, opt: 41, ixfr: 251, axfr: 252, any: 255 } as const;
export const CLASS_IN = 1;

const MAX_NAME_BYTES = 255;

/** A query of one question. */
export interface DnsQuery {
  readonly id: number;
  /** Those of ASKED_FLAGS. */
  readonly flags: number;
  /** The question's bytes as they came: name, type, class. */
  readonly question: Buffer;
  /** In lower case, without the dot at its end; whatever is no letter, digit, hyphen or underscore as `\DDD`. */
  readonly name: string;
  readonly type: number;
  readonly class: number;
  readonly edns: { readonly udpBytes: number; readonly dnssecOk: boolean } | null;
}

/** A query that can be answered, the answer to one that cannot, or null for what deserves none. */
export type ParsedQuery = { readonly query: DnsQuery } | { readonly refusal: Buffer } | null;

export interface DnsRecord {
  readonly section: 'answer' | 'authority' | 'additional';
  /** Where the record begins, with its name. */
  readonly offset: number;
  readonly type: number;
  readonly class: number;
  readonly ttlOffset: number;
  readonly ttlSeconds: number;
  readonly data: Buffer;
}

/** Reads a query. Responses get no answer, or two servers would answer each other for ever. */
export function parseQuery(message: Buffer): ParsedQuery {
  if (message.length < HEADER_BYTES) return null;
  const id = message.readUInt16BE(0);
  const flags = message.readUInt16BE(2);
  if ((flags & FLAGS.response) !== 0) return null;
  const bare = (rcode: number) => ({
    refusal: header(id, FLAGS.response | (flags & (OPCODE | ASKED_FLAGS)) | rcode, 0),
  });
  if ((flags & OPCODE) !== 0) return bare(RCODE.notImplemented);
  if (message.readUInt16BE(4) !== 1) return bare(RCODE.formatError);
  try {
    const end = questionEnd(message);
    const question = Buffer.from(message.subarray(HEADER_BYTES, end));
    const opt = recordsOf(message, end).find(({ section, type }) => section === 'additional' && type === TYPE.opt);
    const query: DnsQuery = {
      id,
      flags: flags & ASKED_FLAGS,
      question,
      name: nameText(question),
      type: question.readUInt16BE(question.length - 4),
      class: question.readUInt16BE(question.length - 2),
      edns:
        opt === undefined
          ? null
          : { udpBytes: Math.max(opt.class, PLAIN_UDP_BYTES), dnssecOk: (opt.ttlSeconds & DNSSEC_OK) !== 0 },
    };
    const version = opt === undefined ? 0 : (opt.ttlSeconds >>> 16) & 0xff;
    return version === 0 ? { query } : { refusal: errorReply(query, BAD_VERSION) };
  } catch (error) {
    if (error instanceof MalformedMessage) return bare(RCODE.formatError);
    throw error;
  }
}

export class MalformedMessage extends Error {}

/** The question of a message that has one, as text that tells equal questions: names compare without regard to case. */
export function questionKey(question: Buffer): string {
  const name = question
    .subarray(0, -4)
    .toString('latin1')
    .replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
  return name + question.subarray(-4).toString('latin1');
}

/**
 * Where the only question of a message ends.
 *
 * @throws MalformedMessage
 */
export function questionEnd(message: Buffer): number {
  let offset = HEADER_BYTES;
  for (;;) {
    const length = message[offset];
    // A pointer cannot point anywhere before the first name.
    if (length === undefined || length > 63) throw new MalformedMessage('a question with a broken name');
    offset += 1 + length;
    if (offset - HEADER_BYTES > MAX_NAME_BYTES) throw new MalformedMessage('a question with too long a name');
    if (length === 0) break;
  }
  if (offset + 4 > message.length) throw new MalformedMessage('a question that is cut off');
  return offset + 4;
}

/**
 * All records after the question.
 *
 * @throws MalformedMessage
 */
export function recordsOf(message: Buffer, start: number): DnsRecord[] {
  const records: DnsRecord[] = [];
  let offset = start;
  for (const [index, section] of (['answer', 'authority', 'additional'] as const).entries()) {
    for (let left = message.readUInt16BE(6 + 2 * index); left > 0; left--) {
      const fields = nameEnd(message, offset);
      const dataOffset = fields + 10;
      if (dataOffset > message.length) throw new MalformedMessage('a record that is cut off');
      const end = dataOffset + message.readUInt16BE(fields + 8);
      if (end > message.length) throw new MalformedMessage('a record that is cut off');
      records.push({
        section,
        offset,
        type: message.readUInt16BE(fields),
        class: message.readUInt16BE(fields + 2),
        ttlOffset: fields + 4,
        ttlSeconds: message.readUInt32BE(fields + 4),
        data: message.subarray(dataOffset, end),
      });
      offset = end;
    }
  }
  return records;
}

/** A query to a server that answers for others, with EDNS where `edns` is asked for. */
export function encodeQuery(query: DnsQuery, id: number, edns: boolean): Buffer {
  const start = header(id, query.flags, 1, edns ? 1 : 0);
  return Buffer.concat([start, query.question, ...(edns ? [optRecord(query.edns?.dnssecOk === true)] : [])]);
}

/** An answer without records. `rcode` beyond 15 reaches those with EDNS only. */
export function errorReply(query: DnsQuery, rcode: number): Buffer {
  const flags = FLAGS.response | FLAGS.available | query.flags | (rcode & FLAGS.rcode);
  const opt = query.edns === null ? [] : [optRecord(query.edns.dnssecOk, rcode >>> 4)];
  return Buffer.concat([header(query.id, flags, 1, opt.length), query.question, ...opt]);
}

/** An answer with as many of the records as fit; it is marked where some do not. */
export function encodeReply(query: DnsQuery, records: readonly Buffer[], maxBytes: number): Buffer {
  const opt = query.edns === null ? [] : [optRecord(query.edns.dnssecOk)];
  let room = maxBytes - HEADER_BYTES - query.question.length - (opt[0]?.length ?? 0);
  const fitting = records.filter(({ length }) => {
    room -= length;
    return room >= 0;
  });
  const truncated = fitting.length < records.length ? FLAGS.truncated : 0;
  const start = header(query.id, FLAGS.response | FLAGS.available | query.flags | truncated, 1, opt.length);
  start.writeUInt16BE(fitting.length, 6);
  return Buffer.concat([start, query.question, ...fitting, ...opt]);
}

/**
 * A server's response, freed of its OPT record, as the answer to a query: with the id and the very letters of the question,
 * lifetimes shortened by the age, and cut where the client takes no more bytes.
 */
export function replyFrom(response: Buffer, query: DnsQuery, ageSeconds: number, maxBytes: number): Buffer {
  const opt = query.edns === null ? null : optRecord(query.edns.dnssecOk);
  const isCut = response.length + (opt?.length ?? 0) > maxBytes;
  const end = HEADER_BYTES + query.question.length;
  const reply = Buffer.from(isCut ? response.subarray(0, end) : response);
  reply.writeUInt16BE(query.id, 0);
  // glibc passes over an empty answer of a server that says that it asks no others.
  reply.writeUInt16BE(reply.readUInt16BE(2) | FLAGS.available | (isCut ? FLAGS.truncated : 0), 2);
  query.question.copy(reply, HEADER_BYTES);
  if (isCut) {
    reply.fill(0, 6, HEADER_BYTES);
  } else if (ageSeconds > 0) {
    for (const { ttlOffset, ttlSeconds } of recordsOf(reply, end))
      reply.writeUInt32BE(Math.max(0, ttlSeconds - ageSeconds), ttlOffset);
  }
  if (opt === null) return reply;
  reply.writeUInt16BE(reply.readUInt16BE(10) + 1, 10);
  return Buffer.concat([reply, opt]);
}

/**
 * Takes the OPT record off a response: it is between this daemon and the server. It is the last record, or as good as: what
 * is additional may be left out.
 *
 * @throws MalformedMessage
 */
export function withoutOpt(response: Buffer, start: number): Buffer {
  const records = recordsOf(response, start);
  const index = records.findIndex(({ type }) => type === TYPE.opt);
  const opt = records[index];
  if (opt === undefined) return response;
  if (opt.section !== 'additional') throw new MalformedMessage('an OPT record where none belongs');
  const kept = Buffer.from(response.subarray(0, opt.offset));
  kept.writeUInt16BE(records.slice(0, index).filter(({ section }) => section === 'additional').length, 10);
  return kept;
}

function header(id: number, flags: number, questions: number, additionals = 0): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.writeUInt16BE(id, 0);
  bytes.writeUInt16BE(flags, 2);
  bytes.writeUInt16BE(questions, 4);
  bytes.writeUInt16BE(additionals, 10);
  return bytes;
}

function optRecord(dnssecOk: boolean, extendedRcode = 0): Buffer {
  const bytes = Buffer.alloc(11);
  bytes.writeUInt16BE(TYPE.opt, 1);
  bytes.writeUInt16BE(EDNS_UDP_BYTES, 3);
  bytes[5] = extendedRcode;
  bytes.writeUInt16BE(dnssecOk ? DNSSEC_OK : 0, 7);
  return bytes;
}

/** Where a name in a record ends; a pointer is its end. */
function nameEnd(message: Buffer, start: number): number {
  let offset = start;
  for (;;) {
    const length = message[offset];
    if (length === undefined || (length > 63 && length < 0xc0))
      throw new MalformedMessage('a record with a broken name');
    if (length >= 0xc0) return offset + 2;
    offset += 1 + length;
    if (offset - start > MAX_NAME_BYTES) throw new MalformedMessage('a record with too long a name');
    if (length === 0) return offset;
  }
}

/** Escapes keep a dot inside of a label apart from one between labels. */
function nameText(question: Buffer): string {
  const labels: string[] = [];
  for (let offset = 0, length = question[0] ?? 0; length > 0; length = question[offset] ?? 0) {
    const label = question.toString('latin1', offset + 1, offset + 1 + length);
    labels.push(label.replace(/[^\w-]/g, (byte) => `\\${String(byte.charCodeAt(0)).padStart(3, '0')}`).toLowerCase());
    offset += 1 + length;
  }
  return labels.join('.');
}
