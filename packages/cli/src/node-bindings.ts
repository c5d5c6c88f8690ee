/**
 * libuv's pipes and Node's bits of a terminal, as node:net and node:tty have them from Node.js itself.
 *
 * Every command starts with a connection. `node:net` and the streams under it are 23 modules, of which Node.js compiles 90
 * functions anew in each process: 4 of the 44 ms of a `run`. What is left without them is this. process.binding is
 * deprecated in the documentation only (DEP0111); a Node.js without it fails every test of the client, and the pinned one has it.
 */

/** A request that libuv has taken; `oncomplete` gets 0 or a negative errno. It must be kept until then. */
interface HandleRequest {
  oncomplete: ((status: number) => void) | null;
  /** Memory that must stay until the request is complete. */
  held?: readonly Uint8Array[];
}

/** A libuv pipe (uv_pipe_t). Methods that return a number return 0 or a negative errno. */
export interface PipeHandle {
  /** Gets what was read, or nothing; how much, or which error, is in `streamBaseState`. */
  onread: ((memory: ArrayBuffer | undefined) => void) | null;
  connect(request: HandleRequest, path: string): number | undefined;
  readStart(): number;
  readStop(): number;
  writev(request: HandleRequest, chunks: readonly Uint8Array[], allBuffers: true): number;
  shutdown(request: HandleRequest): number;
  ref(): void;
  unref(): void;
  close(closed: () => void): void;
}

interface PipeBinding {
  readonly Pipe: new (type: number) => PipeHandle;
  readonly PipeConnectWrap: new () => HandleRequest;
  readonly constants: { readonly SOCKET: number };
}

interface StreamBinding {
  readonly WriteWrap: new () => HandleRequest;
  readonly ShutdownWrap: new () => HandleRequest;
  /** The outcome of the last call, by the indexes that follow. */
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kArrayBufferOffset: number;
  readonly kLastWriteWasAsync: number;
}

interface TerminalBinding {
  isTTY(descriptor: number): boolean;
}

const { binding } = process as unknown as {
  binding(name: 'pipe_wrap'): PipeBinding;
  binding(name: 'stream_wrap'): StreamBinding;
  binding(name: 'tty_wrap'): TerminalBinding;
};

export const { Pipe, PipeConnectWrap, constants: pipeTypes } = binding('pipe_wrap');
export const streams = binding('stream_wrap');
/** isatty(3). */
export const isTerminal: (descriptor: number) => boolean = binding('tty_wrap').isTTY;
