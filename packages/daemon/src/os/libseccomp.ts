/** libseccomp through koffi: builds system call filters and exports them as BPF, seccomp_init(3) and its neighbours. */
import { closeSync, fstatSync, readSync } from 'node:fs';
import koffi from 'koffi';
import { errnoName } from './libc.ts';
import { createMemfd } from './memfd.ts';

/** Values of seccomp.h. */
export const SCMP_ACT = {
  killProcess: 0x8000_0000,
  killThread: 0x0000_0000,
  trap: 0x0003_0000,
  errno: 0x0005_0000,
  trace: 0x7ff0_0000,
  log: 0x7ffc_0000,
  allow: 0x7fff_0000,
} as const;

export const SCMP_CMP: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

const ATTRIBUTE = { badArchitecture: 2, optimize: 8 } as const;
/** A binary tree instead of a list of comparisons. */
const OPTIMIZE_BINARY_TREE = 2;
const EEXIST = 17;

export interface FilterCondition {
  readonly index: number;
  readonly operator: number;
  readonly value: bigint;
  readonly valueTwo: bigint;
}

interface Bindings {
  init: (action: number) => unknown;
  release: (context: unknown) => void;
  setAttribute: (context: unknown, attribute: number, value: number) => number;
  addArchitecture: (context: unknown, token: number) => number;
  resolveArchitecture: (name: string) => number;
  resolveSyscall: (name: string) => number;
  addRule: (context: unknown, action: number, syscall: number, count: number, conditions: unknown) => number;
  exportBpf: (context: unknown, descriptor: number) => number;
}

let bindings: Bindings | undefined;

/** Loaded at the first use, so that a host without the library can still run unconfined containers. */
function load(): Bindings {
  if (bindings !== undefined) return bindings;
  const library = koffi.load('libseccomp.so.2');
  const condition = koffi.struct({ arg: 'uint32_t', op: 'int', datum_a: 'uint64_t', datum_b: 'uint64_t' });
  bindings = {
    init: library.func('seccomp_init', 'void *', ['uint32_t']),
    release: library.func('seccomp_release', 'void', ['void *']),
    setAttribute: library.func('seccomp_attr_set', 'int', ['void *', 'int', 'uint32_t']),
    addArchitecture: library.func('seccomp_arch_add', 'int', ['void *', 'uint32_t']),
    resolveArchitecture: library.func('seccomp_arch_resolve_name', 'uint32_t', ['str']),
    resolveSyscall: library.func('seccomp_syscall_resolve_name', 'int', ['str']),
    addRule: library.func('seccomp_rule_add_array', 'int', [
      'void *',
      'uint32_t',
      'int',
      'unsigned int',
      koffi.pointer(condition),
    ]),
    exportBpf: library.func('seccomp_export_bpf', 'int', ['void *', 'int']),
  };
  return bindings;
}

/** libseccomp answers a negative errno. */
function checkedResult(call: string, result: number): void {
  if (result < 0) throw new Error(`${call}: ${errnoName(-result)}`);
}

/** Number of a system call on this architecture, negative (a pseudo number) where it has none; null where the library does
 * not know the name. */
export function resolveSyscall(name: string): number | null {
  const number = load().resolveSyscall(name);
  return number === -1 ? null : number;
}

/** A filter under construction. Close it. */
export class SeccompFilter {
  readonly #context: unknown;

  /** `architectures`: short names of those besides the native one. Calls of all others kill the process. */
  constructor(defaultAction: number, architectures: readonly string[]) {
    const { init, setAttribute, addArchitecture, resolveArchitecture } = load();
    const context = init(defaultAction);
    if (context === null) throw new Error('seccomp_init failed');
    this.#context = context;
    checkedResult('seccomp_attr_set', setAttribute(context, ATTRIBUTE.badArchitecture, SCMP_ACT.killProcess));
    checkedResult('seccomp_attr_set', setAttribute(context, ATTRIBUTE.optimize, OPTIMIZE_BINARY_TREE));
    for (const name of architectures) {
      const token = resolveArchitecture(name);
      if (token === 0) throw new Error(`seccomp_arch_resolve_name: unknown architecture ${name}`);
      const result = addArchitecture(context, token);
      if (result !== -EEXIST) checkedResult('seccomp_arch_add', result);
    }
  }

  /** Adds a rule whose conditions must all hold. A rule that is there already is no error. */
  add(action: number, syscall: number, conditions: readonly FilterCondition[]): void {
    const encoded = conditions.map(({ index, operator, value, valueTwo }) => ({
      arg: index,
      op: operator,
      datum_a: value,
      datum_b: valueTwo,
    }));
    const result = load().addRule(
      this.#context,
      action,
      syscall,
      encoded.length,
      encoded.length === 0 ? null : encoded,
    );
    if (result !== -EEXIST) checkedResult(`seccomp_rule_add_array (system call ${syscall})`, result);
  }

  /** The program, struct sock_filter[]. */
  export(): Buffer {
    const descriptor = createMemfd('tsd-seccomp');
    try {
      checkedResult('seccomp_export_bpf', load().exportBpf(this.#context, descriptor));
      const program = Buffer.alloc(fstatSync(descriptor).size);
      readSync(descriptor, program, 0, program.length, 0);
      return program;
    } finally {
      closeSync(descriptor);
    }
  }

  close(): void {
    load().release(this.#context);
  }
}
