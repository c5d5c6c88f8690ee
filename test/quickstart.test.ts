/** ./quickstart runs to its end, shows a real container, and leaves nothing behind; twice in a row. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { repository, run } from './support/client.ts';
import { busyboxLayer, layerTar } from './support/images.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';
import { HOST_PLATFORM, writeOciLayout } from './support/oci-layout.ts';
import { registryMissing, startRegistry } from './support/registry.ts';

const states = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('tsd-quickstart-'));

/** No test asks the internet: the daemon's way there ends at once. */
const offline = { https_proxy: 'http://127.0.0.1:1' };

for (const [round, args, pulled] of [
  ['the first time, without a registry', [], /^No registry from here/m],
  ['again, with a mirror', await mirrorWithAlpine(), /^3\.99\.0$/m],
] as const) {
  const skip = args === undefined ? registryMissing() : false;
  t.test(round, { timeout: 120_000, skip }, async (t) => {
    const before = states();
    const env = { ...process.env, ...offline };
    const { code, stdout, stderr } = await run(join(repository, 'quickstart'), args ?? [], { timeoutMs: 110_000, env });
    t.equal(code, 0, stderr);
    t.match(stdout, /^hostname: +[0-9a-f]{12}$/m);
    t.match(stdout, /^who am I: +uid=0\(root\)/m);
    t.match(stdout, /container root is uid \d{6,}$/m);
    t.match(stdout, /^memory limit: +104857600 bytes$/m);
    t.match(stdout, /^104857600$/m, 'the limit as the host has it');
    t.match(stdout, pulled);
    t.match(stdout, /^Next steps:$/m);
    t.same(states(), before, 'no state stays');
  });
}

/** Flags for a daemon that finds library/alpine in a registry on loopback; undefined where there is no registry to start. */
async function mirrorWithAlpine(): Promise<readonly string[] | undefined> {
  if (registryMissing() !== false) return undefined;
  const registry = await startRegistry();
  t.teardown(() => registry.remove());
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const layers = [busyboxLayer(), layerTar([{ path: 'etc/alpine-release', text: '3.99.0\n' }])];
  writeOciLayout(directory, [{ platform: HOST_PLATFORM, layers: layers.map((tar) => ({ tar, compression: 'gzip' })) }]);
  await registry.skopeo('copy', `oci:${directory}`, `docker://${registry.host}/library/alpine:latest`);
  return ['--registry-mirror', registry.url];
}
