/** docker-compose 1.29 (Debian) and the docker client bring up a project of two services, unchanged. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { type CommandResult, run } from './support/client.ts';
import { startDaemon } from './support/daemon.ts';
import { eventually } from './support/eventually.ts';
import { loadProbeImage, netProbe } from './support/net-probe.ts';

if (spawnSync('docker-compose', ['version']).status !== 0) {
  t.plan(0, 'docker-compose is not installed (Debian package docker-compose)');
  process.exit();
}

t.setTimeout(180_000);
const pool = process.pid % 100;
const daemon = await startDaemon({
  args: ['--bip', `10.${100 + pool}.255.1/24`, '--default-address-pool', `base=10.${100 + pool}.0.0/16,size=24`],
});
t.teardown(() => daemon.remove());
await loadProbeImage(daemon);
const { docker } = daemon;
const project = join(daemon.directory, 'shop');
mkdirSync(project);
writeFileSync(
  join(project, 'docker-compose.yml'),
  `
version: "2.4"
services:
  web:
    image: net-probe
    networks:
      back:
        aliases: [front-door]
    ports: ["80"]
  client:
    image: net-probe
    command: sh -c 'until net-probe ask tcp front-door 80; do sleep 0.1; done; net-probe ask udp web 80; sleep 1000'
    depends_on: [web]
    networks: [back]
networks:
  back:
    ipam:
      config: [{subnet: 10.${pool}.7.0/24, gateway: 10.${pool}.7.1}]
`,
);

function compose(...args: string[]): Promise<CommandResult> {
  const env = { ...process.env, DOCKER_HOST: `unix://${daemon.socketPath}`, DOCKER_CONFIG: daemon.directory };
  return run('docker-compose', ['--ansi', 'never', ...args], { env, cwd: project });
}

t.test('up: two services that know each other by name', async (t) => {
  const up = await compose('up', '-d');
  t.equal(up.code, 0, up.stderr);
  t.match(up.stderr, /Creating network "shop_back" with the default driver/);
  const listed = await compose('ps');
  t.match(listed.stdout, /shop_web_1 .* Up +0\.0\.0\.0:\d+->80\/tcp/);
  const log = await eventually(
    async () => {
      const { stdout } = await compose('logs', '--no-color', 'client');
      return stdout.match(/client_1 +\| 10\./g)?.length === 2 ? stdout : undefined;
    },
    { what: 'the client has an answer by the alias and one by the name' },
  );
  t.match(log, `10.${pool}.7.`);
});

t.test('the published port answers', async (t) => {
  const { stdout } = await compose('port', 'web', '80');
  const port = stdout.trim().split(':').at(-1) ?? '';
  const { code, stderr } = await run(netProbe(), ['ask', 'tcp', '127.0.0.1', port]);
  t.equal(code, 0, stderr);
});

t.test('up again changes nothing', async (t) => {
  const before = await docker.output('ps', '--no-trunc', '-q');
  const again = await compose('up', '-d');
  t.equal(again.code, 0, again.stderr);
  t.match(again.stderr, /shop_web_1 is up-to-date\nshop_client_1 is up-to-date/);
  t.equal(await docker.output('ps', '--no-trunc', '-q'), before);
});

t.test('scale: both answer to the name of the service', async (t) => {
  const scaled = await compose('up', '-d', '--scale', 'web=2');
  t.equal(scaled.code, 0, scaled.stderr);
  const { stdout } = await docker('run', '--rm', '--network', 'shop_back', 'net-probe', 'nslookup', '-type=a', 'web');
  t.equal(stdout.match(/^Address: 10\./gm)?.length, 2, stdout);
});

t.test('restart, stop and start keep the network', async (t) => {
  for (const verb of ['restart', 'stop', 'start']) {
    const { code, stderr } = await compose(verb, ...(verb === 'start' ? [] : ['-t', '0']));
    t.equal(code, 0, `${verb}: ${stderr}`);
  }
  const asked = await docker(
    'run',
    '--rm',
    '--network',
    'shop_back',
    'net-probe',
    'net-probe',
    'ask',
    'tcp',
    'web',
    '80',
  );
  t.equal(asked.code, 0, asked.stderr);
});

t.test('the docker client sees the network, and joins it', async (t) => {
  const names = await docker.output(
    ...['network', 'inspect', 'shop_back', '-f', '{{range .Containers}}{{.Name}} {{end}}'],
  );
  t.same(names.trim().split(' ').sort(), ['shop_client_1', 'shop_web_1', 'shop_web_2']);
  await docker.output('run', '-d', '--name', 'guest', 'net-probe', 'sleep', '1000');
  await docker.output('network', 'connect', '--alias', 'visitor', 'shop_back', 'guest');
  const found = await docker('run', '--rm', '--network', 'shop_back', 'net-probe', 'net-probe', 'ping', 'visitor');
  t.equal(found.code, 0, found.stderr);
  t.match(
    await docker.output('network', 'ls', '--filter', 'label=com.docker.compose.project=shop'),
    /shop_back +bridge/,
  );
  await docker.output('network', 'disconnect', 'shop_back', 'guest');
  await docker.output('rm', '-f', 'guest');
});

t.test('down leaves nothing', async (t) => {
  const down = await compose('down', '-t', '0');
  t.equal(down.code, 0, down.stderr);
  t.match(down.stderr, /Removing network shop_back/);
  t.equal(await docker.output('ps', '-aq'), '');
  t.equal(await docker.output('network', 'ls', '-q', '--filter', 'type=custom'), '');
});
