/** Puts netlink messages together, netlink(7): a header, a fixed part, and attributes in their order. */

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;

/** An attribute (struct nlattr), encoded and padded. */
export type EncodedAttribute = Buffer;

/**
 * A whole message; NLM_F_REQUEST and NLM_F_ACK are added to the flags. Sequence number and port are 0: whoever sends it
 * sets the first, the kernel knows the second.
 */
export function netlinkMessage(
  type: number,
  flags: number,
  fixedPart: Buffer,
  attributes: readonly EncodedAttribute[] = [],
): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  const message = Buffer.concat([header, fixedPart, ...attributes]);
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE(type, 4);
  message.writeUInt16LE(flags | NLM_F_REQUEST | NLM_F_ACK, 6);
  return message;
}

/** The length in the header leaves the padding out. */
export function attribute(type: number, value: Uint8Array): EncodedAttribute {
  const length = ATTRIBUTE_HEADER_BYTES + value.length;
  const bytes = Buffer.alloc((length + 3) & ~3);
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, ATTRIBUTE_HEADER_BYTES);
  return bytes;
}

export function nested(type: number, attributes: readonly EncodedAttribute[]): EncodedAttribute {
  return attribute(type, Buffer.concat(attributes));
}

export function u8Attribute(type: number, value: number): EncodedAttribute {
  return attribute(type, Buffer.from([value]));
}

export function u32Attribute(type: number, value: number): EncodedAttribute {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return attribute(type, bytes);
}

/** With the NUL at its end. */
export function textAttribute(type: number, value: string): EncodedAttribute {
  return attribute(type, Buffer.from(`${value}\0`));
}
