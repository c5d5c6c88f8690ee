/** The entry of the built client, dist/tsdctl.cjs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileBundle, runBundle } from './bundle-script.ts';

// Where flags come before the command, the bundle with all commands does it too.
const name = process.argv[2] === 'run' ? 'run' : 'client';
const bundlePath = join(__dirname, `${name}.cjs`);
// This file lies beside the bundles; createRequire() of node:module would load a good deal more.
runBundle(compileBundle(bundlePath, readCache(join(__dirname, `${name}.cache`))), bundlePath, require);

/** The cache may be missing: the client is then only slower to start. */
function readCache(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
