/** Bundles the daemon into packages/daemon/dist/tsd.mjs. What brings a binary of its own, or is seldom needed, stays in node_modules. */
import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { resolve } from 'node:path';
import { build } from 'esbuild';

const root = resolve(import.meta.dirname, '..');
const source = resolve(root, 'packages/daemon/src');
const output = resolve(root, 'packages/daemon/dist');

rmSync(output, { recursive: true, force: true });
mkdirSync(output, { recursive: true });
cpSync(resolve(source, 'storage/migrations'), resolve(output, 'migrations'), { recursive: true });
await build({
  entryPoints: [
    { in: resolve(source, 'main.ts'), out: 'tsd' },
    // Worker threads, found beside whoever starts them.
    { in: resolve(source, 'storage/layer-ingest-worker.ts'), out: 'layer-ingest-worker' },
    { in: resolve(source, 'storage/check-worker.ts'), out: 'check-worker' },
    { in: resolve(source, 'runtime/root-tree/root-tree-worker.ts'), out: 'root-tree-worker' },
  ],
  outdir: output,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  target: 'node24',
  format: 'esm',
  // What is imported late is a file of its own, which is not read before.
  splitting: true,
  // undici is read when a registry is first asked, and not before.
  external: ['koffi', 'better-sqlite3', 'undici'],
  // Smaller sources are less memory for as long as the daemon runs.
  minifyWhitespace: true,
  minifySyntax: true,
  sourcemap: true,
  logLevel: 'warning',
  // CommonJS packages in an ES module bundle ask for `require`.
  banner: {
    js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
  },
});
