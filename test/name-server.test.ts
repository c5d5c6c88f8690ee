/**
 * The name server as the resolvers of real C libraries see it: glibc's getent and busybox, in a network namespace that stands
 * for a container. The file runs itself again in another one that stands for the host, so port 53 is free there (for the name
 * server too, since there is no packet filter).
 */
import { type ChildProcess, execFile, execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { createNameServer } from '../packages/daemon/src/networks/name-server/create-name-server.ts';
import { createNameDirectory, type NamedEndpoint } from '../packages/daemon/src/networks/name-server/name-directory.ts';
import { addressRecord, startFakeServer } from '../packages/daemon/test/fake-dns.ts';
import { eventually } from './support/eventually.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';

const INSIDE = 'TSD_TEST_IN_NAMESPACE';
const isRoot = process.getuid?.() === 0;

if (process.env[INSIDE] === undefined && isRoot) runInside();

/** Ends the process with the status of the one inside. */
function runInside(): never {
  const name = `${TEMPORARY_PREFIX}names-${process.pid}`;
  execFileSync('ip', ['netns', 'add', name]);
  try {
    const { status } = spawnSync('ip', ['netns', 'exec', name, process.execPath, import.meta.filename], {
      stdio: 'inherit',
      env: { ...process.env, [INSIDE]: name },
    });
    process.exitCode = status ?? 1;
  } finally {
    execFileSync('ip', ['netns', 'del', name]);
  }
  process.exit();
}

const GATEWAYS = ['10.98.0.1', 'fd98::1'];
const OWN = { ipv4: '10.98.0.2', ipv6: 'fd98::2' };

function endpoint(digit: string, names: string[], addresses: Partial<NamedEndpoint>): NamedEndpoint {
  const network = { networkId: 'net', networkName: 'shop', internal: false };
  const rest = { links: {}, ipv4: null, ipv6: null, dnsServers: [], egress: null };
  return { containerId: digit.repeat(64), names, ...network, ...rest, ...addresses };
}

t.test('real resolvers', { skip: !isRoot && 'making network namespaces needs root' }, async (t) => {
  const ip = (...args: string[]) => execFileSync('ip', args);
  const child: ChildProcess = spawn('unshare', ['--net', '--', 'sleep', '1000'], { stdio: 'ignore' });
  await once(child, 'spawn');
  const pid = String(child.pid);
  const folder = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(folder, { recursive: true });
  });
  const net = () => execFileSync('readlink', [`/proc/${pid}/ns/net`], { encoding: 'utf8' });
  const own = execFileSync('readlink', ['/proc/self/ns/net'], { encoding: 'utf8' });
  await eventually(() => net() !== own, { what: 'the namespace of the container' });
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'tsdvnames', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', pid);
  ip('address', 'add', '10.98.0.1/24', 'dev', 'tsdvnames');
  ip('address', 'add', 'fd98::1/64', 'dev', 'tsdvnames', 'nodad');
  ip('link', 'set', 'tsdvnames', 'up');
  const enter = ['--target', pid, '--net', '--'];
  for (const command of [
    ['address', 'add', `${OWN.ipv4}/24`, 'dev', 'eth0'],
    ['address', 'add', `${OWN.ipv6}/64`, 'dev', 'eth0', 'nodad'],
    ['link', 'set', 'eth0', 'up'],
  ])
    execFileSync('nsenter', [...enter, 'ip', ...command]);

  // As systemd-resolved: a stub on loopback, and /etc/resolv.conf names it.
  const many = Array.from({ length: 60 }, (_, index) => addressRecord('many.example.org', `192.0.2.${index}`));
  const stub = await startFakeServer(
    '127.0.0.53',
    ({ questions }, over) => {
      const { name = '', type } = questions?.[0] ?? {};
      if (name === 'many.example.org') return over === 'tcp' ? { answers: type === 'A' ? many : [] } : { flags: 0x200 };
      if (name === 'plain.example.org') return { answers: type === 'A' ? [addressRecord(name, '192.0.2.80')] : [] };
      return { flags: 3 };
    },
    53,
  );
  const hostFile = join(folder, 'host');
  writeFileSync(hostFile, 'nameserver 127.0.0.53\noptions edns0 trust-ad\nsearch .\n');
  const directory = createNameDirectory();
  const names = createNameServer({
    directory,
    learn: () => Promise.resolve(),
    log: { warn: (fields, message) => t.fail(message, fields) },
    resolvConfPath: hostFile,
    port: 53,
  });
  t.teardown(async () => {
    await names.close();
    await stub.close();
  });
  for (const gateway of GATEWAYS) t.same(await names.listen('net', gateway), { port: 53 });
  directory.put(endpoint('a', ['client'], OWN));
  directory.put(endpoint('b', ['web', 'service'], { ipv4: '10.98.0.3', ipv6: 'fd98::3' }));
  directory.put(endpoint('c', ['old', 'service'], { ipv4: '10.98.0.4' }));

  for (const gateway of GATEWAYS) {
    const resolvConf = join(folder, 'container');
    writeFileSync(resolvConf, `nameserver ${gateway}\noptions ndots:0 timeout:2\n`);
    const mountAnd = 'mount --bind "$0" /etc/resolv.conf && exec "$@"';
    const inside = (...command: string[]) =>
      new Promise<{ code: number; lines: string[] }>((resolve) => {
        const args = [...enter, 'unshare', '--mount', '--', 'sh', '-c', mountAnd, resolvConf, ...command];
        execFile('nsenter', args, { encoding: 'utf8', timeout: 20_000 }, (error, stdout) =>
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), lines: stdout.trim().split('\n') }),
        );
      });
    const addresses = async (database: string, name: string) => {
      const { lines } = await inside('getent', database, name);
      return [...new Set(lines.map((line) => line.split(/\s/)[0]))].sort();
    };
    t.same(await addresses('ahosts', 'web'), ['10.98.0.3', 'fd98::3'], `getent by ${gateway}`);
    t.same(await addresses('ahosts', 'WEB.shop'), ['10.98.0.3', 'fd98::3']);
    t.same(await addresses('ahostsv4', 'service'), ['10.98.0.3', '10.98.0.4']);
    t.same(await addresses('ahosts', 'old'), ['10.98.0.4'], 'only one family');
    t.same(await addresses('ahosts', 'bbbbbbbbbbbb'), ['10.98.0.3', 'fd98::3']);
    t.match((await inside('getent', 'hosts', '10.98.0.3')).lines[0], /\sweb\.shop$/);
    t.match((await inside('getent', 'hosts', 'fd98::3')).lines[0], /\sweb\.shop$/);
    t.same(await addresses('ahosts', 'plain.example.org'), ['192.0.2.80']);
    t.equal((await addresses('ahostsv4', 'many.example.org')).length, 60, 'over TCP where it does not fit');
    const started = performance.now();
    t.equal((await inside('getent', 'ahosts', 'nobody.example.org')).code, 2);
    t.equal((await inside('getent', 'ahosts', 'nobody')).code, 2);
    t.ok(performance.now() - started < 1900, 'what is not there is known at once');
    const { code, lines } = await inside('busybox', 'nslookup', 'web');
    t.equal(code, 0);
    t.match(lines.join('\n'), /Address: 10\.98\.0\.3/);
    t.match(lines.join('\n'), /Address: fd98::3/);
  }
});
