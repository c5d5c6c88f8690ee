/**
 * Bundles the client into dist/: tsdctl.cjs (a loader of a few lines), run.cjs (the client with no other command than `run`),
 * client.cjs (with all), help.cjs, and for each of the two bundles V8's compiled code, run.cache and client.cache.
 *
 * Node's own compile cache (module.enableCompileCache) keeps a directory for each user id, which a shared installation
 * cannot fill for its users; a cache beside the bundle is read by everybody and written by nobody. README.md
 * holds the measurements of the alternatives.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type Plugin } from 'esbuild';
import { BUNDLE_WRAPPER } from './src/bundle-script.ts';

const root = import.meta.dirname;
const dist = join(root, 'dist');

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist, { recursive: true });
const common = { bundle: true, platform: 'node', target: 'node24', format: 'cjs', logLevel: 'warning' } as const;
const minified = { minify: true, legalComments: 'none' } as const;
/** The help, with commander, is more code than all the rest together: a file of its own, loaded when it is shown. */
const helpApart: Plugin = {
  name: 'help-apart',
  setup({ onResolve }) {
    onResolve({ filter: /\/render-help\.ts$/ }, () => ({ path: './help.cjs', external: true }));
  },
};
/** For the bundle of `run`, which is half as much to read and to set up: who calls it has seen that the command is `run`. */
const runAlone: Plugin = {
  name: 'run-alone',
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/commands\// }, ({ path }) =>
      path === './commands/run.ts' ? undefined : { path, external: true },
    );
  },
};
for (const [name, plugins] of [
  ['client', [helpApart]],
  ['run', [helpApart, runAlone]],
] as const) {
  await build({
    ...common,
    ...minified,
    entryPoints: [join(root, 'src/main.ts')],
    outfile: join(dist, `${name}.cjs`),
    plugins: [...plugins],
    banner: { js: BUNDLE_WRAPPER.before },
    footer: { js: BUNDLE_WRAPPER.after },
    charset: 'ascii',
    // import() becomes require().
    supported: { 'dynamic-import': false },
  });
}
await build({
  ...common,
  ...minified,
  entryPoints: [join(root, 'src/flags/render-help.ts')],
  outfile: join(dist, 'help.cjs'),
});
await build({ ...common, entryPoints: [join(root, 'src/load-bundle.ts')], outfile: join(dist, 'tsdctl.cjs') });
await writeCodeCache('run');
await writeCodeCache('client');

/** Runs the most frequent command once against a server that answers as the daemon does. */
async function writeCodeCache(name: 'client' | 'run'): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'tsdctl-build-'));
  const socketPath = join(folder, 'api.sock');
  const server = answeringServer().listen(socketPath);
  await once(server, 'listening');
  const child = spawn(
    process.execPath,
    [
      join(root, 'src/write-code-cache.ts'),
      join(dist, `${name}.cjs`),
      join(dist, `${name}.cache`),
      ...['run', '--rm', '-i', '-m', '100M', '--network', 'none', '-v', '/a:/b', '-e', 'A=b', 'busybox', 'true'],
    ],
    { env: { ...process.env, TSD_HOST: `unix://${socketPath}` }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  const [exitCode] = (await once(child, 'exit')) as [number | null];
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
  if (exitCode !== 0) throw new Error(`the code cache could not be written: exit code ${exitCode}`);
}

function answeringServer(): Server {
  let finish: (() => void) | undefined;
  const server = createServer((request, response) => {
    const path = request.url ?? '';
    request.resume();
    if (path.includes('/create')) {
      response.writeHead(201, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ Id: 'a'.repeat(64), Warnings: [] }));
    } else if (path.includes('/wait')) {
      response.writeHead(200, { 'content-type': 'application/json' });
      response.flushHeaders();
      finish = () => response.end('{"StatusCode":0}\n');
    } else {
      response.writeHead(204).end();
      server.emit('started');
    }
  });
  server.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n');
    server.once('started', () => {
      socket.end(Buffer.from([1, 0, 0, 0, 0, 0, 0, 1, 0x0a]));
      finish?.();
    });
  });
  return server;
}
