/** The version 2 device controller: an eBPF program that decides about every open and mknod of a device in the cgroup
 * (Documentation/admin-guide/cgroup-v2.rst, "Device controller"; BPF_PROG_TYPE_CGROUP_DEVICE). */
import type { DeviceRule } from './plan-devices.ts';

/** Registers, and where the fields of struct bpf_cgroup_dev_ctx go. */
const R0 = 0;
const SCRATCH = 1;
const TYPE = 2;
const ACCESS = 3;
const MAJOR = 4;
const MINOR = 5;
/** The context comes in the register that is scratch later on. */
const CONTEXT = 1;

/** Opcodes, linux/bpf.h and bpf_common.h. */
const LOAD_WORD = 0x61;
const AND32 = 0x54;
const RIGHT_SHIFT32 = 0x74;
const MOVE32_REGISTER = 0xbc;
const MOVE = 0xb7;
const JUMP_UNEQUAL = 0x55;
const JUMP_UNEQUAL_REGISTER = 0x5d;
const EXIT = 0x95;

/** BPF_DEVCG_DEV_* and BPF_DEVCG_ACC_*. */
const TYPES = { b: 1, c: 2 } as const;
const ACCESSES: Readonly<Record<string, number>> = { m: 1, r: 2, w: 4 };
const ALL_ACCESSES = 7;

/** struct bpf_insn. */
interface Instruction {
  readonly code: number;
  readonly destination?: number;
  readonly source?: number;
  readonly offset?: number;
  readonly immediate?: number;
}

function encode({ code, destination = 0, source = 0, offset = 0, immediate = 0 }: Instruction): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt8(code, 0);
  bytes.writeUInt8(destination | (source << 4), 1);
  bytes.writeInt16LE(offset, 2);
  bytes.writeInt32LE(immediate, 4);
  return bytes;
}

function accessBits(access: string): number {
  return [...access].reduce((bits, letter) => bits | (ACCESSES[letter] ?? 0), 0);
}

const ALLOW: readonly Instruction[] = [{ code: MOVE, destination: R0, immediate: 1 }, { code: EXIT }];
const DENY: readonly Instruction[] = [{ code: MOVE, destination: R0, immediate: 0 }, { code: EXIT }];

/** The comparisons of one rule; each jumps past its ALLOW where it does not hold. */
function conditions(rule: DeviceRule): Instruction[] {
  const tests: Instruction[] = [];
  const wanted = accessBits(rule.access);
  if (rule.type !== 'a') tests.push({ code: JUMP_UNEQUAL, destination: TYPE, immediate: TYPES[rule.type] });
  if (wanted !== ALL_ACCESSES) {
    // Everything that is asked for must be among what is allowed.
    tests.push(
      { code: MOVE32_REGISTER, destination: SCRATCH, source: ACCESS },
      { code: AND32, destination: SCRATCH, immediate: wanted },
      { code: JUMP_UNEQUAL_REGISTER, destination: SCRATCH, source: ACCESS },
    );
  }
  if (rule.major !== null) tests.push({ code: JUMP_UNEQUAL, destination: MAJOR, immediate: rule.major });
  if (rule.minor !== null) tests.push({ code: JUMP_UNEQUAL, destination: MINOR, immediate: rule.minor });
  return tests.map((test, index) =>
    test.code === JUMP_UNEQUAL || test.code === JUMP_UNEQUAL_REGISTER
      ? { ...test, offset: tests.length - index - 1 + ALLOW.length }
      : test,
  );
}

/** The program (struct bpf_insn[]) that allows what any of the rules allows, and denies the rest. */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: Instruction[] = [
    { code: LOAD_WORD, destination: TYPE, source: CONTEXT, offset: 0 },
    { code: AND32, destination: TYPE, immediate: 0xffff },
    { code: LOAD_WORD, destination: ACCESS, source: CONTEXT, offset: 0 },
    { code: RIGHT_SHIFT32, destination: ACCESS, immediate: 16 },
    { code: LOAD_WORD, destination: MAJOR, source: CONTEXT, offset: 4 },
    { code: LOAD_WORD, destination: MINOR, source: CONTEXT, offset: 8 },
  ];
  for (const rule of rules) {
    const tests = conditions(rule);
    program.push(...tests, ...ALLOW);
    // The kernel refuses a program with instructions that nothing reaches.
    if (tests.length === 0) return Buffer.concat(program.map(encode));
  }
  return Buffer.concat([...program, ...DENY].map(encode));
}
