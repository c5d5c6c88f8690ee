import t from 'tap';
import { CAPABILITY_NAMES, type CapabilityName, DEFAULT_CAPABILITIES } from '../src/runtime/capabilities.ts';
import { createSeccompCompiler } from '../src/runtime/compile-seccomp.ts';
import { resolveSeccompProfile } from '../src/runtime/seccomp-profile.ts';

const ALLOW = 0x7fff0000;
const KILL_PROCESS = 0x80000000;
const ERRNO = 0x00050000;
const EPERM = 1;
const ENOSYS = 38;
const AUDIT_X64 = 0xc000003e;
const AUDIT_I386 = 0x40000003;

/** Runs a classic BPF program on a system call as seccomp(2) does: struct seccomp_data is nr, arch, ip, six arguments. */
function evaluate(program: Uint8Array, nr: number, args: readonly bigint[] = [], arch = AUDIT_X64): number {
  const data = Buffer.alloc(64);
  data.writeInt32LE(nr | 0, 0);
  data.writeUInt32LE(arch, 4);
  for (const [index, value] of args.entries()) data.writeBigUInt64LE(BigInt.asUintN(64, value), 16 + 8 * index);
  const code = Buffer.from(program);
  let accumulator = 0;
  for (let at = 0; ; at += 1) {
    const op = code.readUInt16LE(at * 8);
    const [yes, no, k] = [code.readUInt8(at * 8 + 2), code.readUInt8(at * 8 + 3), code.readUInt32LE(at * 8 + 4)];
    const jump = (taken: boolean): number => (taken ? yes : no);
    switch (op) {
      case 0x20:
        accumulator = data.readUInt32LE(k);
        break;
      case 0x54:
        accumulator = (accumulator & k) >>> 0;
        break;
      case 0x05:
        at += k;
        break;
      case 0x15:
        at += jump(accumulator === k);
        break;
      case 0x25:
        at += jump(accumulator > k);
        break;
      case 0x35:
        at += jump(accumulator >= k);
        break;
      case 0x06:
        return k;
      default:
        throw new Error(`instruction ${at}: unexpected code 0x${op.toString(16)}`);
    }
  }
}

const facts = (capabilities: readonly CapabilityName[] = DEFAULT_CAPABILITIES) => ({
  architecture: 'x64',
  kernel: { major: 6, minor: 18 },
  capabilities,
});

const onX64 = process.arch === 'x64' ? {} : { skip: 'the expected numbers are those of x86-64' };

t.test('the default profile', onX64, async (t) => {
  const compile = createSeccompCompiler();
  const program = compile(resolveSeccompProfile(null, facts()));
  t.ok(program.length % 8 === 0 && program.length / 8 <= 4096, 'is a program that the kernel takes');

  const expectations: readonly (readonly [what: string, nr: number, args: readonly bigint[], result: number])[] = [
    ['read', 0, [], ALLOW],
    ['execve', 59, [], ALLOW],
    ['ptrace on a kernel ≥ 4.8', 101, [], ALLOW],
    ['fchmodat2, newer than the library', 452, [], ALLOW],
    ['mount', 165, [], ERRNO | EPERM],
    ['umount2', 166, [], ERRNO | EPERM],
    ['keyctl', 250, [], ERRNO | EPERM],
    ['bpf', 321, [], ERRNO | EPERM],
    ['userfaultfd', 323, [], ERRNO | EPERM],
    ['unshare', 272, [], ERRNO | EPERM],
    ['clone of a thread', 56, [0x3d0f00n], ALLOW],
    ['clone of a user namespace', 56, [0x10000000n], ERRNO | EPERM],
    ['clone3, whose flags a filter cannot see', 435, [], ERRNO | ENOSYS],
    ['a system call that does not exist yet', 1000, [], ERRNO | ENOSYS],
    ['socket AF_INET', 41, [2n], ALLOW],
    ['socket AF_ALG', 41, [38n], ERRNO | EPERM],
    ['socket AF_VSOCK', 41, [40n], ERRNO | EPERM],
    ['personality PER_LINUX', 135, [0n], ALLOW],
    ['personality ADDR_NO_RANDOMIZE', 135, [0x0040000n], ERRNO | EPERM],
    ['x32 read', 0x40000000, [], KILL_PROCESS],
  ];
  for (const [what, nr, args, result] of expectations) t.equal(evaluate(program, nr, args), result, what);
  t.equal(evaluate(program, 3, [], AUDIT_I386), KILL_PROCESS, 'a 32-bit system call');

  const again = compile(resolveSeccompProfile(null, facts()));
  t.equal(again, program, 'is built once');
});

t.test('capabilities open the calls that they are for', onX64, async (t) => {
  const compile = createSeccompCompiler();
  const program = compile(resolveSeccompProfile(null, facts([...DEFAULT_CAPABILITIES, 'CAP_SYS_ADMIN'])));
  t.equal(evaluate(program, 165), ALLOW, 'mount');
  t.equal(evaluate(program, 56, [0x10000000n]), ALLOW, 'clone of a user namespace');
  t.equal(evaluate(program, 435), ALLOW, 'clone3');
  t.equal(evaluate(program, 175), ERRNO | EPERM, 'init_module');
  const all = compile(resolveSeccompProfile(null, facts(CAPABILITY_NAMES)));
  t.equal(evaluate(all, 175), ALLOW, 'init_module with all capabilities');
});

t.test("a profile of the user's own", onX64, async (t) => {
  const compile = createSeccompCompiler();
  const build = (profile: object) => compile(resolveSeccompProfile(JSON.stringify(profile), facts()));
  const denyList = build({
    defaultAction: 'SCMP_ACT_ALLOW',
    archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
    syscalls: [
      { name: 'chmod', action: 'SCMP_ACT_ERRNO' },
      { names: ['mkdir', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 },
      { names: ['kill'], action: 'SCMP_ACT_KILL_PROCESS', args: [{ index: 1, value: 9, op: 'SCMP_CMP_EQ' }] },
    ],
  });
  t.equal(evaluate(denyList, 90), ERRNO | EPERM, 'chmod');
  t.equal(evaluate(denyList, 83), ERRNO | 13, 'mkdir, with its own errno');
  t.equal(evaluate(denyList, 62, [1n, 9n]), KILL_PROCESS, 'kill with the argument');
  t.equal(evaluate(denyList, 62, [1n, 15n]), ALLOW, 'kill with another');
  t.equal(evaluate(denyList, 1000), ALLOW, 'unknown calls follow the default where that allows');
  t.equal(evaluate(denyList, 15, [], AUDIT_I386), ERRNO | EPERM, 'chmod of a named foreign architecture');

  const wrong = (profile: string, message: RegExp) =>
    t.throws(() => resolveSeccompProfile(profile, facts()), { code: 'bad_parameter', message });
  wrong('{', /^Decoding seccomp profile failed: /);
  wrong('[]', /the profile is no object/);
  wrong('{}', /defaultAction: unknown or unsupported action undefined/);
  wrong('{"defaultAction":"SCMP_ACT_NOTIFY"}', /unsupported action SCMP_ACT_NOTIFY/);
  wrong('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[1],"action":"SCMP_ACT_LOG"}]}', /syscalls\[0\].names/);
  wrong(
    '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_LOG","args":[{"index":6,"op":"SCMP_CMP_EQ"}]}]}',
    /args\[0\].index must be 0–5/,
  );
});
