/**
 * Makes test/golden anew: `node packages/launcher/test/make-golden.ts`. Only after a deliberate change of the protocol;
 * the tests of both sides then show whether they still agree.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  encodeAttach,
  encodePlan,
  encodeResize,
  encodeSignal,
  encodeStart,
  encodeStatus,
} from '../../daemon/src/runtime/launcher-protocol.ts';
import { describePlan } from './describe-plan.ts';
import { BAD_PLANS, GOLDEN_PLANS } from './golden-plans.ts';

const directory = join(import.meta.dirname, 'golden');
rmSync(directory, { recursive: true, force: true });
mkdirSync(directory);

for (const [name, plan] of Object.entries(GOLDEN_PLANS)) {
  writeFileSync(join(directory, `${name}.plan`), encodePlan(plan));
  writeFileSync(join(directory, `${name}.txt`), describePlan(plan));
}
for (const [name, { of, change, error }] of Object.entries(BAD_PLANS)) {
  const plan = GOLDEN_PLANS[of];
  if (plan === undefined) throw new Error(`no golden plan ${of}`);
  writeFileSync(join(directory, `bad-${name}.plan`), change(encodePlan(plan)));
  writeFileSync(join(directory, `bad-${name}.txt`), `${error}\n`);
}
writeFileSync(
  join(directory, 'requests.frames'),
  Buffer.concat([
    encodeAttach({
      requestId: 1,
      stdin: true,
      stdout: true,
      stderr: false,
      detachKeys: Buffer.from([16, 17]),
      initialInput: Buffer.from('hello\n'),
    }),
    encodeAttach({
      requestId: 0xffff_ffff,
      stdin: false,
      stdout: false,
      stderr: true,
      detachKeys: Buffer.alloc(0),
      initialInput: Buffer.alloc(0),
    }),
    encodeStart(),
    encodeSignal({ requestId: 2, signal: 15, wholeGroup: false }),
    encodeSignal({ requestId: 3, signal: 64, wholeGroup: true }),
    encodeResize({ requestId: 4, rows: 24, columns: 65_535 }),
    encodeStatus({ requestId: 5 }),
  ]),
);
writeFileSync(
  join(directory, 'requests.txt'),
  [
    'attach 1 stdin,stdout keys=1011 input=68656c6c6f0a',
    'attach 4294967295 stderr keys= input=',
    'start',
    'signal 2 15 process',
    'signal 3 64 group',
    'resize 4 24 65535',
    'status 5',
    '',
  ].join('\n'),
);
