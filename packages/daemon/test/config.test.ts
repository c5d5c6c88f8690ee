import t from 'tap';
import { type Config, type ConfigSources, readConfig } from '../src/config.ts';

function read(argv: string[], file: string | null = null, env: ConfigSources['env'] = {}): Config {
  const result = readConfig({ argv, env, readFile: () => file });
  if (result.kind !== 'run') throw new Error(`unexpected ${result.kind}`);
  return result.config;
}

t.test('defaults', async (t) => {
  t.strictSame(read([]), {
    dataRoot: '/var/lib/tsd',
    execRoot: '/run/tsd',
    sockets: ['/run/tsd/tsd.sock'],
    group: 'tsd',
    logLevel: 'info',
    cgroupParent: null,
    defaultUlimits: [],
    registryMirrors: [],
    insecureRegistries: [],
    bridgeName: 'tsd0',
    bip: null,
    mtu: null,
    ipv6: false,
    ip: '0.0.0.0',
    defaultAddressPools: [],
    publishThroughInput: false,
    ipForwardNoDrop: false,
    pidFile: '/run/tsd/tsd.pid',
    launcherPath: null,
    assumedKernel: null,
    labels: [],
    configFile: '/etc/tsd/daemon.json',
  });
  t.ok(Object.isFrozen(read([])) && Object.isFrozen(read([]).sockets), 'the value is frozen throughout');
});

t.test('flags', async (t) => {
  const config = read([
    '--data-root=/d/',
    '--exec-root',
    '/e',
    '-H',
    'unix:///e/a.sock',
    '--host=/e/b.sock',
    '--group=',
    '--default-ulimit',
    'nofile=1024:2048',
    '--registry-mirror=https://mirror.example/hub',
    '--insecure-registry=10.0.0.0/8',
    '--insecure-registry=registry.lan:5000',
    '--bip=10.1.0.1/16',
    '--default-address-pool=base=10.2.0.0/16,size=24',
    '--publish-through-input',
    '--ip=127.0.0.1',
    '--ip-forward-no-drop',
    '--ipv6',
    '-D',
  ]);
  t.match(config, {
    dataRoot: '/d',
    execRoot: '/e',
    sockets: ['/e/a.sock', '/e/b.sock'],
    group: '',
    defaultUlimits: [{ Name: 'nofile', Soft: 1024, Hard: 2048 }],
    registryMirrors: ['https://mirror.example/hub/'],
    insecureRegistries: ['10.0.0.0/8', 'registry.lan:5000'],
    bridgeName: /^tsd[0-9a-f]{8}$/,
    bip: '10.1.0.1/16',
    defaultAddressPools: ['base=10.2.0.0/16,size=24'],
    publishThroughInput: true,
    ip: '127.0.0.1',
    ipForwardNoDrop: true,
    ipv6: true,
    logLevel: 'debug',
    pidFile: '/e/tsd.pid',
  });
  t.strictSame(read(['--exec-root', '/e']).sockets, ['/e/tsd.sock'], 'the socket follows the exec root');
});

t.test('help and version', async (t) => {
  const help = readConfig({ argv: ['--help'], env: {} });
  t.equal(help.kind, 'help');
  if (help.kind === 'help') t.match(help.text, /--data-root DIR/);
  t.equal(readConfig({ argv: ['-v'], env: {} }).kind, 'version');
});

t.test('sources: flag over variable over file', async (t) => {
  t.equal(read([], '{"data-root":"/file"}').dataRoot, '/file');
  t.equal(read([], '{"data-root":"/file"}', { TSD_DATA_ROOT: '/env' }).dataRoot, '/env');
  t.equal(read(['--data-root', '/flag'], null, { TSD_DATA_ROOT: '/env' }).dataRoot, '/flag');
  t.strictSame(read([], '{"default-ulimits":{"nofile":{"Name":"nofile","Soft":10,"Hard":20}}}').defaultUlimits, [
    { Name: 'nofile', Soft: 10, Hard: 20 },
  ]);
  t.equal(read([], null, { TSD_DEBUG: '1' }).logLevel, 'debug');
  t.match(read([], '{"mtu":1400,"default-address-pools":[{"base":"10.2.0.0/16","size":24}]}'), {
    mtu: 1400,
    defaultAddressPools: ['base=10.2.0.0/16,size=24'],
  });
});

t.test('refusals name the setting', async (t) => {
  const refused = (argv: string[], pattern: RegExp, file: string | null = null, env: ConfigSources['env'] = {}) =>
    t.throws(() => read(argv, file, env), { code: 'bad_parameter', message: pattern }, String(pattern));
  refused(['--nope'], /--nope/);
  refused(['extra'], /extra/);
  refused(['--data-root', 'relative'], /data-root: "relative" must be an absolute path/);
  refused(['-H', 'tcp://0.0.0.0:2375'], /host: invalid address "tcp:/);
  refused(['-H', `unix:///${'x'.repeat(120)}`], /longer than 107 bytes/);
  refused(['--log-level', 'loud'], /log-level: invalid level "loud"/);
  refused(['--cgroup-parent', '/a/../b'], /cgroup-parent/);
  refused(['--label', 'x'], /labels: bad attribute format: x/);
  refused(['--registry-mirror', 'mirror.example'], /invalid mirror: "mirror.example" is not a valid URI/);
  refused(['--registry-mirror', 'ftp://x/'], /unsupported scheme "ftp"/);
  refused(['--registry-mirror', 'https://user:secret@x/'], /username\/password not allowed in URI of x$/);
  refused(['--insecure-registry', 'https://x'], /insecure registry https:\/\/x should not contain/);
  refused(['--insecure-registry', '10.0.0.0/33'], /insecure registry 10.0.0.0\/33 is not valid/);
  refused(['--ip', 'localhost'], /ip: invalid address "localhost"/);
  refused(['--assume-kernel', 'six'], /assume-kernel: invalid version "six" \(write MAJOR.MINOR, like 6.1\)/);
  refused([], /directives don't match any configuration option: nope/, '{"nope":1}');
  refused([], /data-root must be a string/, '{"data-root":1}');
  refused([], /must hold a JSON object/, '[]');
  refused([], /daemon.json: .*JSON/, '{');
  refused([], /TSD_DEBUG: "maybe"/, null, { TSD_DEBUG: 'maybe' });
  refused(
    ['--data-root', '/flag'],
    /specified both as a flag and in the configuration file: data-root: \(from flag: \/flag, from file: \/file\)/,
    '{"data-root":"/file"}',
  );
  t.throws(() => read(['--config-file', '/none.json']), { message: /\/none.json: no such file/ });
});
