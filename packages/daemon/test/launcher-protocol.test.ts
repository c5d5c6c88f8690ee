/** The daemon's side of packages/launcher/PROTOCOL.md, against the bytes that the launcher's own tests use. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { describePlan } from '../../launcher/test/describe-plan.ts';
import { BAD_PLANS, GOLDEN_PLANS } from '../../launcher/test/golden-plans.ts';
import { GOLDEN_REQUESTS } from '../../launcher/test/golden-requests.ts';
import type { LaunchPlan, Step } from '../src/runtime/launch-plan.ts';
import {
  decodeExitFile,
  decodeLogPosition,
  decodeStatus,
  encodeAttach,
  encodePlan,
  encodeSlots,
  exitStatus,
  PlanEncodingError,
  type SupervisorMessage,
  SupervisorMessageDecoder,
} from '../src/runtime/launcher-protocol.ts';

const golden = join(import.meta.dirname, '../../launcher/test/golden');
const read = (name: string): Buffer => readFileSync(join(golden, name));

t.test('plans have the golden bytes', (t) => {
  for (const [name, plan] of Object.entries(GOLDEN_PLANS)) {
    t.ok(encodePlan(plan).equals(read(`${name}.plan`)), name);
    t.equal(describePlan(plan), read(`${name}.txt`).toString(), `${name} as text`);
  }
  for (const [name, { of, change, error }] of Object.entries(BAD_PLANS)) {
    const plan = GOLDEN_PLANS[of];
    if (plan === undefined) throw new Error(of);
    t.ok(Buffer.from(change(encodePlan(plan))).equals(read(`bad-${name}.plan`)), `bad ${name}`);
    t.equal(read(`bad-${name}.txt`).toString(), `${error}\n`);
  }
  const names = readdirSync(golden).filter((name) => name.endsWith('.plan'));
  t.equal(names.length, Object.keys(GOLDEN_PLANS).length + Object.keys(BAD_PLANS).length, 'no other plans are there');
  t.end();
});

t.test('the golden plan holds every op', (t) => {
  const text = Object.values(GOLDEN_PLANS).flatMap((plan) => plan.steps.map((step) => step.op));
  t.equal(new Set(text).size, 37);
  t.end();
});

t.test('a plan that breaks a rule is refused, with the step', (t) => {
  const least = GOLDEN_PLANS['least'];
  if (least === undefined) throw new Error('no golden plan');
  const plan = (step: Step): LaunchPlan => ({ ...least, steps: [...least.steps, step] });
  const refused = (step: Step, message: string): void => {
    t.throws(() => encodePlan(plan(step)), new PlanEncodingError(2, `${step.op}: ${message}`));
  };
  refused({ op: 'set-hostname', side: 'host', name: 'x' }, 'belongs to the container side');
  refused({ op: 'set-oom-score-adj', side: 'container', score: 1 }, 'belongs to the host side');
  refused({ op: 'pivot-root', side: 'container', slot: 1024 }, 'slot 1024 is not in 0–1023');
  refused({ op: 'mask-path', side: 'container', at: { path: 'x' } }, 'path "x" without a base is not absolute');
  refused({ op: 'change-directory', side: 'container', path: '/a\0b' }, 'string "/a\\u0000b" holds a NUL');
  refused({ op: 'mask-path', side: 'container', at: { path: `/${'x'.repeat(4095)}` } }, 'path longer than 4095 bytes');
  t.throws(() => encodePlan({ ...least, steps: Array(4097).fill(least.steps[0]) }), /more than 4096 steps/);
  t.throws(
    () => encodePlan(plan({ op: 'write-file', side: 'host', at: { path: '/x' }, data: 'x'.repeat(4 * 1024 * 1024) })),
    /larger than 4194304 bytes/,
  );
  t.end();
});

t.test('requests have the golden bytes', (t) => {
  const frames = Buffer.concat(GOLDEN_REQUESTS.map(([frame]) => frame));
  t.ok(frames.equals(read('requests.frames')));
  t.throws(() => encodeSlots(0, 254), RangeError);
  const tooMuch = { requestId: 1, stdin: true, stdout: true, stderr: true, detachKeys: Buffer.alloc(0) };
  t.throws(() => encodeAttach({ ...tooMuch, initialInput: Buffer.alloc(1024 * 1024) }), RangeError);
  t.end();
});

/** The frames that test-control-frames.c makes, one of each. */
const MESSAGES = [
  '09000000810700000003000000',
  '1900000081090000000000000002000000000000000807060504030201',
  '1600000081080000000000000001341200000807060504030201',
  '2c0000008108000000000000000234120000080706050403020101090000000108070605040302010100000000000000',
  '0d00000083341200000807060504030201',
  '170000008501090000000108070605040302010100000000000000',
  '0f000000840300000002000000020000002f78',
  '0d00000082ffffffff1c00000000000000',
];
const REPORT = {
  kind: 'signalled',
  code: 9,
  oomKilled: true,
  startedAtNs: 0x0102030405060708n,
  finishedAtNs: 1n,
} as const;

t.test('messages are decoded however the stream is cut', (t) => {
  const stream = Buffer.from(MESSAGES.join(''), 'hex');
  for (const size of [1, 2, 3, 5, 7, 11, 64, stream.length]) {
    const decoder = new SupervisorMessageDecoder();
    const messages: SupervisorMessage[] = [];
    for (let at = 0; at < stream.length; at += size) messages.push(...decoder.push(stream.subarray(at, at + size)));
    t.match(
      messages,
      [
        { type: 'reply', requestId: 7, errno: 3, payload: Buffer.alloc(0) },
        { type: 'reply', requestId: 9, errno: 0 },
        { type: 'reply', requestId: 8, errno: 0 },
        { type: 'reply', requestId: 8, errno: 0 },
        { type: 'started', pid: 0x1234, startedAtNs: 0x0102030405060708n },
        { type: 'exited', report: REPORT },
        { type: 'failed', step: 3, errno: 2, detail: '/x' },
        { type: 'warning', step: null, errno: 28, detail: '' },
      ],
      `in pieces of ${size}`,
    );
    t.equal(messages.length, MESSAGES.length);
    const [, attached, running, exited] = messages;
    if (attached?.type !== 'reply' || running?.type !== 'reply' || exited?.type !== 'reply')
      throw new Error('no replies');
    t.same(decodeLogPosition(attached.payload), { sequence: 2, offset: Number(0x0102030405060708n) });
    t.same(decodeStatus(running.payload), {
      state: 'running',
      pid: 0x1234,
      startedAtNs: 0x0102030405060708n,
      exit: null,
    });
    t.same(decodeStatus(exited.payload).exit, REPORT);
  }
  t.end();
});

t.test('a stream that is no control stream is refused', (t) => {
  for (const bytes of [
    [0, 0, 0, 0],
    [1, 0, 16, 0],
    [1, 0, 0, 0, 0x86],
    [14, 0, 0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 65],
    [5, 0, 0, 0, 0x85, 1, 2, 3, 4],
  ]) {
    t.throws(() => new SupervisorMessageDecoder().push(Uint8Array.from(bytes)), RangeError);
  }
  t.end();
});

t.test('an exit file is read whole or not at all', (t) => {
  const file = Buffer.from('54534458010000003412000001090000000108070605040302010100000000000000cdfe2938', 'hex');
  t.same(decodeExitFile(file), { pid: 0x1234, ...REPORT });
  t.equal(decodeExitFile(Buffer.alloc(0)), null);
  for (let cut = 0; cut < file.length; cut++) t.equal(decodeExitFile(file.subarray(0, cut)), null);
  for (let at = 0; at < file.length; at++) {
    const damaged = Buffer.from(file);
    damaged[at] = (damaged[at] ?? 0) ^ 1;
    t.equal(decodeExitFile(damaged), null);
  }
  t.equal(exitStatus({ kind: 'exited', code: 3 }), 3);
  t.equal(exitStatus({ kind: 'signalled', code: 9 }), 137);
  t.end();
});
