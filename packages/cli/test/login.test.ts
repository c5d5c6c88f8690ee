/** login and logout against a scripted daemon, with credential helpers made here. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { encode, startScene } from './support/registry-scene.ts';
import { runOnTerminal, TSDCTL_COMMAND } from './support/run-on-terminal.ts';
import { type RunResult, runTsdctl } from './support/run-tsdctl.ts';

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
    [['a', 'b'], "'tsdctl login' requires at most 1 argument"],
  ] as const) {
    t.match(await run('login', ...argv), { exitCode: 1, stderr });
  }
  t.match(await login('\n', '-u', 'a', '--password-stdin'), { exitCode: 1, stderr: 'password is empty' });
  t.match(await login('\n', '-u', 'a'), {
    exitCode: 1,
    stderr: 'Error: Cannot perform an interactive login from a non TTY device',
  });
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
