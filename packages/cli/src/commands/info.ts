import type { SystemInfo } from '@tsd/shared/api-system';
import { formatBinaryBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { INSPECT_FORMAT_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { templateRenderer } from '../output/print-inspected.ts';
import { CLIENT_VERSION } from '../version.ts';

export const spec: CommandSpec = { usage: '[OPTIONS]', minArgs: 0, maxArgs: 0, flags: [INSPECT_FORMAT_FLAG] };

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const render = await templateRenderer(flags.string('format'));
  const info = await context.client.json<SystemInfo>({ method: 'GET', path: '/info' });
  if (render !== undefined) {
    context.stdout.write(`${render({ ...info, ClientInfo: { Version: CLIENT_VERSION } })}\n`);
    return 0;
  }
  context.stdout.write(`Client: tsdctl\n Version: ${CLIENT_VERSION}\n\nServer:\n${infoLines(info).join('\n')}\n`);
  for (const warning of info.Warnings ?? []) context.stderr.write(`${warning}\n`);
  return 0;
}

function infoLines(info: SystemInfo): string[] {
  return [
    ` Containers: ${info.Containers}`,
    `  Running: ${info.ContainersRunning}`,
    `  Paused: ${info.ContainersPaused}`,
    `  Stopped: ${info.ContainersStopped}`,
    ` Images: ${info.Images}`,
    ` Server Version: ${info.ServerVersion}`,
    ` Storage Driver: ${info.Driver}`,
    ...info.DriverStatus.map(([name, value]) => `  ${name}: ${value}`),
    ` Logging Driver: ${info.LoggingDriver}`,
    ` Cgroup Driver: ${info.CgroupDriver}`,
    ` Cgroup Version: ${info.CgroupVersion}`,
    ' Security Options:',
    ...info.SecurityOptions.map((option) => `  ${option.replace(/^name=/, '').replaceAll(',', ' ')}`),
    ` Kernel Version: ${info.KernelVersion}`,
    ` Operating System: ${info.OperatingSystem}`,
    ` OSType: ${info.OSType}`,
    ` Architecture: ${info.Architecture}`,
    ` CPUs: ${info.NCPU}`,
    ` Total Memory: ${formatBinaryBytes(info.MemTotal)}`,
    ` Name: ${info.Name}`,
    ` ID: ${info.ID}`,
    ` Root Dir: ${info.DockerRootDir}`,
    ` Debug Mode: ${info.Debug}`,
    ` Live Restore Enabled: ${info.LiveRestoreEnabled}`,
  ];
}
