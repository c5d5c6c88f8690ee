/** How the built client is run: as one script, with V8's code cache beside it. */
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { Script } from 'node:vm';

/** What stands before and after the code of a bundle in its file, so that the file as it is can be compiled. */
export const BUNDLE_WRAPPER = {
  before: '(function (exports, require, module, __filename, __dirname) {',
  after: '})',
} as const;

/**
 * Compiles a CommonJS bundle with its wrapper. A cache that does not fit (another Node.js) is rejected by V8 and only not used.
 * The bundler writes ASCII, so that each byte is a character: UTF-8 would be looked through for others.
 */
export function compileBundle(bundlePath: string, cachedData: Buffer | undefined): Script {
  return new Script(readFileSync(bundlePath, 'latin1'), {
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
