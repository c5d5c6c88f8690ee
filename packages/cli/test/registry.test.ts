/** pull, push and the pull of run, against a scripted daemon. */
import { existsSync } from 'node:fs';
import t from 'tap';
import { answerJson, type Handler } from './support/fake-daemon.ts';
import {
  DIGEST,
  decodeAuth,
  encode,
  PULL_MESSAGES,
  sendMessages,
  startScene,
  stream,
} from './support/registry-scene.ts';
import { runOnTerminal, TSDCTL_COMMAND } from './support/run-on-terminal.ts';

const DOCKER = '/usr/local/bin/docker';

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
