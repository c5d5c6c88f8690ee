/** Builds BPF programs from resolved seccomp profiles, once per profile. */
import { createHash } from 'node:crypto';
import { constants } from 'node:os';
import { TsdError } from '@tsd/shared/errors';
import { type FilterCondition, resolveSyscall, SCMP_ACT, SCMP_CMP, SeccompFilter } from '../os/libseccomp.ts';
import type { SeccompRule, SeccompRules } from './seccomp-profile.ts';

/**
 * System calls that are newer than Debian 12's libseccomp 2.5.4. From 424 on every architecture uses the same numbers
 * (Linux, scripts/syscall.tbl).
 */
const NEWER_SYSCALLS: Readonly<Record<string, number>> = {
  futex_waitv: 449,
  set_mempolicy_home_node: 450,
  cachestat: 451,
  fchmodat2: 452,
  map_shadow_stack: 453,
  futex_wake: 454,
  futex_wait: 455,
  futex_requeue: 456,
  statmount: 457,
  listmount: 458,
  lsm_get_self_attr: 459,
  lsm_set_self_attr: 460,
  lsm_list_modules: 461,
  mseal: 462,
  setxattrat: 463,
  getxattrat: 464,
  listxattrat: 465,
  removexattrat: 466,
  open_tree_attr: 467,
  file_getattr: 468,
  file_setattr: 469,
};

const EPERM = constants.errno.EPERM;
const ENOSYS = constants.errno.ENOSYS;

/** AUDIT_ARCH_* as the filter sees it, linux/audit.h. */
const AUDIT_ARCHITECTURE: Readonly<Record<string, number>> = {
  x64: 0xc000_003e,
  arm64: 0xc000_00b7,
  riscv64: 0xc000_00f3,
};
/** From here on x86-64 numbers are x32's. */
const X32_BIT = 0x4000_0000;

function actionValue(action: string, errno: number | null): number {
  switch (action) {
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return SCMP_ACT.killThread;
    case 'SCMP_ACT_KILL_PROCESS':
      return SCMP_ACT.killProcess;
    case 'SCMP_ACT_TRAP':
      return SCMP_ACT.trap;
    case 'SCMP_ACT_ERRNO':
      return SCMP_ACT.errno | (errno ?? EPERM);
    case 'SCMP_ACT_TRACE':
      return SCMP_ACT.trace | (errno ?? EPERM);
    case 'SCMP_ACT_LOG':
      return SCMP_ACT.log;
    case 'SCMP_ACT_ALLOW':
      return SCMP_ACT.allow;
    default:
      throw new TsdError('bad_parameter', `seccomp profile: unsupported action ${action}`);
  }
}

/** One instruction, struct sock_filter (linux/filter.h). */
function instruction(code: number, jumpTrue: number, jumpFalse: number, k: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(jumpTrue, 2);
  bytes.writeUInt8(jumpFalse, 3);
  bytes.writeUInt32LE(k, 4);
  return bytes;
}

const LOAD_WORD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_GREATER = 0x25;
const JUMP_GREATER_EQUAL = 0x35;
const RETURN = 0x06;

/**
 * Answers ENOSYS for system calls newer than every one that the profile knows, as runc does: a C library then falls back to
 * the older call, which it does not for EPERM.
 */
function unknownSyscallsPrologue(architecture: string, newestSyscall: number): Buffer {
  const audit = AUDIT_ARCHITECTURE[architecture];
  if (audit === undefined) return Buffer.alloc(0);
  const skipX32 = architecture === 'x64' ? [instruction(JUMP_GREATER_EQUAL, 2, 0, X32_BIT)] : [];
  return Buffer.concat([
    instruction(LOAD_WORD, 0, 0, 4),
    instruction(JUMP_EQUAL, 0, 3 + skipX32.length, audit),
    instruction(LOAD_WORD, 0, 0, 0),
    ...skipX32,
    instruction(JUMP_GREATER, 0, 1, newestSyscall),
    instruction(RETURN, 0, 0, (SCMP_ACT.errno | ENOSYS) >>> 0),
  ]);
}

/** libseccomp takes each argument once per rule; a second condition on it makes a rule of its own, as in runc. */
function conditionSets(rule: SeccompRule): FilterCondition[][] {
  const conditions = rule.conditions.map(({ index, op, value, valueTwo }): FilterCondition => {
    // MASKED_EQ: the profile gives the mask first, then the value to compare with, and so does libseccomp.
    return { index, operator: SCMP_CMP[op] ?? 0, value, valueTwo };
  });
  const distinct = new Set(conditions.map(({ index }) => index)).size === conditions.length;
  return distinct ? [conditions] : conditions.map((condition) => [condition]);
}

function build(rules: SeccompRules): Uint8Array {
  const defaultAction = actionValue(rules.defaultAction, rules.defaultErrno) >>> 0;
  const architectures = rules.architectures.map((name) => name.replace(/^SCMP_ARCH_/, '').toLowerCase());
  const filter = new SeccompFilter(defaultAction, architectures);
  let newest = 0;
  try {
    for (const rule of rules.rules) {
      const action = actionValue(rule.action, rule.errno) >>> 0;
      for (const name of rule.names) {
        // Names that this kernel generation or architecture does not have are left out, as Docker does.
        const number = resolveSyscall(name) ?? NEWER_SYSCALLS[name];
        if (number === undefined) continue;
        newest = Math.max(newest, number);
        // libseccomp refuses a rule that does what happens anyway.
        if (action === defaultAction) continue;
        for (const conditions of conditionSets(rule)) filter.add(action, number, conditions);
      }
    }
    const program = filter.export();
    const denies = rules.defaultAction !== 'SCMP_ACT_ALLOW' && rules.defaultAction !== 'SCMP_ACT_LOG';
    return denies ? Buffer.concat([unknownSyscallsPrologue(process.arch, newest), program]) : program;
  } finally {
    filter.close();
  }
}

const CACHE_LIMIT = 64;

/** A compiler that keeps the programs that it built last (libseccomp takes some 2 ms for the default profile). */
export function createSeccompCompiler(): (rules: SeccompRules) => Uint8Array {
  const programs = new Map<string, Uint8Array>();
  /** The same rules, by identity: the default profile is resolved once for each set of capabilities. */
  const known = new WeakMap<SeccompRules, Uint8Array>();
  return (rules) => {
    const same = known.get(rules);
    if (same !== undefined) return same;
    const text = JSON.stringify(rules, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value));
    const key = createHash('sha256').update(text).digest('base64');
    const program = programs.get(key) ?? build(rules);
    // Put last: the first entry is the one that was not used for longest.
    programs.delete(key);
    programs.set(key, program);
    known.set(rules, program);
    const oldest = programs.keys().next().value;
    if (programs.size > CACHE_LIMIT && oldest !== undefined) programs.delete(oldest);
    return program;
  };
}
