/** login, logout, pull, push and the pull of run, against a scripted daemon, with a credential helper made here. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  answerJson,
  type FakeDaemon,
  type Handler,
  type RecordedRequest,
  startFakeDaemon,
} from './support/fake-daemon.ts';
import { runOnTerminal, TSDCTL_COMMAND } from './support/run-on-terminal.ts';
import { type RunResult, runInProcess, runTsdctl } from './support/run-tsdctl.ts';

type Tap = Parameters<typeof startFakeDaemon>[0];

const DOCKER = '/usr/local/bin/docker';
const DIGEST = `sha256:${'a'.repeat(64)}`;
/** What dockerd 20.10 answers for a pull of two layers, one of which is here. */
const PULL_MESSAGES = [
  { status: 'Pulling from team/app', id: '1' },
  { status: 'Already exists', progressDetail: {}, id: '0123456789ab' },
  { status: 'Pulling fs layer', progressDetail: {}, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 36450, total: 1068732 }, progress: '[>  ]', id: '21c1c9f379fe' },
  { status: 'Waiting', progressDetail: {}, id: 'ba9876543210' },
  { status: 'Downloading', progressDetail: { current: 534366, total: 1068732 }, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 1068733, total: 1068732 }, id: '21c1c9f379fe' },
  { status: 'Downloading', progressDetail: { current: 77777 }, id: 'ba9876543210' },
  { status: 'Download complete', progressDetail: {}, id: '21c1c9f379fe' },
  { status: 'Pull complete', progressDetail: {}, id: '21c1c9f379fe' },
  { status: `Digest: ${DIGEST}` },
  { status: 'Status: Downloaded newer image for localhost:5000/team/app:1' },
];
const PUSH_MESSAGES = [
  { status: 'The push refers to repository [localhost:5000/team/app]' },
  { status: 'Preparing', progressDetail: {}, id: '2528f8f9c909' },
  { status: 'Pushing', progressDetail: { current: 512, total: 1024 }, id: '2528f8f9c909' },
  { status: 'Pushed', progressDetail: {}, id: '2528f8f9c909' },
  { status: `1: digest: ${DIGEST} size: 527` },
  { progressDetail: {}, aux: { Tag: '1', Digest: DIGEST, Size: 527 } },
];

const stream =
  (messages: readonly unknown[]): Handler =>
  (_request, response) =>
    sendMessages(response, messages);

function sendMessages(response: ServerResponse, messages: readonly unknown[]): void {
  response.writeHead(200, { 'content-type': 'application/json' });
  for (const message of messages) response.write(`${JSON.stringify(message)}\r\n`);
  response.end();
}

interface Scene {
  readonly daemon: FakeDaemon;
  /** $DOCKER_CONFIG. */
  readonly folder: string;
  readonly configPath: string;
  readonly env: Record<string, string>;
  run(...argv: string[]): Promise<RunResult>;
  config(): unknown;
  writeConfig(config: unknown): void;
  /** The last request's X-Registry-Auth, decoded. */
  sentAuth(): unknown;
}

/** A daemon for which alice's password is `s3cret pw`, and a folder for config.json. */
async function startScene(t: Tap, routes: Record<string, Handler> = {}): Promise<Scene> {
  const base = mkdtempSync(join(tmpdir(), 'tsdctl-test-'));
  t.teardown(() => rmSync(base, { recursive: true }));
  const folder = join(base, 'docker');
  const configPath = join(folder, 'config.json');
  const pull = stream(PULL_MESSAGES);
  const daemon = await startFakeDaemon(t, {
    routes: {
      'POST /auth': (request, response) => {
        const { username, password } = JSON.parse(request.body.toString());
        if (username === 'token') answerJson(response, 200, { Status: 'Login Succeeded', IdentityToken: 'refresh' });
        else if (username === 'alice' && password === 's3cret pw')
          answerJson(response, 200, { Status: 'Login Succeeded', IdentityToken: '' });
        else answerJson(response, 401, { message: 'login attempt failed with status: 401 Unauthorized' });
      },
      'HEAD /_ping': (_request, response) =>
        void response.writeHead(200, { 'api-version': '1.47', ostype: 'linux' }).end(),
      'POST /images/create': pull,
      'POST /v1.47/images/create': pull,
      'POST /images/*/*/push': stream(PUSH_MESSAGES),
      'POST /images/*/*/*/push': stream(PUSH_MESSAGES),
      ...routes,
    },
  });
  const env = { DOCKER_CONFIG: folder, PATH: `${join(base, 'bin')}:${process.env['PATH']}` };
  return {
    daemon,
    folder,
    configPath,
    env,
    run: (...argv) => runInProcess(['-H', daemon.host, ...argv], env),
    config: () => JSON.parse(readFileSync(configPath, 'utf8')),
    writeConfig(config) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(configPath, JSON.stringify(config));
    },
    sentAuth: () => decodeAuth(daemon.requests.at(-1)),
  };
}

function decodeAuth(request: RecordedRequest | undefined): unknown {
  const header = request?.headers['x-registry-auth'];
  if (header === undefined) return undefined;
  return JSON.parse(Buffer.from(String(header), 'base64url').toString());
}

const encode = (text: string): string => Buffer.from(text).toString('base64');
const UNENCRYPTED = (path: string): string =>
  `\nWARNING! Your credentials are stored unencrypted in '${path}'.\n` +
  'Configure a credential helper to remove this warning. See\nhttps://docs.docker.com/go/credential-store/\n\n';

t.test('login keeps the credentials in config.json', async (t) => {
  const { run, config, configPath, folder, daemon, env } = await startScene(t);
  const login = (input: string, ...argv: string[]): Promise<RunResult> =>
    runTsdctl(['-H', daemon.host, 'login', ...argv], { input, env });
  t.strictSame(await login('s3cret pw\r\n', '-u', 'alice', '--password-stdin', 'localhost:5000'), {
    exitCode: 0,
    stdout: 'Login Succeeded\n',
    stderr: UNENCRYPTED(configPath),
  });
  t.strictSame(JSON.parse(daemon.requests.at(-1)?.body.toString() ?? ''), {
    username: 'alice',
    password: 's3cret pw',
    serveraddress: 'localhost:5000',
  });
  t.strictSame(config(), { auths: { 'localhost:5000': { auth: encode('alice:s3cret pw') } } });
  t.equal(statSync(configPath).mode & 0o777, 0o600);
  t.equal(statSync(folder).mode & 0o777, 0o700);

  t.strictSame(await run('login', 'localhost:5000'), {
    exitCode: 0,
    stdout: 'Authenticating with existing credentials... [Username: alice]\nLogin Succeeded\n',
    stderr: "\nInfo -> To login with a different account, run 'tsdctl logout' followed by 'tsdctl login'\n\n\n",
  });
  t.match(await run('login', '-u', 'alice', '-p', 'nope', 'localhost:5000'), {
    exitCode: 1,
    stderr:
      'WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n' +
      'tsdctl: Error response from daemon: login attempt failed with status: 401 Unauthorized\n',
  });
  t.equal((await login('s3cret pw', '-u', 'alice', '--password-stdin')).exitCode, 0);
  t.equal((await login('x', '-u', 'token', '--password-stdin', 'https://other.example:5000/v2/')).stderr, '');
  t.strictSame(config(), {
    auths: {
      'localhost:5000': { auth: encode('alice:s3cret pw') },
      'https://index.docker.io/v1/': { auth: encode('alice:s3cret pw') },
      'other.example:5000': { auth: encode('token:'), identitytoken: 'refresh' },
    },
  });

  for (const [argv, stderr] of [
    [['-p', 'x', '--password-stdin', '-u', 'a'], 'cannot specify both --password and --password-stdin'],
    [['--password-stdin'], 'the --password-stdin option requires --username to be set'],
    [['-u', ' ', '-p', 'x'], 'username is empty'],
    [['-u', 'a', '-p', ''], 'password is empty'],
    [['-u', 'a', '--password-stdin'], 'password is empty'],
    [['-u', 'a'], 'Error: Cannot perform an interactive login from a non TTY device'],
    [['a', 'b'], "'tsdctl login' requires at most 1 argument"],
  ] as const) {
    t.match(await login('\n', ...argv), { exitCode: 1, stderr });
  }
});

t.test('what other clients keep in config.json stays', async (t) => {
  const { run, config, configPath, writeConfig, folder } = await startScene(t);
  const other = {
    detachKeys: 'ctrl-e',
    plugins: { x: { a: [1, null] } },
    auths: { 'a.example': { auth: 'Yjpj', email: 'e' } },
  };
  writeConfig(other);
  chmodSync(configPath, 0o644);
  const login = ['login', '-u', 'alice', '-p', 's3cret pw', 'b.example'];
  t.equal((await run(...login)).exitCode, 0);
  t.strictSame(config(), { ...other, auths: { ...other.auths, 'b.example': { auth: encode('alice:s3cret pw') } } });
  t.equal(statSync(configPath).mode & 0o777, 0o600);
  t.equal((await run('logout', 'b.example')).stdout, 'Removing login credentials for b.example\n');
  t.strictSame(config(), other);

  const elsewhere = join(folder, 'elsewhere.json');
  writeFileSync(elsewhere, '{}');
  rmSync(configPath);
  symlinkSync(elsewhere, configPath);
  t.equal((await run(...login)).exitCode, 0);
  t.match(readFileSync(elsewhere, 'utf8'), /b\.example/, 'the link is followed, not replaced');

  for (const [text, reason] of [
    ['{"auths": {"x": "s3cret', 'it is not JSON'],
    ['{"auths": ["s3cret"]}', 'auths must be a JSON object'],
    ['{"auths": {"x": "s3cret"}}', 'auths.x must be a JSON object'],
    ['{"credsStore": 1}', 'the helper of credsStore must be a text'],
  ] as const) {
    writeFileSync(elsewhere, text);
    const message = `Error parsing config file (${configPath}): ${reason}\n`;
    for (const argv of [login, ['logout', 'b.example']]) {
      t.match(await run(...argv), { exitCode: 1, stderr: new RegExp(`tsdctl: ${message.replace(/[()]/g, '\\$&')}`) });
    }
    t.equal((await run('pull', '-q', 'b.example/x')).stderr, `WARNING: ${message}`);
    t.equal(readFileSync(elsewhere, 'utf8'), text, 'nothing is lost of a file that cannot be read');
  }
});

t.test('logout', async (t) => {
  const { run, config, configPath, writeConfig } = await startScene(t);
  t.strictSame(await run('logout', 'nowhere.example'), {
    exitCode: 0,
    stdout: 'Removing login credentials for nowhere.example\n',
    stderr: '',
  });
  t.notOk(existsSync(configPath), 'no file is made for nothing');
  const names = ['h:5000', 'http://h:5000', 'https://h:5000', 'https://h:5000/v2/', 'https://index.docker.io/v1/'];
  writeConfig({ auths: Object.fromEntries(names.map((name) => [name, { auth: 'Yjpj' }])) });
  t.equal((await run('logout', 'https://h:5000/v2/')).stdout, 'Removing login credentials for h:5000\n');
  t.strictSame(config(), { auths: { 'https://index.docker.io/v1/': { auth: 'Yjpj' } } });
  t.equal((await run('logout')).stdout, 'Removing login credentials for https://index.docker.io/v1/\n');
  t.strictSame(config(), { auths: {} });
});

t.test('a credential helper', async (t) => {
  const { run, config, writeConfig, folder, sentAuth } = await startScene(t);
  const bin = join(folder, '../bin');
  mkdirSync(bin);
  const log = join(folder, 'helper.log');
  const helper = (name: string, script: string): void => {
    writeFileSync(join(bin, `docker-credential-${name}`), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  };
  helper(
    'test',
    `in=$(cat); echo "$1 $in" >> '${log}'
case $1 in
get) cat '${folder}/kept' 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; };;
store) echo "$in" > '${folder}/kept';;
erase) rm -f '${folder}/kept';;
esac`,
  );
  helper('broken', 'echo boom; exit 3');
  helper('nonsense', 'echo "s3cret"');
  const login = ['login', '-u', 'alice', '-p', 's3cret pw', 'h.example'];
  const stored = '{"ServerURL":"h.example","Username":"alice","Secret":"s3cret pw"}';

  writeConfig({ credHelpers: { 'h.example': 'test' }, auths: { 'h.example': { auth: encode('alice:old') } } });
  t.match(await run(...login), {
    exitCode: 0,
    stderr: 'WARNING! Using --password via the CLI is insecure. Use --password-stdin.\n',
  });
  t.strictSame(
    config(),
    { credHelpers: { 'h.example': 'test' }, auths: { 'h.example': {} } },
    'the file holds no password',
  );
  await run('pull', '-q', 'h.example/x');
  t.strictSame(sentAuth(), { username: 'alice', password: 's3cret pw', serveraddress: 'h.example' });
  await run('pull', '-q', 'other.example/x');
  t.equal(sentAuth(), undefined, 'it is asked for its own registry only');
  t.equal((await run('logout', 'h.example')).exitCode, 0);
  t.equal(readFileSync(log, 'utf8'), `store ${stored}\nget h.example\nerase h.example\n`);
  t.strictSame(config(), { credHelpers: { 'h.example': 'test' }, auths: {} });
  t.strictSame(await run('pull', '-q', 'h.example/x'), { exitCode: 0, stdout: 'h.example/x:latest\n', stderr: '' });
  t.equal(sentAuth(), undefined);

  writeConfig({ credsStore: 'test' });
  writeFileSync(join(folder, 'kept'), '{"ServerURL":"","Username":"<token>","Secret":"refresh"}');
  await run('pull', '-q', 'alpine');
  t.strictSame(sentAuth(), { serveraddress: 'https://index.docker.io/v1/', identitytoken: 'refresh' });

  for (const [name, reason] of [
    ['broken', 'exit status 3, out: `boom`'],
    ['missing', 'exec: "docker-credential-missing": executable file not found in $PATH, out: ``'],
  ] as const) {
    writeConfig({ credsStore: name });
    t.match(await run(...login), {
      exitCode: 1,
      stderr: `\ntsdctl: Error saving credentials: error storing credentials - err: ${reason}\n`,
    });
    t.strictSame(await run('pull', '-q', 'h.example/x'), {
      exitCode: 0,
      stdout: 'h.example/x:latest\n',
      stderr: `WARNING: error getting credentials - err: ${reason}\n`,
    });
    const erased = await run('logout', 'h.example');
    t.match(erased.stderr, /^WARNING: could not erase credentials:\nh\.example: error erasing credentials - err: /);
  }
  writeConfig({ credsStore: 'nonsense' });
  t.notMatch((await run('pull', '-q', 'h.example/x')).stderr, /s3cret/);
});

t.test('login on a terminal', async (t) => {
  const { daemon, env, config, configPath, writeConfig } = await startScene(t);
  const login = (typed: [string, string][], ...argv: string[]): ReturnType<typeof runOnTerminal> =>
    runOnTerminal([...TSDCTL_COMMAND, '-H', daemon.host, 'login', ...argv], { env, typed });
  // Typed with a mistake and its correction, the password too.
  const asked = await login(
    [
      ['Username: ', 'alicf\x7fe\r'],
      ['Password: ', 'xy\x15s3cret pv\x7fw\r'],
    ],
    'h.example',
  );
  t.equal(
    asked.shown,
    `Username: alicf\b \be\r\nPassword: \r\n${UNENCRYPTED(configPath).replaceAll('\n', '\r\n')}Login Succeeded\r\n`,
  );
  t.equal(asked.exitCode, 0);
  t.strictSame(config(), { auths: { 'h.example': { auth: encode('alice:s3cret pw') } } });

  writeConfig({ auths: { 'h.example': { auth: encode('alice:old') } } });
  const again = await login(
    [
      ['Username (alice): ', '\r'],
      ['Password: ', 's3cret pw\n'],
    ],
    'h.example',
  );
  t.match(again.shown, /Stored credentials invalid or expired\r\nUsername \(alice\): \r\nPassword: \r\n/);
  t.equal(again.exitCode, 0);
  t.strictSame(config(), { auths: { 'h.example': { auth: encode('alice:s3cret pw') } } });

  // Everything at once, as a paste comes.
  t.equal((await login([['Username: ', 'alice\rs3cret pw\r']], 'paste.example')).exitCode, 0);
  t.match(await login([['Username: ', '\r']], 'x.example'), {
    exitCode: 1,
    shown: /Error: Non-null Username Required/,
  });
  t.match(await login([['Password: ', '\x04']], '-u', 'alice', 'x.example'), {
    exitCode: 1,
    shown: /Error: Password Required/,
  });
  t.match(await login([['Password: ', 's3cr\x03']], '-u', 'alice', 'x.example'), {
    exitCode: 130,
    shown: 'Password: \r\ntsdctl: cancelled\r\n',
  });
});

t.test('pull', async (t) => {
  const { run, daemon, writeConfig, sentAuth } = await startScene(t);
  writeConfig({ auths: { 'https://localhost:5000/v1/': { auth: encode('alice:p:ä?>') } } });
  t.strictSame(await run('pull', 'localhost:5000/team/app:1'), {
    exitCode: 0,
    stdout:
      '1: Pulling from team/app\n0123456789ab: Already exists\n21c1c9f379fe: Pulling fs layer\nba9876543210: Waiting\n' +
      '21c1c9f379fe: Download complete\n21c1c9f379fe: Pull complete\n' +
      `Digest: ${DIGEST}\nStatus: Downloaded newer image for localhost:5000/team/app:1\nlocalhost:5000/team/app:1\n`,
    stderr: '',
  });
  t.equal(daemon.requests.at(-1)?.query.toString(), 'fromImage=localhost%3A5000%2Fteam%2Fapp&tag=1');
  t.strictSame(sentAuth(), { username: 'alice', password: 'p:ä?>', serveraddress: 'localhost:5000' });
  t.match(daemon.requests.at(-1)?.headers['x-registry-auth'], /^[A-Za-z0-9_-]+=*$/);

  t.match(
    (await run('pull', 'alpine')).stdout,
    /^Using default tag: latest\n.*\ndocker\.io\/library\/alpine:latest\n$/s,
  );
  t.equal(sentAuth(), undefined);
  t.equal((await run('pull', '-q', '--platform', 'linux/arm64', 'alpine')).stdout, 'docker.io/library/alpine:latest\n');
  t.equal(daemon.requests.at(-1)?.query.get('platform'), 'linux/arm64');
  t.equal((await run('pull', '-q', `a.example/x:1@${DIGEST}`)).stdout, `a.example/x:1@${DIGEST}\n`);
  t.equal(daemon.requests.at(-1)?.query.get('tag'), DIGEST);
  t.equal((await run('image', 'pull', '-aq', 'alpine')).stdout, 'docker.io/library/alpine\n');
  t.equal(daemon.requests.at(-1)?.query.get('tag'), null);
  t.match(await run('pull', '-a', 'alpine:1'), {
    exitCode: 1,
    stderr: "tsdctl: tag can't be used with --all-tags/-a\n",
  });
  t.match(await run('pull', 'Bad'), { exitCode: 1, stderr: /must be lowercase/ });
});

t.test('an error in the middle of a pull', async (t) => {
  const { run } = await startScene(t, {
    'POST /images/create': stream([
      PULL_MESSAGES[0],
      { errorDetail: { message: 'no space left' }, error: 'no space left' },
    ]),
  });
  t.strictSame(await run('pull', 'localhost:5000/team/app:1'), {
    exitCode: 1,
    stdout: '1: Pulling from team/app\n',
    stderr: 'tsdctl: no space left\n',
  });
});

t.test('push', async (t) => {
  const { run, daemon, writeConfig, sentAuth } = await startScene(t);
  writeConfig({ auths: { 'localhost:5000': { auth: encode('alice:s3cret pw') } } });
  t.strictSame(await run('push', 'localhost:5000/team/app:1'), {
    exitCode: 0,
    stdout:
      'The push refers to repository [localhost:5000/team/app]\n2528f8f9c909: Preparing\n2528f8f9c909: Pushed\n' +
      `1: digest: ${DIGEST} size: 527\n`,
    stderr: '',
  });
  const request = daemon.requests.at(-1);
  t.equal(request?.path, '/images/localhost:5000/team/app/push');
  t.equal(request?.query.toString(), 'tag=1');
  t.strictSame(sentAuth(), { username: 'alice', password: 's3cret pw', serveraddress: 'localhost:5000' });
  t.match((await run('image', 'push', 'team/app')).stdout, /^Using default tag: latest\nThe push refers/);
  t.equal(daemon.requests.at(-1)?.path, '/images/team/app/push');
  t.equal((await run('push', '-q', 'team/app')).stdout, 'docker.io/team/app:latest\n');
  t.equal((await run('push', '-aq', 'team/app')).stdout, 'docker.io/team/app\n');
  t.equal(daemon.requests.at(-1)?.query.toString(), '');
  t.match(await run('push', '-a', 'team/app:1'), {
    exitCode: 1,
    stderr: "tsdctl: tag can't be used with --all-tags/-a\n",
  });
  t.match(await run('push', `team/app@${DIGEST}`), { exitCode: 1, stderr: 'tsdctl: cannot push a digest reference\n' });
});

t.test('run pulls what is missing, with the credentials', async (t) => {
  let pulls = 0;
  const create: Handler = (_request, response) =>
    pulls === 0
      ? answerJson(response, 404, { message: 'No such image: localhost:5000/team/app:1' })
      : answerJson(response, 201, { Id: 'c'.repeat(64), Warnings: [] });
  const { run, daemon, writeConfig } = await startScene(t, {
    'POST /containers/create': create,
    'POST /images/create': (_request, response) => {
      pulls++;
      sendMessages(response, PULL_MESSAGES);
    },
  });
  writeConfig({ auths: { 'localhost:5000': { auth: encode('alice:s3cret pw') } } });
  const missing = await run('create', 'localhost:5000/team/app:1');
  t.equal(missing.stdout, `${'c'.repeat(64)}\n`);
  t.match(missing.stderr, /^Unable to find image 'localhost:5000\/team\/app:1' locally\n1: Pulling from team\/app\n/);
  t.match(decodeAuth(daemon.requests.find(({ path }) => path === '/images/create')), { username: 'alice' });
  t.strictSame(
    daemon.requests.map(({ path }) => path),
    ['/containers/create', '/images/create', '/containers/create'],
  );

  pulls = 0;
  t.strictSame(await run('create', '-q', 'localhost:5000/team/app:1'), {
    exitCode: 0,
    stdout: `${'c'.repeat(64)}\n`,
    stderr: '',
  });
  t.match((await run('create', '--pull', 'always', 'localhost:5000/team/app:1')).stderr, /^1: Pulling from/);
  t.equal(pulls, 2);
  t.match(await run('create', '--pull', 'sometimes', 'x'), {
    exitCode: 125,
    stderr: /invalid pull option: 'sometimes'/,
  });
});

t.test(
  'a terminal shows what the docker client shows',
  { skip: existsSync(DOCKER) ? false : 'no docker client' },
  async (t) => {
    const { daemon, env } = await startScene(t);
    const pull = ['-H', daemon.host, 'pull', 'localhost:5000/team/app:1'];
    const ours = await runOnTerminal([...TSDCTL_COMMAND, ...pull], { env, columns: 120 });
    t.match(ours.shown, /Downloading \[=========================> {25}\] {2}534.4kB\/1.069MB\r/);
    t.strictSame(ours, await runOnTerminal([DOCKER, ...pull], { env, columns: 120 }));
    // Docker draws no bar on terminals of up to 110 columns.
    const narrow = await runOnTerminal([...TSDCTL_COMMAND, ...pull], { env, columns: 80 });
    t.match(narrow.shown, /Downloading \[==========> {10}\] {2}534.4kB\/1.069MB\r/);
    const small = await runOnTerminal([...TSDCTL_COMMAND, ...pull], { env, columns: 60 });
    t.strictSame(small, await runOnTerminal([DOCKER, ...pull], { env, columns: 60 }));
  },
);

t.test('search says why not', async (t) => {
  const { run } = await startScene(t, {
    'GET /images/search': (_request, response) => answerJson(response, 501, { message: 'searching is not supported' }),
  });
  t.match(await run('search', 'alpine'), { exitCode: 1, stderr: /searching is not supported/ });
});
