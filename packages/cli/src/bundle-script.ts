/** How the built client is run: as one script, with V8's code cache beside it. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** Compiles a CommonJS bundle. A cache that does not fit (another Node.js) is rejected by V8 and only not used. */
export function compileBundle(bundlePath: string, cachedData: Buffer | undefined): Script {
  const source = readFileSync(bundlePath, 'utf8');
  return new Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename: bundlePath,
    ...(cachedData === undefined ? {} : { cachedData }),
  });
}

/**
 * Runs a compiled bundle the way Node.js runs a CommonJS module.
 *
 * @param require finds what lies beside the bundle
 */
export function runBundle(script: Script, bundlePath: string, require: NodeJS.Require): void {
  const module = { exports: {} };
  const run = script.runInThisContext() as (...args: unknown[]) => void;
  run(module.exports, require, module, bundlePath, dirname(bundlePath));
}
