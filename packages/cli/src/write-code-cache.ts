/**
 * Part of the build: runs the bundle (first argument) with the remaining arguments as its command line, and writes the
 * code that V8 compiled meanwhile to the second argument. What a command needs is then ready when it starts.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { compileBundle, runBundle } from './bundle-script.ts';

const [bundlePath = '', cachePath = '', ...commandLine] = process.argv.slice(2);
const script = compileBundle(bundlePath, undefined);
process.argv.splice(2, process.argv.length, ...commandLine);
process.on('exit', () => writeFileSync(cachePath, script.createCachedData()));
runBundle(script, bundlePath, createRequire(bundlePath));
