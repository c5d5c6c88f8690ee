/**
 * Seccomp profiles in Docker's JSON format (moby profiles/seccomp): parsed, and resolved for one container. Pure; the
 * program itself is built by compile-seccomp.ts.
 */
import { TsdError } from '@tsd/shared/errors';
import type { CapabilityName } from './capabilities.ts';
import defaultProfile from './default-seccomp.json' with { type: 'json' };

/** One argument condition, seccomp_rule_add(3). */
export interface SeccompCondition {
  /** Number of the argument, 0–5. */
  readonly index: number;
  /** `SCMP_CMP_EQ` and so on. */
  readonly op: string;
  readonly value: bigint;
  readonly valueTwo: bigint;
}

export interface SeccompRule {
  readonly names: readonly string[];
  /** `SCMP_ACT_ALLOW` and so on. */
  readonly action: string;
  readonly errno: number | null;
  readonly conditions: readonly SeccompCondition[];
}

/** What remains of a profile once its conditions (capabilities, architecture, kernel) are decided. */
export interface SeccompRules {
  readonly defaultAction: string;
  readonly defaultErrno: number | null;
  /** Architectures besides the host's own whose system calls are filtered; all others are killed. */
  readonly architectures: readonly string[];
  readonly rules: readonly SeccompRule[];
}

export interface SeccompFacts {
  /** Node's name of the architecture. */
  readonly architecture: string;
  readonly kernel: { readonly major: number; readonly minor: number };
  readonly capabilities: readonly CapabilityName[];
}

/** Go's names of the architectures, which profiles use, and libseccomp's. */
const ARCHITECTURES: Readonly<Record<string, { readonly go: string; readonly seccomp: string }>> = {
  x64: { go: 'amd64', seccomp: 'SCMP_ARCH_X86_64' },
  arm64: { go: 'arm64', seccomp: 'SCMP_ARCH_AARCH64' },
  riscv64: { go: 'riscv64', seccomp: 'SCMP_ARCH_RISCV64' },
};

const ACTIONS = new Set([
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
]);

const OPERATORS = new Set([
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
]);

function refuse(reason: string): TsdError {
  return new TsdError('bad_parameter', `Decoding seccomp profile failed: ${reason}`);
}

/** Reads untyped JSON, naming the field in every complaint. */
function asObject(value: unknown, field: string): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw refuse(`${field} is no object`);
  return value as Record<string, unknown>;
}

function asList(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw refuse(`${field} is no list`);
  return value;
}

function asNames(value: unknown, field: string): string[] {
  return asList(value, field).map((item) => {
    if (typeof item !== 'string') throw refuse(`${field} holds something that is no string`);
    return item;
  });
}

function asNumber(value: unknown, field: string): number | null {
  if (value === undefined || value === null) return null;
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0) throw refuse(`${field} is no natural number`);
  return value;
}

function asErrno(value: unknown, field: string): number | null {
  const errno = asNumber(value, field);
  if (errno !== null && errno > 4095) throw refuse(`${field} is no error number`);
  return errno;
}

function asAction(value: unknown, field: string): string {
  if (typeof value !== 'string' || !ACTIONS.has(value))
    throw refuse(`${field}: unknown or unsupported action ${String(value)}`);
  return value;
}

function parseCondition(value: unknown, field: string): SeccompCondition {
  const { index, op, value: first, valueTwo } = asObject(value, field);
  const number = asNumber(index, `${field}.index`);
  if (number === null || number > 5) throw refuse(`${field}.index must be 0–5`);
  if (typeof op !== 'string' || !OPERATORS.has(op)) throw refuse(`${field}.op: unknown operator ${String(op)}`);
  return {
    index: number,
    op,
    value: BigInt(asNumber(first, `${field}.value`) ?? 0),
    valueTwo: BigInt(asNumber(valueTwo, `${field}.valueTwo`) ?? 0),
  };
}

function kernelAtLeast(facts: SeccompFacts, minimum: unknown): boolean {
  if (typeof minimum !== 'string') return true;
  const match = /^(\d+)\.(\d+)/.exec(minimum);
  if (match === null) throw refuse(`minKernel: ${minimum} is no kernel version`);
  const [major, minor] = [Number(match[1]), Number(match[2])];
  return facts.kernel.major > major || (facts.kernel.major === major && facts.kernel.minor >= minor);
}

/** Whether a rule's `includes` and `excludes` let it apply here (moby, setupSeccomp). */
function applies(rule: Readonly<Record<string, unknown>>, facts: SeccompFacts, field: string): boolean {
  const architecture = ARCHITECTURES[facts.architecture]?.go ?? facts.architecture;
  const capabilities: ReadonlySet<string> = new Set(facts.capabilities);
  const includes = rule['includes'] ? asObject(rule['includes'], `${field}.includes`) : {};
  const excludes = rule['excludes'] ? asObject(rule['excludes'], `${field}.excludes`) : {};
  const includedArches = asNames(includes['arches'], `${field}.includes.arches`);
  if (includedArches.length > 0 && !includedArches.includes(architecture)) return false;
  if (!asNames(includes['caps'], `${field}.includes.caps`).every((name) => capabilities.has(name))) return false;
  if (!kernelAtLeast(facts, includes['minKernel'])) return false;
  if (asNames(excludes['arches'], `${field}.excludes.arches`).includes(architecture)) return false;
  if (asNames(excludes['caps'], `${field}.excludes.caps`).some((name) => capabilities.has(name))) return false;
  return typeof excludes['minKernel'] !== 'string' || !kernelAtLeast(facts, excludes['minKernel']);
}

/** Architectures that the profile names besides the native one: `architectures`, or those in its `archMap`. */
function foreignArchitectures(profile: Readonly<Record<string, unknown>>, native: string): string[] {
  const named = asNames(profile['architectures'], 'architectures');
  const mapped = asList(profile['archMap'], 'archMap').flatMap((entry, index) => {
    const { architecture, subArchitectures } = asObject(entry, `archMap[${index}]`);
    return architecture === native ? asNames(subArchitectures, `archMap[${index}].subArchitectures`) : [];
  });
  if (named.length > 0 && mapped.length > 0) throw refuse("use either 'architectures' or 'archMap'");
  return [...named, ...mapped].filter((name) => name !== native);
}

function parseProfile(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw refuse(error instanceof Error ? error.message : String(error));
  }
}

/** The default profile's rules by architecture, kernel and capabilities; a host has one or two of these. */
const defaultRules = new Map<string, SeccompRules>();
const DEFAULT_RULES_LIMIT = 64;

function resolveDefaultProfile(facts: SeccompFacts): SeccompRules {
  const { architecture, kernel, capabilities } = facts;
  const key = [architecture, kernel.major, kernel.minor, ...capabilities.toSorted()].join();
  const known = defaultRules.get(key) ?? resolveProfile(defaultProfile, facts);
  if (defaultRules.size >= DEFAULT_RULES_LIMIT) defaultRules.clear();
  defaultRules.set(key, known);
  return known;
}

/**
 * The rules of a profile (JSON text; null: the default one) that hold for one container.
 * The default names no foreign architecture, so that 32-bit and x32 system calls, which would pass by the argument checks,
 * are killed; a profile of the user's own may name them.
 * @throws TsdError for a malformed profile, or one with an action that is not supported (notify).
 */
export function resolveSeccompProfile(text: string | null, facts: SeccompFacts): SeccompRules {
  return text === null ? resolveDefaultProfile(facts) : resolveProfile(parseProfile(text), facts);
}

function resolveProfile(value: unknown, facts: SeccompFacts): SeccompRules {
  const profile = asObject(value, 'the profile');
  if (profile['listenerPath']) throw refuse('listenerPath is not supported');
  const rules = asList(profile['syscalls'], 'syscalls').flatMap((entry, index): SeccompRule[] => {
    const field = `syscalls[${index}]`;
    const rule = asObject(entry, field);
    if (!applies(rule, facts, field)) return [];
    const name = rule['name'];
    const names = typeof name === 'string' && name !== '' ? [name] : asNames(rule['names'], `${field}.names`);
    return [
      {
        names,
        action: asAction(rule['action'], `${field}.action`),
        errno: asErrno(rule['errnoRet'], `${field}.errnoRet`),
        conditions: asList(rule['args'], `${field}.args`).map((condition, position) =>
          parseCondition(condition, `${field}.args[${position}]`),
        ),
      },
    ];
  });
  return {
    defaultAction: asAction(profile['defaultAction'], 'defaultAction'),
    defaultErrno: asErrno(profile['defaultErrnoRet'], 'defaultErrnoRet'),
    architectures: foreignArchitectures(profile, ARCHITECTURES[facts.architecture]?.seccomp ?? ''),
    rules,
  };
}
