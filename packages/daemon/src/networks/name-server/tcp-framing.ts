/** Messages in a TCP stream: two bytes of length before each (RFC 1035 section 4.2.2). */

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(message.length);
  return Buffer.concat([length, message]);
}

/** Puts chunks together to messages; keeps no more than one message and a chunk. */
export function createMessageReader(onMessage: (message: Buffer) => void): (chunk: Buffer) => void {
  let parts: Buffer[] = [];
  let bytes = 0;
  /** Of the message that is awaited, with its length field; 2 until that is known. */
  let wanted = 2;
  return (chunk) => {
    parts.push(chunk);
    bytes += chunk.length;
    if (bytes < wanted) return;
    const joined = Buffer.concat(parts, bytes);
    let offset = 0;
    for (;;) {
      const left = bytes - offset;
      wanted = left < 2 ? 2 : 2 + joined.readUInt16BE(offset);
      if (left < wanted) break;
      onMessage(joined.subarray(offset + 2, offset + wanted));
      offset += wanted;
    }
    parts = [joined.subarray(offset)];
    bytes -= offset;
  };
}
