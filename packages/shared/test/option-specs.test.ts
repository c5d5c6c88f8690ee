import t from 'tap';
import { isContainerName, parseContainerName } from '../src/container-name.ts';
import { isDeviceMode, parseDevice } from '../src/device-spec.ts';
import { mergeEnvironment, parseEnvironmentArgument, parseEnvironmentFile, parseLabels } from '../src/environment.ts';
import { parseExpose, parsePublish, toPortBindings } from '../src/port-spec.ts';
import { checkRestartPolicy, parseRestartPolicy } from '../src/restart-policy.ts';
import { parseSignal, signalName } from '../src/signal-names.ts';
import { parseUlimit } from '../src/ulimit-spec.ts';

t.test('container names', async (t) => {
  for (const name of ['ab', 'a.b-c_d', '0x', 'A'.repeat(200)]) t.ok(isContainerName(name), name);
  for (const name of ['', 'a', '-a', '.a', '_a', 'a/b', 'a b', 'ä1', 'a\n'])
    t.notOk(isContainerName(name), JSON.stringify(name));
  t.equal(parseContainerName('/web'), 'web');
  t.throws(() => parseContainerName('a/b'), {
    message: 'Invalid container name (a/b), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed',
  });
});

t.test('published ports', async (t) => {
  t.strictSame(parsePublish('80'), [{ containerPort: 80, protocol: 'tcp', hostIp: '', hostPort: null }]);
  t.strictSame(parsePublish('8080:80/udp'), [{ containerPort: 80, protocol: 'udp', hostIp: '', hostPort: 8080 }]);
  t.strictSame(parsePublish('127.0.0.1:8080:80'), [
    { containerPort: 80, protocol: 'tcp', hostIp: '127.0.0.1', hostPort: 8080 },
  ]);
  t.strictSame(parsePublish('127.0.0.1::80'), [
    { containerPort: 80, protocol: 'tcp', hostIp: '127.0.0.1', hostPort: null },
  ]);
  t.strictSame(parsePublish('[::1]:8080:80'), [{ containerPort: 80, protocol: 'tcp', hostIp: '::1', hostPort: 8080 }]);
  t.strictSame(toPortBindings(parsePublish('8000-8001:80-81')), {
    '80/tcp': [{ HostIp: '', HostPort: '8000' }],
    '81/tcp': [{ HostIp: '', HostPort: '8001' }],
  });
  for (const text of ['', 'x', '0', '65536', '80/icmp', '1-2:80-83', 'nohost:1:80', '5-4', '80:']) {
    t.throws(() => parsePublish(text), { code: 'bad_parameter' }, text);
  }
  t.strictSame(parseExpose('7000-7002/udp'), ['7000/udp', '7001/udp', '7002/udp']);
});

t.test('devices', async (t) => {
  t.strictSame(parseDevice('/dev/fuse'), {
    PathOnHost: '/dev/fuse',
    PathInContainer: '/dev/fuse',
    CgroupPermissions: 'rwm',
  });
  t.strictSame(parseDevice('/dev/a:/dev/b'), {
    PathOnHost: '/dev/a',
    PathInContainer: '/dev/b',
    CgroupPermissions: 'rwm',
  });
  t.strictSame(parseDevice('/dev/a:r'), { PathOnHost: '/dev/a', PathInContainer: '/dev/a', CgroupPermissions: 'r' });
  t.strictSame(parseDevice('/dev/a:/dev/b:rw'), {
    PathOnHost: '/dev/a',
    PathInContainer: '/dev/b',
    CgroupPermissions: 'rw',
  });
  for (const text of ['', ':/dev/a', '/dev/a:/dev/b:x', '/dev/a:/dev/b:rr', '/dev/a:rel', 'a:b:c:d']) {
    t.throws(() => parseDevice(text), { code: 'bad_parameter' }, text);
  }
  t.notOk(isDeviceMode(''));
});

t.test('ulimits', async (t) => {
  t.strictSame(parseUlimit('nofile=512:1024'), { Name: 'nofile', Soft: 512, Hard: 1024 });
  t.strictSame(parseUlimit('nofile=1024'), { Name: 'nofile', Soft: 1024, Hard: 1024 });
  t.strictSame(parseUlimit('memlock=-1'), { Name: 'memlock', Soft: -1, Hard: -1 });
  t.strictSame(parseUlimit('core=0:-1'), { Name: 'core', Soft: 0, Hard: -1 });
  for (const text of [
    'nofile',
    'nope=1',
    'nofile=',
    'nofile=1:2:3',
    'nofile=5:4',
    'nofile=-1:4',
    'nofile=x',
    'toString=1',
    'nofile=-2',
  ]) {
    t.throws(() => parseUlimit(text), { code: 'bad_parameter' }, text);
  }
});

t.test('environment files', async (t) => {
  const lookup = (name: string): string | undefined => ({ HOME: '/h' })[name];
  t.strictSame(
    parseEnvironmentFile('# c\n\n  A=1\nB="q" # not a comment\nHOME\nNOPE\r\nC=\n=x'.replace('\n=x', ''), lookup),
    ['A=1', 'B="q" # not a comment', 'HOME=/h', 'C='],
  );
  t.strictSame(parseEnvironmentFile('\uFEFFA=1', lookup), ['A=1']);
  t.throws(() => parseEnvironmentFile('A B=1', lookup, 'x.env'), {
    message: /x\.env.*'A B' contains whitespaces \(line 1\)/,
  });
  t.throws(() => parseEnvironmentFile('=x', lookup), { message: /no variable name/ });
  t.equal(parseEnvironmentArgument('A=b=c', lookup), 'A=b=c');
  t.equal(parseEnvironmentArgument('HOME', lookup), 'HOME=/h');
  t.equal(parseEnvironmentArgument('NOPE', lookup), null);
  t.throws(() => parseEnvironmentArgument('=x', lookup));
  t.strictSame(mergeEnvironment(['A=1', 'B=2'], ['A=3', 'C=4'], ['B']), ['A=3', 'C=4']);
  t.strictSame(
    parseLabels(['a=b=c', 'd', '__proto__=x']),
    Object.fromEntries([
      ['a', 'b=c'],
      ['d', ''],
      ['__proto__', 'x'],
    ]),
  );
});

t.test('restart policies', async (t) => {
  t.strictSame(parseRestartPolicy('no'), { Name: 'no', MaximumRetryCount: 0 });
  t.strictSame(parseRestartPolicy('on-failure:3'), { Name: 'on-failure', MaximumRetryCount: 3 });
  t.strictSame(parseRestartPolicy(''), { Name: '', MaximumRetryCount: 0 });
  for (const text of ['sometimes', ':3', 'on-failure:x', 'on-failure:-1', 'always:3', 'always:-3']) {
    t.throws(() => parseRestartPolicy(text), { code: 'bad_parameter', message: /^invalid restart policy/ }, text);
  }
  t.throws(() => checkRestartPolicy({ Name: 'no', MaximumRetryCount: 2 }), {
    message: /can only be used with 'on-failure'/,
  });
});

t.test('signals', async (t) => {
  for (const text of ['TERM', 'SIGTERM', 'sigterm', 'term', '15']) t.equal(parseSignal(text), 15, text);
  t.equal(parseSignal('RTMIN'), 34);
  t.equal(parseSignal('SIGRTMIN+3'), 37);
  t.equal(parseSignal('RTMAX-1'), 63);
  t.equal(parseSignal('64'), 64);
  for (const text of ['', '0', '65', '-9', 'NOPE', 'RTMIN-1', 'RTMIN+31', 'RTMAX+1', 'toString', '1.5', 'SIG']) {
    t.throws(() => parseSignal(text), { code: 'bad_parameter', message: `invalid signal: ${text}` }, text);
  }
  t.equal(signalName(9), 'SIGKILL');
  t.equal(signalName(6), 'SIGABRT');
  t.equal(signalName(35), 'SIGRTMIN+1');
});
