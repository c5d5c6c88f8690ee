/** The network commands and port against a scripted daemon; the docker client is the measure where it is there. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import type { NetworkResource } from '@tsd/shared/api-networks';
import t from 'tap';
import { answerJson, type FakeDaemon, type Handler, startFakeDaemon } from './support/fake-daemon.ts';
import { runInProcess, runTsdctl } from './support/run-tsdctl.ts';

const DOCKER = '/usr/local/bin/docker';
const json =
  (value: unknown, status = 200): Handler =>
  (_request, response) =>
    answerJson(response, status, value);
const network = (name: string, id: string, rest: Partial<NetworkResource> = {}): NetworkResource => ({
  Name: name,
  Id: id.repeat(64),
  Created: '2026-11-23T20:31:14.12Z',
  Scope: 'local',
  Driver: 'bridge',
  EnableIPv4: true,
  EnableIPv6: false,
  IPAM: { Driver: 'default', Options: null, Config: [{ Subnet: '172.18.0.0/16', Gateway: '172.18.0.1' }] },
  Internal: false,
  Attachable: false,
  Ingress: false,
  ConfigFrom: { Network: '' },
  ConfigOnly: false,
  Containers: {},
  Options: {},
  Labels: {},
  ...rest,
});
const NETWORKS = [
  network('n10', 'a', { Labels: { a: '2' }, EnableIPv6: true }),
  network('none', 'b', { Driver: 'null' }),
  network('n2', 'c', { Internal: true }),
];
const PORTS = {
  '443/tcp': null,
  '80/tcp': [
    { HostIp: '0.0.0.0', HostPort: '8080' },
    { HostIp: '::', HostPort: '8080' },
  ],
  '53/udp': [{ HostIp: '127.0.0.1', HostPort: '53' }],
  '9/tcp': [{ HostIp: '0.0.0.0', HostPort: '9' }],
};
const NOT_FOUND = json({ message: 'network nope not found' }, 404);

/** Every route twice: as tsdctl asks for it, and with a version, as docker does. */
function withVersions(routes: Readonly<Record<string, Handler>>): Record<string, Handler> {
  const versioned = Object.entries(routes).map(([route, handler]) => [route.replace(' /', ' /v1.50/'), handler]);
  return { ...routes, ...(Object.fromEntries(versioned) as Record<string, Handler>) };
}

function start(t: Parameters<typeof startFakeDaemon>[0]): Promise<FakeDaemon> {
  return startFakeDaemon(t, {
    routes: {
      'HEAD /_ping': (_request, response) =>
        void response.writeHead(200, { 'api-version': '1.50', ostype: 'linux' }).end(),
      ...withVersions({
        'POST /networks/create': json({ Id: 'd'.repeat(64), Warning: '' }, 201),
        'GET /networks': json(NETWORKS),
        'GET /networks/n2': json(NETWORKS[2]),
        'GET /networks/nope': NOT_FOUND,
        'DELETE /networks/n2': (_request, response) => void response.writeHead(204).end(),
        'DELETE /networks/nope': NOT_FOUND,
        'POST /networks/n2/connect': (_request, response) => void response.writeHead(200).end(),
        'POST /networks/n2/disconnect': (_request, response) => void response.writeHead(200).end(),
        'POST /networks/prune': json({ NetworksDeleted: ['n2', 'n10'] }),
        'GET /containers/web/json': json({ Id: 'e'.repeat(64), NetworkSettings: { Ports: PORTS } }),
        'GET /containers/n2/json': json({ message: 'No such container: n2' }, 404),
        'GET /images/n2/json': json({ message: 'No such image: n2' }, 404),
      }),
    },
  });
}

/** Command lines that docker understands too: what it sends and prints is what tsdctl has to send and print. */
const ALIKE: readonly (readonly string[])[] = [
  ['network', 'create', 'app'],
  [
    ['network', 'create', '-d', 'bridge', '--subnet', '10.1.0.0/16,fd00::/64', '--gateway', '10.1.0.1'],
    ['--gateway', 'fd00::1', '--ip-range', '10.1.2.0/24', '--aux-address', 'a=10.1.0.5', '--ipam-opt', 'x=y'],
    ['--ipv6', '--ipv4=false', '--internal', '--attachable', '--label', 'a=b', '--label', 'c', '-o', 'com.x=1'],
    ['-o', 'y', '--scope', 'local', 'app'],
  ].flat(),
  ['network', 'create', '--config-from', 'other', 'app'],
  ['network', 'connect', 'n2', 'web'],
  [
    ['network', 'connect', '--alias', 'a', '--alias', 'b,c', '--ip', '10.1.0.9', '--ip6', 'fd00::9', '--link', 'x:y'],
    ['--link-local-ip', '169.254.1.1', '--driver-opt', 'a=b', '--gw-priority', '3', 'n2', 'web'],
  ].flat(),
  ['network', 'disconnect', 'n2', 'web'],
  ['network', 'disconnect', '-f', 'n2', 'web'],
  ['network', 'prune', '-f', '--filter', 'until=1h'],
  ['network', 'ls'],
  ['network', 'ls', '-q', '--no-trunc', '-f', 'driver=bridge'],
  ['network', 'ls', '--format', 'json'],
  [
    'network',
    'ls',
    '--format',
    'table {{.Name}}\t{{.IPv6}} {{.Internal}}\t{{.Label "a"}}\t{{.Labels}}\t{{.CreatedAt}}',
  ],
  ['network', 'rm', 'n2'],
  ['network', 'inspect', 'n2'],
  ['network', 'inspect', '-f', '{{.Name}} {{(index .IPAM.Config 0).Subnet}} {{len .Containers}}', 'n2'],
  ['inspect', '--type', 'network', 'n2'],
  ['port', 'web'],
  ['port', 'web', '80'],
  ['port', 'web', '53/udp'],
];

/** The docker client sends its address pools in the order of a Go map: another one each time. */
function inOrder(body: { IPAM?: { Config?: { Subnet: string }[] } }): unknown {
  body.IPAM?.Config?.sort((a, b) => a.Subnet.localeCompare(b.Subnet));
  return body;
}

t.test('the docker client sends and prints the same', async (t) => {
  if (!existsSync(DOCKER)) return void t.comment('no docker client: not compared');
  const daemon = await start(t);
  const sent = (from: number): unknown[] =>
    daemon.requests
      .slice(from)
      .filter(({ method, path }) => method !== 'HEAD' && !(method === 'GET' && path.endsWith('/networks/n2')))
      .map(({ method, path, query, body }) => ({
        method,
        path: path.replace('/v1.50/', '/'),
        query: [...query],
        body: body.length === 0 ? null : inOrder(JSON.parse(body.toString())),
      }));
  for (const argv of ALIKE) {
    const before = daemon.requests.length;
    const theirs = await promisify(execFile)(DOCKER, ['-H', daemon.host, ...argv]);
    const theirRequests = sent(before);
    const between = daemon.requests.length;
    const ours = await runInProcess(['-H', daemon.host, ...argv]);
    t.equal(ours.exitCode, 0, ours.stderr);
    const isInspect = argv.includes('inspect') && !argv.includes('-f');
    if (isInspect) t.strictSame(JSON.parse(ours.stdout)[0].Id, JSON.parse(theirs.stdout)[0].Id, argv.join(' '));
    // Docker prints an empty line for an empty answer to connect and disconnect.
    else t.equal(ours.stdout.trimEnd(), theirs.stdout.trimEnd(), argv.join(' '));
    t.strictSame(sent(between), theirRequests, `${argv.join(' ')}: requests`);
  }
});

t.test('network create with an egress policy', async (t) => {
  const daemon = await start(t);
  const options = async (...argv: string[]): Promise<unknown> => {
    const { exitCode, stdout, stderr } = await runInProcess(['-H', daemon.host, 'network', 'create', ...argv, 'app']);
    t.strictSame({ exitCode, stdout, stderr }, { exitCode: 0, stdout: `${'d'.repeat(64)}\n`, stderr: '' });
    return JSON.parse(daemon.requests.at(-1)?.body.toString() ?? '').Options;
  };
  t.strictSame(await options('--egress', 'allow'), { 'tsd.egress': 'allow' });
  t.strictSame(await options('--egress', 'deny'), { 'tsd.egress': 'deny' });
  t.strictSame(
    await options('--allow-egress', 'deb.debian.org:80, 10.0.0.0/8', '--allow-egress', '[fd00::1]:53', '-o', 'a=b'),
    { a: 'b', 'tsd.egress': 'deny', 'tsd.allow-egress': 'deb.debian.org:80,10.0.0.0/8,[fd00::1]:53' },
    'a list alone denies the rest',
  );
  const refused = (...argv: string[]): Promise<object> =>
    runInProcess(['-H', daemon.host, 'network', 'create', ...argv, 'app']);
  t.match(await refused('--egress', 'some'), { exitCode: 125, stderr: /"some" for "--egress" flag: must be deny/ });
  t.match(await refused('--egress', 'allow', '--allow-egress', 'x'), { exitCode: 125, stderr: /conflicting options/ });
});

t.test('run --allow-egress is an annotation', async (t) => {
  const daemon = await startFakeDaemon(t, {
    routes: { 'POST /containers/create': json({ Id: 'f'.repeat(64), Warnings: [] }, 201) },
  });
  const argv = [
    'create',
    '--annotation',
    'a=b',
    '--allow-egress',
    'x.org:443',
    '--allow-egress',
    '10.0.0.1',
    'busybox',
  ];
  t.equal((await runInProcess(['-H', daemon.host, ...argv])).exitCode, 0);
  t.strictSame(JSON.parse(daemon.requests.at(-1)?.body.toString() ?? '').HostConfig.Annotations, {
    a: 'b',
    'tsd.allow-egress': 'x.org:443,10.0.0.1',
  });
});

t.test('what does not fit together is refused before anything is sent', async (t) => {
  const daemon = await start(t);
  for (const [argv, message] of [
    [['--gateway', '10.0.0.1'], 'every ip-range or gateway must have a corresponding subnet'],
    [['--subnet', '10.0.0.0/24', '--gateway', '11.1.1.1'], 'no matching subnet for gateway 11.1.1.1'],
    [['--subnet', '10.0.0.0/24', '--ip-range', 'fd00::/80'], 'no matching subnet for range fd00::/80'],
    [['--subnet', '10.0.0.0/24', '--aux-address', 'q'], 'no matching subnet for aux-address '],
    [['--subnet', '10.0.0.0/24', '--subnet', '10.0.0.0/16'], 'multiple overlapping subnet configuration'],
    [
      ['--subnet', '10.0.0.0/24', '--subnet', 'fd00::/64', '--gateway', '10.0.0.1', '--gateway', '10.0.0.2'],
      'cannot configure multiple gateways (10.0.0.2, 10.0.0.1) for the same subnet (10.0.0.0/24)',
    ],
  ] as const) {
    const { exitCode, stderr } = await runInProcess(['-H', daemon.host, 'network', 'create', ...argv, 'app']);
    t.equal(exitCode, 1);
    t.match(stderr, message);
  }
  t.strictSame(daemon.requests, []);
});

t.test('what is not there', async (t) => {
  const daemon = await start(t);
  const run = (...argv: string[]): ReturnType<typeof runInProcess> => runInProcess(['-H', daemon.host, ...argv]);
  const notFound = 'Error response from daemon: network nope not found';
  t.match(await run('network', 'rm', 'nope', 'n2'), { exitCode: 1, stdout: 'n2\n', stderr: `tsdctl: ${notFound}\n` });
  t.match(await run('network', 'rm', '-f', 'nope'), { exitCode: 0, stdout: '', stderr: '' });
  const inspected = await run('network', 'inspect', 'nope', 'n2');
  t.match(inspected, { exitCode: 1, stderr: `${notFound}\n` });
  t.equal(JSON.parse(inspected.stdout)[0].Name, 'n2');
  t.equal(JSON.parse((await run('inspect', 'n2')).stdout)[0].Name, 'n2', 'inspect finds networks last');
  t.match(await run('port', 'web', '443'), {
    exitCode: 1,
    stderr: "tsdctl: Error: No public port '443' published for web\n",
  });
  t.match(await run('port', 'web', '80x'), { exitCode: 1, stderr: 'tsdctl: Error: invalid port (80x)\n' });
});

t.test('network prune asks first', async (t) => {
  const daemon = await start(t);
  const declined = await runTsdctl(['-H', daemon.host, 'network', 'prune'], { input: 'n\n' });
  t.match(declined, { exitCode: 0, stdout: /^WARNING! This will remove all custom networks not used by at least one/ });
  t.strictSame(daemon.requests, []);
});
