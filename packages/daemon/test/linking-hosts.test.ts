import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import t from 'tap';
import { updateLinkingHosts } from '../src/containers/container-links.ts';
import { containerFiles } from '../src/containers/container-paths.ts';

type Deps = Parameters<typeof updateLinkingHosts>[0];
type Linked = Parameters<typeof updateLinkingHosts>[1];

const LINKING = 'a'.repeat(64);

t.test('a line of /etc/hosts follows a linked container, but in no file that a container has made large', (t) => {
  const dataRoot = mkdtempSync(join(tmpdir(), 'tsd-linking-hosts-'));
  t.teardown(() => rmSync(dataRoot, { recursive: true }));
  const roots = { dataRoot, execRoot: dataRoot };
  const { hosts } = containerFiles(roots, LINKING);
  mkdirSync(dirname(hosts), { recursive: true });
  const warnings: unknown[] = [];
  const deps = {
    roots,
    log: { warn: (fields: unknown) => warnings.push(fields) },
    networks: {
      directory: { linkingTo: () => [{ containerId: LINKING, alias: 'db' }] },
      store: { endpoint: () => ({ attachment: { ipv4: '10.0.0.9', ipv6: null } }) },
    },
  } as unknown as Deps;
  const linked = { id: 'b'.repeat(64), name: 'mysql', config: { Hostname: 'host' } } as unknown as Linked;

  writeFileSync(hosts, '127.0.0.1\tlocalhost\n10.0.0.2\tdb host mysql\n');
  updateLinkingHosts(deps, linked);
  t.equal(readFileSync(hosts, 'utf8'), '127.0.0.1\tlocalhost\n10.0.0.9\tdb host mysql\n');
  t.same(warnings, []);

  const largeBytes = 2 ** 30;
  truncateSync(hosts, largeBytes);
  updateLinkingHosts(deps, linked);
  t.equal(statSync(hosts).size, largeBytes, 'it is left as it is');
  t.match(warnings, [{ containerId: LINKING, err: { message: /is larger than/ } }]);
  t.end();
});
