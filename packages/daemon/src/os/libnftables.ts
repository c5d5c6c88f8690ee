/** libnftables through koffi: runs nft's commands inside the daemon, libnftables(3). */
import koffi, { type LibraryHandle } from 'koffi';

const OUTPUT_HANDLE = 1 << 3;
const OUTPUT_JSON = 1 << 4;
const OUTPUT_NUMERIC_PROTOCOL = 1 << 7;
const OUTPUT_TERSE = 1 << 11;

interface Bindings {
  create: (flags: number) => unknown;
  free: (context: unknown) => void;
  bufferOutput: (context: unknown) => number;
  bufferError: (context: unknown) => number;
  output: (context: unknown) => string;
  error: (context: unknown) => string;
  setFlags: (context: unknown, flags: number) => void;
  run: ReturnType<LibraryHandle['func']>;
}

let bindings: Bindings | undefined;

/** Loaded at the first use: a host without the library can still run containers without a network of their own. */
function load(): Bindings {
  if (bindings !== undefined) return bindings;
  let library: LibraryHandle;
  try {
    library = koffi.load('libnftables.so.1');
  } catch (error) {
    throw new Error(
      `networks need libnftables.so.1, which cannot be loaded: install libnftables1 (Debian) or nftables (${
        error instanceof Error ? error.message : String(error)
      })`,
    );
  }
  bindings = {
    create: library.func('nft_ctx_new', 'void *', ['uint32_t']),
    free: library.func('nft_ctx_free', 'void', ['void *']),
    bufferOutput: library.func('nft_ctx_buffer_output', 'int', ['void *']),
    bufferError: library.func('nft_ctx_buffer_error', 'int', ['void *']),
    output: library.func('nft_ctx_get_output_buffer', 'str', ['void *']),
    error: library.func('nft_ctx_get_error_buffer', 'str', ['void *']),
    setFlags: library.func('nft_ctx_output_set_flags', 'void', ['void *', 'unsigned int']),
    run: library.func('nft_run_cmd_from_buffer', 'int', ['void *', 'str']),
  };
  return bindings;
}

/** Commands that the kernel or the library refused; none of them took effect. */
export class NftablesError extends Error {
  override readonly name = 'NftablesError';
}

export interface Nftables {
  /**
   * Runs commands as one transaction, in a thread of its own: the kernel may have to wait for others. Calls follow one
   * another.
   *
   * @throws NftablesError with nft's own words
   */
  run(commands: string): Promise<void>;
  /** What commands print as JSON, libnftables-json(5), with handles: the `nftables` array without its metainfo. */
  read(
    commands: string,
    options?: { readonly withElements: boolean },
  ): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** Call it when nothing runs any more. */
  close(): void;
}

/** A context in the network namespace of the calling thread. Throws where the library is missing. */
export function openNftables(): Nftables {
  const { create, free, bufferOutput, bufferError, output, error, setFlags, run } = load();
  const context = create(0);
  if (context === null)
    throw new Error('nft_ctx_new failed: not enough memory, or no netfilter socket (CAP_NET_ADMIN)');
  if (bufferOutput(context) !== 0 || bufferError(context) !== 0) {
    free(context);
    throw new Error('libnftables: not enough memory');
  }
  let last: Promise<unknown> = Promise.resolve();

  // A context may be used by one thread at a time.
  const inTurn = (commands: string, flags: number): Promise<string> => {
    const turn = last.then(async () => {
      setFlags(context, flags);
      const result = await new Promise<number>((resolve, reject) => {
        run.async(context, commands, (failure: unknown, value: number) => (failure ? reject(failure) : resolve(value)));
      });
      // Both buffers are emptied by the next command only.
      const printed = output(context);
      if (result !== 0) throw new NftablesError(firstWords(error(context)));
      return printed;
    });
    last = turn.catch(() => undefined);
    return turn;
  };

  return {
    async run(commands) {
      await inTurn(commands, 0);
    },
    async read(commands, { withElements } = { withElements: true }) {
      const flags = OUTPUT_JSON | OUTPUT_HANDLE | OUTPUT_NUMERIC_PROTOCOL | (withElements ? 0 : OUTPUT_TERSE);
      const printed = await inTurn(commands, flags);
      const { nftables } = JSON.parse(printed || '{"nftables":[]}') as { nftables: Record<string, unknown>[] };
      return nftables.filter((object) => !('metainfo' in object));
    },
    close: () => free(context),
  };
}

/** nft repeats the command at fault under its message: hundreds of elements. */
function firstWords(message: string): string {
  const line = message.split('\n').find((text) => text !== '') ?? 'nft failed without a message';
  return line.replace(/^[^:]*:\d+:\d+-\d+: /, '').slice(0, 500);
}
