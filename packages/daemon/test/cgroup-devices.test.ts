import t from 'tap';
import { deviceProgram } from '../src/runtime/device-program.ts';
import type { DeviceRule } from '../src/runtime/plan-devices.ts';

const READ = 2;
const WRITE = 4;
const MKNOD = 1;
const BLOCK = 1;
const CHAR = 2;

/** Runs the program as the kernel does, for one access: the few instructions that it may hold. */
function allowed(program: Uint8Array, type: number, access: number, major: number, minor: number): boolean {
  const code = Buffer.from(program);
  const context = Buffer.alloc(12);
  context.writeUInt32LE((access << 16) | type, 0);
  context.writeUInt32LE(major, 4);
  context.writeUInt32LE(minor, 8);
  const registers = new Array<number>(11).fill(0);
  const get = (register: number): number => registers[register] ?? 0;
  for (let at = 0; ; at += 1) {
    const op = code.readUInt8(at * 8);
    const to = code.readUInt8(at * 8 + 1) & 15;
    const from = code.readUInt8(at * 8 + 1) >> 4;
    const offset = code.readInt16LE(at * 8 + 2);
    const immediate = code.readInt32LE(at * 8 + 4);
    if (op === 0x61) registers[to] = context.readUInt32LE(offset);
    else if (op === 0x54) registers[to] = (get(to) & immediate) >>> 0;
    else if (op === 0x74) registers[to] = get(to) >>> immediate;
    else if (op === 0xbc) registers[to] = get(from);
    else if (op === 0xb7) registers[to] = immediate;
    else if (op === 0x55) at += get(to) === immediate ? 0 : offset;
    else if (op === 0x5d) at += get(to) === get(from) ? 0 : offset;
    else if (op === 0x95) return get(0) === 1;
    else throw new Error(`instruction ${at}: unexpected code 0x${op.toString(16)}`);
  }
}

t.test('deviceProgram', async (t) => {
  const rules: readonly DeviceRule[] = [
    { type: 'c', major: null, minor: null, access: 'm' },
    { type: 'c', major: 1, minor: 3, access: 'rwm' },
    { type: 'c', major: 136, minor: null, access: 'rw' },
    { type: 'b', major: 8, minor: 0, access: 'r' },
  ];
  const program = deviceProgram(rules);
  t.equal(program.length % 8, 0);
  const is = (type: number, access: number, major: number, minor: number): boolean =>
    allowed(program, type, access, major, minor);
  t.ok(is(CHAR, READ | WRITE, 1, 3), '/dev/null');
  t.notOk(is(CHAR, READ, 1, 1), '/dev/mem');
  t.ok(is(CHAR, MKNOD, 1, 1), 'its node may be made');
  t.notOk(is(CHAR, MKNOD | READ, 1, 1), 'but not with reading');
  t.ok(is(CHAR, READ | WRITE, 136, 77), 'any minor number');
  t.ok(is(BLOCK, READ, 8, 0), 'a disk to read');
  t.notOk(is(BLOCK, READ | WRITE, 8, 0), 'not to write');
  t.notOk(is(BLOCK, READ, 8, 1), 'nor another');
  t.notOk(is(BLOCK, READ, 1, 3), 'a block device with the numbers of /dev/null');
  t.notOk(allowed(deviceProgram([]), CHAR, READ, 1, 3), 'without rules nothing');
});

t.test('nothing follows a rule for everything: the kernel refuses instructions that are never reached', async (t) => {
  const everything: DeviceRule = { type: 'a', major: null, minor: null, access: 'rwm' };
  const program = deviceProgram([everything, { type: 'c', major: 1, minor: 3, access: 'r' }]);
  t.equal(program.length, 8 * 8);
  t.ok(allowed(program, BLOCK, READ | WRITE | MKNOD, 8, 0));
});
