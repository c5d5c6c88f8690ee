/**
 * zlib's inflate, out of the Node binary itself, which exports it for addons. Node's own streams take a new buffer for each
 * piece: for a layer of some hundred megabytes that is more work for the garbage collector than for zlib.
 */
import koffi from 'koffi';

const node = koffi.load(null);
const zlibVersion = node.func('const char *zlibVersion()') as () => string;
const inflateInit2 = node.func('int inflateInit2_(void *strm, int windowBits, const char *version, int size)') as (
  stream: unknown,
  windowBits: number,
  version: string,
  sizeBytes: number,
) => number;
const inflateReset = node.func('int inflateReset(void *strm)') as (stream: unknown) => number;
const inflateEnd = node.func('int inflateEnd(void *strm)') as (stream: unknown) => number;
const inflate = node.func('int inflate(void *strm, int flush)') as (stream: unknown, flush: number) => number;

const Z_OK = 0;
const Z_STREAM_END = 1;
const Z_NO_FLUSH = 0;
/** No progress was possible: more input is needed. */
const Z_BUF_ERROR = -5;
const ERROR_NAMES: Readonly<Record<number, string>> = { 2: 'Z_NEED_DICT', [-3]: 'Z_DATA_ERROR', [-4]: 'Z_MEM_ERROR' };

/** zlib's largest window, gzip format only (zlib.h, inflateInit2). */
const GZIP_WINDOW_BITS = 15 + 16;

// z_stream on 64-bit Linux (zlib.h).
const STREAM_BYTES = 112;
const NEXT_IN = 0;
const AVAIL_IN = 8;
const NEXT_OUT = 24;
const AVAIL_OUT = 32;

/** Memory with an address that stays. */
interface NativeMemory {
  readonly pointer: unknown;
  readonly address: bigint;
  readonly bytes: Buffer;
}

/** `code` is zlib's name of the error. */
export class InflateError extends Error {
  override readonly name = 'InflateError';
  readonly code: string;

  constructor(code: string) {
    super(`inflate: ${code}`);
    this.code = code;
  }
}

/** One gzip file being decompressed, with buffers of its own. To be closed. */
export class Inflater {
  private readonly stream = allocate(STREAM_BYTES);
  private readonly input: NativeMemory;
  private readonly output: NativeMemory;

  constructor(sizes: { readonly inputBytes: number; readonly outputBytes: number }) {
    this.input = allocate(sizes.inputBytes);
    this.output = allocate(sizes.outputBytes);
    this.stream.bytes.fill(0);
    this.check(inflateInit2(this.stream.pointer, GZIP_WINDOW_BITS, zlibVersion(), STREAM_BYTES));
  }

  /** Bytes of the input that are not used yet. */
  get inputBytes(): number {
    return this.stream.bytes.readUInt32LE(AVAIL_IN);
  }

  /** The next unused byte of the input; there must be one. */
  get nextByte(): number {
    return this.input.bytes[Number(this.stream.bytes.readBigUInt64LE(NEXT_IN) - this.input.address)] as number;
  }

  /** Takes new input, all of the former being used; returns how much of it fitted in. */
  give(piece: Buffer): number {
    const taken = piece.copy(this.input.bytes);
    this.stream.bytes.writeBigUInt64LE(this.input.address, NEXT_IN);
    this.stream.bytes.writeUInt32LE(taken, AVAIL_IN);
    return taken;
  }

  /**
   * Decompresses until the input is used up, the output is full or the member ends. `data` is valid until the next call.
   * @throws InflateError
   */
  next(): { data: Buffer; isEnd: boolean } {
    const { address, bytes } = this.output;
    this.stream.bytes.writeBigUInt64LE(address, NEXT_OUT);
    this.stream.bytes.writeUInt32LE(bytes.length, AVAIL_OUT);
    const code = inflate(this.stream.pointer, Z_NO_FLUSH);
    if (code !== Z_BUF_ERROR) this.check(code);
    const data = bytes.subarray(0, bytes.length - this.stream.bytes.readUInt32LE(AVAIL_OUT));
    return { data, isEnd: code === Z_STREAM_END };
  }

  /** Begins with the next member of the file. */
  reset(): void {
    this.check(inflateReset(this.stream.pointer));
  }

  /** Gives its memory back: what it gave out must not be looked at any longer. */
  close(): void {
    inflateEnd(this.stream.pointer);
    for (const { pointer } of [this.stream, this.input, this.output]) koffi.free(pointer);
  }

  private check(code: number): void {
    if (code !== Z_OK && code !== Z_STREAM_END) throw new InflateError(ERROR_NAMES[code] ?? `Z_ERROR ${code}`);
  }
}

function allocate(sizeBytes: number): NativeMemory {
  const pointer = koffi.alloc('uint8_t', sizeBytes);
  return { pointer, address: koffi.address(pointer), bytes: Buffer.from(koffi.view(pointer, sizeBytes)) };
}
