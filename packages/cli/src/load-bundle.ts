/** The entry of the built client, dist/tsdctl.cjs. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileBundle, runBundle } from './bundle-script.ts';

const bundlePath = join(__dirname, 'client.cjs');
runBundle(compileBundle(bundlePath, readCache(join(__dirname, 'client.cache'))), bundlePath);

/** The cache may be missing: the client is then only slower to start. */
function readCache(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
