import type { ContainerInspectResponse } from '@tsd/shared/api-containers';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { startForeground } from '../session/foreground.ts';
import { eachTarget } from './each-target.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER [CONTAINER...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'attach', short: 'a', type: 'bool', help: 'Attach STDOUT/STDERR and forward signals' },
    { name: 'detach-keys', type: 'string', help: 'Override the key sequence for detaching a container' },
    { name: 'interactive', short: 'i', type: 'bool', help: "Attach container's STDIN" },
  ],
  examples: [['Start and see the output; the exit code is that of the container', 'start -a job']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const { client } = context;
  const interactive = flags.bool('interactive');
  if (!flags.bool('attach') && !interactive) {
    return startAll(context, flags.args);
  }
  const [name = ''] = flags.args;
  if (flags.args.length > 1) throw new CliError('you cannot start and attach multiple containers at once');
  const container = await client.json<ContainerInspectResponse>({
    method: 'GET',
    path: `/containers/${segment(name)}/json`,
  });
  const { Config } = container;
  const tty = Config.Tty === true;
  const stdin = interactive && Config.OpenStdin === true;
  if (tty && stdin) (await import('../session/raw-terminal.ts')).checkInputIsTerminal();
  return startForeground(context, {
    create: async () => container.Id,
    tty,
    stdin,
    stdout: true,
    stderr: true,
    autoRemove: container.HostConfig.AutoRemove === true,
    signalProxy: !tty,
    detachKeys: flags.string('detach-keys'),
  });
}

/** As docker's client, names those that failed once more at the end. */
async function startAll(context: CommandContext, names: readonly string[]): Promise<number> {
  const failed = new Set<string>();
  const start = async (name: string): Promise<void> => {
    try {
      await context.client.send({ method: 'POST', path: `/containers/${segment(name)}/start` });
    } catch (error) {
      failed.add(name);
      throw error;
    }
  };
  const told = await eachTarget(context, names, start).catch((error: unknown) => {
    if (!(error instanceof CliError)) throw error;
    context.stderr.write(`tsdctl: ${error.message}\n`);
    return error.exitCode;
  });
  if (failed.size === 0) return told;
  context.stderr.write(`Error: failed to start containers: ${names.filter((name) => failed.has(name)).join(', ')}\n`);
  return told;
}
