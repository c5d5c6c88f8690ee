/** The body of a create request equals what the docker client 28.2.2 sends for the same command line. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CONTAINER_FLAGS } from '../src/flags/container-flags.ts';
import type { FlagSpec } from '../src/flags/flag-spec.ts';
import { parseFlags } from '../src/flags/parse-flags.ts';
import { createRequest } from '../src/request/create-request.ts';
import type { RequestSource } from '../src/request/request-source.ts';

interface Body {
  HostConfig: Record<string, unknown>;
  NetworkingConfig: unknown;
  [field: string]: unknown;
}

interface Case {
  argv: string[];
  query?: string;
  delta: Partial<Body>;
}

const golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden/create-bodies.json'), 'utf8')) as {
  base: Body;
  cases: Case[];
};

/** Flags that `run` has besides those of create, and Docker's own that mean nothing here. */
const RUN_FLAGS: readonly FlagSpec[] = [
  { name: 'detach', short: 'd', type: 'bool', help: '' },
  { name: 'detach-keys', type: 'string', help: '' },
  { name: 'sig-proxy', type: 'bool', default: true, help: '' },
  { name: 'use-api-socket', type: 'bool', help: '' },
];

const source: RequestSource = {
  env: { HOSTED_VAR: 'from host' },
  workingDirectory: '/home/user/project',
  readFile: (path) => readFileSync(join(import.meta.dirname, path), 'utf8'),
  terminalSize: () => null,
};

function requestOf(argv: readonly string[]): ReturnType<typeof createRequest> {
  const flags = parseFlags([...CONTAINER_FLAGS, ...RUN_FLAGS], argv, { interspersed: false });
  return createRequest(flags, source, flags.bool('detach'));
}

for (const { argv, query, delta } of golden.cases) {
  t.test(argv.join(' '), (t) => {
    const request = requestOf(argv.slice(1));
    const expected = { ...golden.base, ...delta, HostConfig: { ...golden.base.HostConfig, ...delta.HostConfig } };
    t.strictSame(JSON.parse(JSON.stringify(request.body)), expected);
    const parameters = new URLSearchParams(query);
    t.equal(request.name, parameters.get('name') ?? undefined);
    t.equal(request.platform, parameters.get('platform') ?? undefined);
    t.end();
  });
}

const refused: readonly (readonly [argv: string[], message: string, showUsage: boolean])[] = [
  [['-m', 'abc', 'x'], `invalid argument "abc" for "-m, --memory" flag: invalid size: 'abc'`, true],
  [['--rm=zz', 'x'], 'invalid argument "zz" for "--rm" flag: strconv.ParseBool: parsing "zz": invalid syntax', true],
  [['-p', 'abc', 'x'], 'invalid containerPort: abc', false],
  [['--ulimit', 'foo', 'x'], 'invalid argument "foo" for "--ulimit" flag: invalid ulimit argument: foo', true],
  [['-e', '', 'x'], 'invalid argument "" for "-e, --env" flag: invalid environment variable: ', true],
  [['--security-opt', 'foo', 'x'], 'Invalid --security-opt: "foo"', false],
  [['--cpus', 'x', 'x'], 'invalid argument "x" for "--cpus" flag: failed to parse x as a rational number', true],
  [['--rm', '--restart', 'always', 'x'], 'conflicting options: cannot specify both --restart and --rm', false],
  [['--add-host', 'foo', 'x'], 'invalid argument "foo" for "--add-host" flag: bad format for add-host: "foo"', true],
  [['--sysctl', 'foo', 'x'], `invalid argument "foo" for "--sysctl" flag: sysctl 'foo' is not allowed`, true],
  [['--memory-swappiness', '200', 'x'], 'invalid value: 200. Valid memory swappiness range is 0-100', false],
  [['--pid', 'bad', 'x'], '--pid: invalid PID mode', false],
  [['--uts', 'bad', 'x'], '--uts: invalid UTS mode', false],
  [['--userns', 'bad', 'x'], '--userns: invalid USER mode', false],
  [['--cgroupns', 'bad', 'x'], '--cgroupns: invalid CGROUP mode', false],
  [
    ['--oom-score-adj', 'abc', 'x'],
    'invalid argument "abc" for "--oom-score-adj" flag: strconv.ParseInt: parsing "abc": invalid syntax',
    true,
  ],
  [
    ['--blkio-weight', '99999', 'x'],
    'invalid argument "99999" for "--blkio-weight" flag: strconv.ParseUint: parsing "99999": value out of range',
    true,
  ],
];
for (const [argv, message, showUsage] of refused) {
  t.test(`refuses ${argv.join(' ')}`, (t) => {
    let error: unknown;
    try {
      requestOf(argv);
    } catch (thrown) {
      error = thrown;
    }
    t.match(error, { exitCode: 125, showUsage });
    t.equal((error as Error).message.slice(0, message.length), message);
    t.end();
  });
}

t.test('a seccomp profile that is missing or no JSON is named', (t) => {
  const missing: RequestSource = {
    ...source,
    readFile: () => {
      throw new Error('open /x: no such file or directory');
    },
  };
  const flags = parseFlags(CONTAINER_FLAGS, ['--security-opt', 'seccomp=/x', 'img'], { interspersed: false });
  t.throws(() => createRequest(flags, missing), { message: /\/x/ });
  const bad: RequestSource = { ...source, readFile: () => '{' };
  t.throws(() => createRequest(flags, bad), { message: /compacting json for seccomp profile \(\/x\) failed/ });
  t.end();
});

t.test('the size of the terminal is sent for a tty', (t) => {
  const terminal: RequestSource = { ...source, terminalSize: () => ({ rows: 24, columns: 80 }) };
  const sizeOf = (...argv: string[]): unknown =>
    createRequest(parseFlags(CONTAINER_FLAGS, argv, { interspersed: false }), terminal).body.HostConfig['ConsoleSize'];
  t.strictSame(sizeOf('-t', 'img'), [24, 80]);
  t.strictSame(sizeOf('img'), [0, 0]);
  t.end();
});
