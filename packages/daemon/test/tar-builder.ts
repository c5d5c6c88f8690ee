/** Builds tar archives byte by byte, well-formed ones and others, for the tests of the parser and the layer store. */

export interface TarMember {
  readonly name: string;
  /** The type flag; a file by default. */
  readonly type?: string;
  readonly linkName?: string;
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  /** Goes into the size field instead of the data's length. */
  readonly size?: number;
  readonly mtime?: number;
  readonly major?: number;
  readonly minor?: number;
  readonly prefix?: string;
  readonly magic?: 'posix' | 'gnu' | 'none';
  readonly data?: Buffer | string;
  /** Overwrites bytes of the header before the checksum is made. */
  readonly patch?: (header: Buffer) => void;
}

function octal(value: number, length: number): string {
  return `${value.toString(8).padStart(length - 1, '0')}\0`;
}

function numeric(header: Buffer, value: number, at: number, length: number): void {
  if (value >= 0 && value < 8 ** (length - 1)) header.write(octal(value, length), at, 'latin1');
  else {
    let rest = BigInt.asUintN(length * 8, BigInt(value));
    for (let i = length - 1; i >= 0; i--) {
      header[at + i] = Number(rest & 0xffn);
      rest >>= 8n;
    }
    header[at] = (header[at] as number) | 0x80;
  }
}

/** Recomputes the checksum of a header block. */
export function seal(header: Buffer): Buffer {
  header.fill(0x20, 148, 156);
  let sum = 0;
  for (const byte of header) sum += byte;
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return header;
}

/** Header, data and padding of one member. Names are latin1: one character a byte. */
export function member(options: TarMember): Buffer {
  const data =
    typeof options.data === 'string' ? Buffer.from(options.data, 'latin1') : (options.data ?? Buffer.alloc(0));
  const header = Buffer.alloc(512);
  header.write(options.name, 0, 100, 'latin1');
  numeric(header, options.mode ?? 0o644, 100, 8);
  numeric(header, options.uid ?? 0, 108, 8);
  numeric(header, options.gid ?? 0, 116, 8);
  numeric(header, options.size ?? data.length, 124, 12);
  numeric(header, options.mtime ?? 1_600_000_000, 136, 12);
  header.write(options.type ?? '0', 156, 'latin1');
  header.write(options.linkName ?? '', 157, 100, 'latin1');
  const magic = options.magic ?? 'posix';
  if (magic === 'posix') header.write('ustar\x0000', 257, 'latin1');
  if (magic === 'gnu') header.write('ustar  \0', 257, 'latin1');
  if (magic !== 'none') {
    numeric(header, options.major ?? 0, 329, 8);
    numeric(header, options.minor ?? 0, 337, 8);
    header.write(options.prefix ?? '', 345, 155, 'latin1');
  }
  options.patch?.(header);
  seal(header);
  return Buffer.concat([header, data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

/** PAX records; values as bytes in latin1. */
export function paxRecords(records: readonly (readonly [string, string])[]): Buffer {
  return Buffer.concat(
    records.map(([key, value]) => {
      const rest = ` ${key}=${value}\n`;
      let length = rest.length + 1;
      while (String(length).length + rest.length !== length) length++;
      return Buffer.from(`${length}${rest}`, 'latin1');
    }),
  );
}

export function pax(records: readonly (readonly [string, string])[], type: 'x' | 'g' = 'x'): Buffer {
  return member({ name: 'PaxHeaders/x', type, data: paxRecords(records) });
}

export const END = Buffer.alloc(1024);

export function archive(...parts: readonly (Buffer | TarMember)[]): Buffer {
  return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : member(part))), END]);
}
