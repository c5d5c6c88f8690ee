/** What the real docker client sends to create a container passes the schema, whatever its flags. */
import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ContainerCreateBody, ContainerCreateBodySchema } from '@tsd/shared/api-containers';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createServer } from '../src/http/server.ts';

const DOCKER = '/usr/local/bin/docker';
const directory = mkdtempSync(join(tmpdir(), 'tsd-create-'));
const socketPath = join(directory, 'api.sock');
const bodies: ContainerCreateBody[] = [];

async function routes(app: FastifyInstance): Promise<void> {
  app.get('/_ping', async () => 'OK');
  app.post<{ Body: ContainerCreateBody }>(
    '/containers/create',
    { schema: { body: ContainerCreateBodySchema } },
    async (request, reply) => {
      bodies.push(request.body);
      return reply.code(201).send({ Id: 'f'.repeat(64), Warnings: ['a warning'] });
    },
  );
}

const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log: pino({ level: 'silent' }),
  version: '1',
  routes: [routes],
});
await server.listen();
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function create(t: Test, ...args: string[]): Promise<ContainerCreateBody | undefined> {
  const { stdout, stderr } = await promisify(execFile)(DOCKER, ['create', '--pull', 'never', ...args], {
    env: { DOCKER_HOST: `unix://${socketPath}`, HOME: directory, DOCKER_CONFIG: directory },
  });
  t.equal(stdout, `${'f'.repeat(64)}\n`);
  t.match(stderr, 'WARNING: a warning');
  return bodies.at(-1);
}

t.test('docker create', { skip: hasDocker() ? false : `no ${DOCKER} on this host` }, async (t) => {
  t.match(await create(t, 'busybox'), {
    Image: 'busybox',
    Cmd: null,
    HostConfig: { NetworkMode: 'default', Memory: 0 },
  });
  const flags = [
    ...['--memory', '100M', '--memory-swap', '-1', '--memory-reservation', '50m', '--memory-swappiness', '10'],
    ...['--cpus', '1.5', '--cpu-shares', '512', '--cpuset-cpus', '0', '--pids-limit', '64', '--blkio-weight', '300'],
    ...['--cap-add', 'NET_ADMIN', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--privileged'],
    ...['--read-only', '--tmpfs', '/t:size=1m', '-v', '/tmp:/x:ro', '--mount', 'type=bind,src=/tmp,dst=/y,readonly'],
    ...['-u', '1000:1000', '-w', '/w', '-e', 'A=1', '--entrypoint', 'sh', '-h', 'host', '--ulimit', 'nofile=1:2'],
    ...['--device', '/dev/null', '--shm-size', '16m', '--sysctl', 'net.ipv4.ip_forward=1', '--label', 'a=b'],
    ...['--stop-signal', 'INT', '--stop-timeout', '3', '--init', '--restart', 'on-failure:3', '--network', 'none'],
    ...['-i', '-t', '-p', '8080:80', '--expose', '90', '--add-host', 'a:127.0.0.1', '--dns', '127.0.0.1'],
    ...['--health-cmd', 'true', '--health-interval', '5s', '--log-opt', 'max-size=1m', '--oom-kill-disable'],
    ...['--device-cgroup-rule', 'c 1:3 r', '--group-add', '5', '--gpus', 'all', '--annotation', 'x=y'],
    ...['--device-read-bps', '/dev/vda:1mb', '--pid', 'host', '--ipc', 'private', '--userns', 'host', '--uts', 'host'],
  ];
  const body = await create(t, ...flags, 'busybox', '-c', 'true');
  t.match(body, {
    Cmd: ['-c', 'true'],
    Entrypoint: ['sh'],
    Env: ['A=1'],
    StopTimeout: 3,
    HostConfig: {
      Memory: 104_857_600,
      MemorySwap: -1,
      NanoCpus: 1_500_000_000,
      Binds: ['/tmp:/x:ro'],
      Mounts: [{ Type: 'bind', Source: '/tmp', Target: '/y', ReadOnly: true }],
      PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
      Ulimits: [{ Name: 'nofile', Hard: 2, Soft: 1 }],
      NetworkMode: 'none',
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 },
    },
  });
});

function hasDocker(): boolean {
  try {
    accessSync(DOCKER, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
