/**
 * Makes test/golden anew: `node packages/launcher/test/make-golden.ts`. Only after a deliberate change of the protocol;
 * the tests of both sides then show whether they still agree.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodePlan } from '../../daemon/src/runtime/launcher-protocol.ts';
import { describePlan } from './describe-plan.ts';
import { BAD_PLANS, GOLDEN_PLANS } from './golden-plans.ts';
import { GOLDEN_REQUESTS } from './golden-requests.ts';

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
writeFileSync(join(directory, 'requests.frames'), Buffer.concat(GOLDEN_REQUESTS.map(([frame]) => frame)));
writeFileSync(join(directory, 'requests.txt'), GOLDEN_REQUESTS.map(([, text]) => `${text}\n`).join(''));
