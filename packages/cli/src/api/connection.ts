/** A stream connection to a Unix socket: unix(7) by way of libuv, without Node's stream classes (see node-bindings.ts). */
import { getSystemErrorName } from 'node:util';
import { Pipe, PipeConnectWrap, type PipeHandle, pipeTypes, streams } from '../node-bindings.ts';

/** Whoever has the connection at the moment. */
export interface ConnectionUser {
  data(chunk: Buffer): void;
  /** Nothing more comes: the other side said so, or this side closed the connection. */
  end(): void;
  /** It could not be made or is broken; `syscall` is `connect` or `read`. Nothing comes after it but the end. */
  error(error: NodeJS.ErrnoException): void;
}

/** Bytes that may wait to be sent before `write` answers false. */
const QUEUED_BYTES = 64 * 1024;

export class Connection {
  readonly #handle: PipeHandle = new Pipe(pipeTypes.SOCKET);
  readonly #path: string;
  #user: ConnectionUser | undefined;
  #connected = false;
  #paused = false;
  #ended = false;
  #closed = false;
  #bytesRead = 0;
  #queuedBytes = 0;
  #waiting: (() => void)[] = [];

  /** Connects. What goes wrong is told to the user of the connection later; what is written until then is sent afterwards. */
  constructor(path: string) {
    this.#path = path;
    this.#handle.onread = (memory) => this.#onRead(memory);
    const request = new PipeConnectWrap();
    request.oncomplete = (status) => this.#onConnect(status);
    const status = this.#handle.connect(request, path) ?? 0;
    if (status !== 0) setImmediate(() => this.#onConnect(status));
  }

  /** How much came so far. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** Whether the other side has ended its direction. */
  get ended(): boolean {
    return this.#ended;
  }

  get closed(): boolean {
    return this.#closed;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** From now on `user` gets what comes, and nobody else. */
  hand(user: ConnectionUser): void {
    this.#user = user;
  }

  /**
   * Sends the chunks, whose memory must not change until it is sent; false while much is waiting (see `sent`). Where the other
   * side no longer reads, what is written is dropped: it may have answered before, and the answer can still be read.
   */
  write(...chunks: readonly Uint8Array[]): boolean {
    if (this.#closed) return true;
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const request = new streams.WriteWrap();
    request.held = chunks;
    request.oncomplete = () => {
      this.#queuedBytes -= size;
      if (this.#queuedBytes === 0) this.#wake();
    };
    const status = this.#handle.writev(request, chunks, true);
    if (status === 0 && streams.streamBaseState[streams.kLastWriteWasAsync] === 1) this.#queuedBytes += size;
    return this.#queuedBytes < QUEUED_BYTES;
  }

  /** Resolves when everything written is sent or cannot be sent any more. */
  async sent(): Promise<void> {
    if (this.#queuedBytes > 0) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Ends this direction after what was written (shutdown(2)). */
  endWriting(): void {
    if (this.#closed) return;
    const request = new streams.ShutdownWrap();
    request.oncomplete = noop;
    this.#handle.shutdown(request);
  }

  pause(): void {
    this.#paused = true;
    if (this.#connected && !this.#closed) this.#handle.readStop();
  }

  resume(): void {
    this.#paused = false;
    if (this.#connected && !this.#ended && !this.#closed) this.#handle.readStart();
  }

  /** Keeps the process alive, which is how a connection begins. */
  ref(): void {
    if (!this.#closed) this.#handle.ref();
  }

  unref(): void {
    if (!this.#closed) this.#handle.unref();
  }

  /** Closes both directions; the user is told the end if it was not yet. May be called repeatedly. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handle.close(() => {
      this.#wake();
      this.#end();
    });
  }

  #onConnect(status: number): void {
    if (this.#closed) return;
    if (status !== 0) {
      this.#fail('connect', status);
      return;
    }
    this.#connected = true;
    if (!this.#paused) this.#handle.readStart();
  }

  #onRead(memory: ArrayBuffer | undefined): void {
    const size = streams.streamBaseState[streams.kReadBytesOrError] ?? 0;
    if (this.#closed || size === 0) return;
    if (size > 0 && memory !== undefined) {
      this.#bytesRead += size;
      this.#user?.data(Buffer.from(memory, streams.streamBaseState[streams.kArrayBufferOffset], size));
      return;
    }
    this.#handle.readStop();
    if (getSystemErrorName(size) === 'EOF') this.#end();
    else this.#fail('read', size);
  }

  #fail(syscall: string, status: number): void {
    const code = getSystemErrorName(status);
    this.#user?.error(Object.assign(new Error(`${syscall} ${code} ${this.#path}`), { code, errno: status, syscall }));
    this.close();
  }

  #end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#user?.end();
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

function noop(): void {
  // Nothing to do.
}
