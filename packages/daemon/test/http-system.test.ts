import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SystemInfoSchema, SystemVersionSchema } from '@tsd/shared/api-system';
import { pino } from 'pino';
import t from 'tap';
import { Value } from 'typebox/value';
import { systemRoutes } from '../src/http/routes/system.ts';
import { createServer } from '../src/http/server.ts';
import type { HostFacts } from '../src/runtime/host-facts.ts';

const DOCKER = '/usr/local/bin/docker';
const directory = mkdtempSync(join(tmpdir(), 'tsd-system-'));
const socketPath = join(directory, 'api.sock');

const host = {
  architecture: 'x64',
  kernel: { release: '6.12.1', major: 6, minor: 12 },
  layers: { imageMode: 'index', detachedLayers: false },
  cgroups: { version: 2, unified: { controllers: [], mountPoint: '/sys/fs/cgroup', parent: '/sys/fs/cgroup/tsd' } },
  cgroupFiles: new Set(['memory.max', 'cpu.max', 'cpu.weight', 'cpuset.cpus', 'pids.max']),
  cpusetCpus: '',
  cpusetMems: '',
  capabilities: [],
  securityModules: ['capability', 'apparmor'],
  keyrings: true,
  pingGroupRange: true,
} as unknown as HostFacts;

const server = await createServer({
  config: { sockets: [socketPath], group: '' },
  log: pino({ level: 'silent' }),
  version: '1.2.3',
  routes: [
    (app) =>
      systemRoutes(app, {
        config: {
          dataRoot: directory,
          labels: ['rack=7'],
          logLevel: 'info',
          registryMirrors: ['https://mirror.example/'],
          insecureRegistries: ['10.0.0.0/8', 'registry.lan:5000'],
        },
        host,
        build: { version: '1.2.3', gitCommit: 'abc1234', builtAt: '2026-01-02T03:04:05Z' },
        launcherPath: '/usr/libexec/tsd-launch',
        containerCounts: () => ({ running: 3, paused: 0, stopped: 2 }),
        imageCount: () => 4,
      }),
  ],
});
await server.listen();
t.teardown(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

function get(
  path: string,
  method = 'GET',
): Promise<{ status: number; headers: Record<string, unknown>; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath, path, method }, async (response) => {
      let body = '';
      for await (const chunk of response) body += chunk;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
    });
    request.on('error', reject);
    request.end();
  });
}

t.test('_ping', async (t) => {
  for (const path of ['/_ping', '/v1.24/_ping']) {
    const answer = await get(path);
    t.equal(answer.body, 'OK');
    t.match(answer.headers, {
      'api-version': '1.47',
      'builder-version': '1',
      'content-type': 'text/plain; charset=utf-8',
      'docker-experimental': 'false',
      ostype: 'linux',
      swarm: 'inactive',
    });
    const head = await get(path, 'HEAD');
    t.equal(head.status, 200);
    t.match(head.headers, { 'api-version': '1.47', 'content-length': '0' });
  }
});

t.test('version and info have the shape that they declare', async (t) => {
  const version = JSON.parse((await get('/version')).body);
  t.ok(Value.Check(SystemVersionSchema, version));
  t.match(version, { Version: '1.2.3', ApiVersion: '1.47', MinAPIVersion: '1.24', Os: 'linux' });
  const info = JSON.parse((await get('/v1.44/info')).body);
  t.strictSame([...Value.Errors(SystemInfoSchema, info)], []);
  t.match(info, {
    Containers: 5,
    ContainersRunning: 3,
    ContainersStopped: 2,
    Images: 4,
    CgroupVersion: '2',
    MemoryLimit: true,
    SwapLimit: false,
    DefaultRuntime: 'tsd',
    RegistryConfig: {
      InsecureRegistryCIDRs: ['::1/128', '127.0.0.0/8', '10.0.0.0/8'],
      IndexConfigs: { 'docker.io': { Secure: true }, 'registry.lan:5000': { Secure: false } },
      Mirrors: ['https://mirror.example/'],
    },
    Driver: 'erofs',
    Labels: ['rack=7'],
    SecurityOptions: ['name=apparmor', 'name=seccomp,profile=builtin', 'name=userns', 'name=cgroupns'],
    Warnings: ['WARNING: No swap limit support'],
  });
});

t.test(
  "the real docker client's version and info",
  { skip: hasDocker() ? false : `no ${DOCKER} on this host` },
  async (t) => {
    const run = async (...args: string[]): Promise<{ stdout: string; stderr: string }> =>
      promisify(execFile)(DOCKER, args, {
        env: { DOCKER_HOST: `unix://${socketPath}`, HOME: directory, DOCKER_CONFIG: directory },
      });
    const version = await run('version');
    t.match(
      version.stdout,
      /Server: tsd\n Engine:\n {2}Version: +1\.2\.3\n {2}API version: +1\.47 \(minimum version 1\.24\)/,
    );
    const info = await run('info');
    t.match(
      info.stdout,
      / Containers: 5\n {2}Running: 3\n {2}Paused: 0\n {2}Stopped: 2\n Images: 4\n Server Version: 1\.2\.3\n Storage Driver: erofs/,
    );
    t.match(info.stdout, / Runtimes: tsd\n Default Runtime: tsd\n/);
    t.match(info.stderr, /WARNING: No swap limit support/);
    const networks = await run('network', 'ls').catch((error: { stderr: string }) => error);
    t.match(
      networks.stderr,
      /Error response from daemon: GET \/networks of the Docker API is not supported by tsd yet/,
    );
  },
);

function hasDocker(): boolean {
  try {
    accessSync(DOCKER, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
