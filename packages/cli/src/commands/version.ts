import type { SystemVersion } from '@tsd/shared/api-system';
import { CannotConnectError } from '../api/api-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { INSPECT_FORMAT_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { templateRenderer } from '../output/print-inspected.ts';
import { CLIENT_VERSION } from '../version.ts';

export const spec: CommandSpec = { usage: '[OPTIONS]', minArgs: 0, maxArgs: 0, flags: [INSPECT_FORMAT_FLAG] };

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const render = await templateRenderer(flags.string('format'));
  const client = {
    Version: CLIENT_VERSION,
    NodeVersion: process.version,
    Os: process.platform,
    Arch: process.arch === 'x64' ? 'amd64' : process.arch,
  };
  let server: SystemVersion | null = null;
  let failure: CannotConnectError | undefined;
  try {
    server = await context.client.json<SystemVersion>({ method: 'GET', path: '/version' });
  } catch (error) {
    if (!(error instanceof CannotConnectError)) throw error;
    failure = error;
  }
  if (render !== undefined) {
    if (server === null && failure !== undefined) throw failure;
    context.stdout.write(`${render({ Client: client, Server: withDockerNames(server) })}\n`);
    return 0;
  }
  context.stdout.write(`Client: tsdctl\n${fields(clientLines(client))}`);
  if (server !== null) context.stdout.write(`\nServer: ${server.Platform.Name}\n${fields(serverLines(server))}`);
  if (failure !== undefined) throw failure;
  return 0;
}

/** Docker's client names the API's version differently in templates than the API does. */
function withDockerNames(server: SystemVersion | null): object | null {
  return server === null ? null : { ...server, APIVersion: server.ApiVersion };
}

function clientLines(client: Readonly<Record<string, string>>): [string, string][] {
  return [
    ['Version', client['Version'] ?? ''],
    ['Node version', client['NodeVersion'] ?? ''],
    ['OS/Arch', `${client['Os']}/${client['Arch']}`],
  ];
}

function serverLines(server: SystemVersion): [string, string][] {
  return [
    ['Version', server.Version],
    ['API version', `${server.ApiVersion} (minimum version ${server.MinAPIVersion})`],
    ['Git commit', server.GitCommit],
    ['Built', server.BuildTime],
    ['Kernel', server.KernelVersion],
    ['OS/Arch', `${server.Os}/${server.Arch}`],
  ];
}

function fields(lines: readonly (readonly [string, string])[]): string {
  return lines
    .filter(([, value]) => value !== '')
    .map(([name, value]) => ` ${`${name}:`.padEnd(19)}${value}\n`)
    .join('');
}
