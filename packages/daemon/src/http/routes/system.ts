/** /_ping, /version and /info of the Docker Engine API. */
import { release } from 'node:os';
import { ErrorResponseSchema, SystemInfoSchema, type SystemVersion, SystemVersionSchema } from '@tsd/shared/api-system';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { API_VERSION, MIN_API_VERSION } from '../api-version.ts';
import { type BuildInfo, readIdentity, type SystemDeps, systemInfo } from '../system-info.ts';

const GO_ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', arm64: 'arm64', arm: 'arm' };

export async function systemRoutes(app: FastifyInstance, deps: SystemDeps): Promise<void> {
  const tags = ['System'];
  const identity = readIdentity(deps.config.dataRoot);

  const ping = (reply: FastifyReply): FastifyReply =>
    reply.headers({
      'builder-version': '1',
      'cache-control': 'no-cache, no-store, must-revalidate',
      pragma: 'no-cache',
      swarm: 'inactive',
      'content-type': 'text/plain; charset=utf-8',
    });
  const pingSchema = { tags, response: { 200: Type.String(), default: ErrorResponseSchema } };
  app.get(
    '/_ping',
    { schema: { ...pingSchema, summary: 'Says OK; the headers tell the API version' } },
    (_request, reply) => ping(reply).send('OK'),
  );
  app.head('/_ping', { schema: { ...pingSchema, summary: 'The headers alone' } }, (_request, reply) =>
    ping(reply).send(''),
  );

  app.get(
    '/version',
    {
      schema: {
        tags,
        summary: 'Versions of the engine and of its parts',
        response: { 200: SystemVersionSchema, default: ErrorResponseSchema },
      },
    },
    async () => version(deps.build),
  );
  app.get(
    '/info',
    {
      schema: {
        tags,
        summary: 'The engine, its host and what it can do',
        response: { 200: SystemInfoSchema, default: ErrorResponseSchema },
      },
    },
    async () => systemInfo(deps, identity),
  );
}

function version(build: BuildInfo): SystemVersion {
  const architecture = GO_ARCHITECTURES[process.arch] ?? process.arch;
  // Docker's client prints the runtime under "Go version".
  const runtime = `none (node ${process.versions.node})`;
  return {
    Platform: { Name: 'tsd' },
    Components: [
      {
        Name: 'Engine',
        Version: build.version,
        Details: {
          ApiVersion: API_VERSION,
          Arch: architecture,
          BuildTime: build.builtAt,
          Experimental: 'false',
          GitCommit: build.gitCommit,
          GoVersion: runtime,
          KernelVersion: release(),
          MinAPIVersion: MIN_API_VERSION,
          Os: 'linux',
        },
      },
      { Name: 'tsd-launch', Version: build.version, Details: { GitCommit: build.gitCommit } },
      { Name: 'node', Version: process.versions.node, Details: { GitCommit: '' } },
    ],
    Version: build.version,
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: build.gitCommit,
    GoVersion: runtime,
    Os: 'linux',
    Arch: architecture,
    KernelVersion: release(),
    BuildTime: build.builtAt,
  };
}
