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
const inflate = node.func('int inflate(void *strm, int flush)') as {
  async(stream: unknown, flush: number, callback: (error: Error | null, result: number) => void): void;
};

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

/** One gzip stream being decompressed, with buffers of its own. To be closed, once no call is under way. */
export class Inflater {
  private readonly stream = allocate(STREAM_BYTES);
  private readonly input: NativeMemory;
  private readonly outputs: readonly NativeMemory[];
  private closed = false;

  constructor(sizes: { readonly inputBytes: number; readonly outputBytes: number; readonly outputs: number }) {
    this.input = allocate(sizes.inputBytes);
    this.outputs = Array.from({ length: sizes.outputs }, () => allocate(sizes.outputBytes));
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

  output(index: number): Buffer {
    return (this.outputs[index] as NativeMemory).bytes;
  }

  /**
   * Decompresses, in a thread of libuv's pool, from the input into an output from `filled` on, until one of both is used up or
   * the stream ends. @throws InflateError
   */
  async fill(index: number, filled: number): Promise<{ filled: number; isEnd: boolean }> {
    const { address, bytes } = this.outputs[index] as NativeMemory;
    this.stream.bytes.writeBigUInt64LE(address + BigInt(filled), NEXT_OUT);
    this.stream.bytes.writeUInt32LE(bytes.length - filled, AVAIL_OUT);
    const code = await new Promise<number>((resolve, reject) => {
      inflate.async(this.stream.pointer, Z_NO_FLUSH, (error, result) => (error ? reject(error) : resolve(result)));
    });
    if (code !== Z_BUF_ERROR) this.check(code);
    return { filled: bytes.length - this.stream.bytes.readUInt32LE(AVAIL_OUT), isEnd: code === Z_STREAM_END };
  }

  /** Begins with the next member of the file. */
  reset(): void {
    this.check(inflateReset(this.stream.pointer));
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    inflateEnd(this.stream.pointer);
    for (const { pointer } of [this.stream, this.input, ...this.outputs]) koffi.free(pointer);
  }

  private check(code: number): void {
    if (code !== Z_OK && code !== Z_STREAM_END) throw new InflateError(ERROR_NAMES[code] ?? `Z_ERROR ${code}`);
  }
}

function allocate(sizeBytes: number): NativeMemory {
  const pointer = koffi.alloc('uint8_t', sizeBytes);
  return { pointer, address: koffi.address(pointer), bytes: Buffer.from(koffi.view(pointer, sizeBytes)) };
}
