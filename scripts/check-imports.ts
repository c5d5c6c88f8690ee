/** `npm run imports`: the import rules of .dependency-cruiser.cjs. Fails as well when a package showed no module. */
import { existsSync, globSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { cruise, type ICruiseOptions, type ICruiseResult } from 'dependency-cruiser';
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config';

const root = resolve(import.meta.dirname, '..');
process.chdir(root);
const PACKAGES = ['packages/shared', 'packages/daemon', 'packages/cli'];
const { forbidden, options } = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as {
  forbidden: NonNullable<ICruiseOptions['ruleSet']>['forbidden'];
  options: ICruiseOptions & { enhancedResolveOptions: object };
};

const folders = PACKAGES.flatMap((name) => [`${name}/src`, `${name}/test`]).filter((path) => existsSync(path));
const { output } = await cruise(
  folders,
  { ...options, ruleSet: { forbidden: forbidden ?? [] }, validate: true },
  options.enhancedResolveOptions,
  { tsConfig: extractTSConfig('tsconfig.base.json') },
);
if (typeof output === 'string') throw new Error('dependency-cruiser answered with text, not with its result');
const result: ICruiseResult = output;

let failed = false;
for (const violation of result.summary.violations) {
  failed = true;
  const cycle = violation.cycle?.map(({ name }) => name).join(' → ');
  console.error(`${violation.rule.name}: ${violation.from} → ${cycle ?? violation.to}`);
}
for (const name of PACKAGES) {
  const expected = globSync(`${name}/src/**/*.ts`).length;
  const seen = result.modules.filter(({ source }) => source.startsWith(`${name}/src/`)).length;
  if (expected === 0 || seen < expected) {
    failed = true;
    console.error(`${name}: saw ${seen} of ${expected} modules; the rules mean nothing then`);
  }
}
const all = result.modules.filter(({ source }) => source.startsWith('packages/')).length;
console.log(
  `${all} modules, ${result.summary.totalDependenciesCruised} imports: ${failed ? 'rules broken' : 'in order'}`,
);
process.exit(failed ? 1 : 0);
