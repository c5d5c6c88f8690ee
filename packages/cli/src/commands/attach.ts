import type { ContainerInspectResponse } from '@tsd/shared/api-containers';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { registerWait } from '../session/exit-status.ts';
import { exitStatusOptions } from '../session/foreground.ts';
import { forwardSignals } from '../session/forward-signals.ts';
import { openAttachment } from '../session/open-attachment.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'detach-keys', type: 'string', help: 'Override the key sequence for detaching a container' },
    { name: 'no-stdin', type: 'bool', help: 'Do not attach STDIN' },
    {
      name: 'sig-proxy',
      type: 'bool',
      default: true,
      help: 'Proxy all received signals to the process (default true)',
    },
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const { client } = context;
  const [name = ''] = flags.args;
  const container = await client.json<ContainerInspectResponse>({
    method: 'GET',
    path: `/containers/${segment(name)}/json`,
  });
  const { State, Config } = container;
  if (!State.Running) throw new CliError('You cannot attach to a stopped container, start it first');
  if (State.Paused) throw new CliError('You cannot attach to a paused container, unpause it first');
  if (State.Restarting) throw new CliError('You cannot attach to a restarting container, wait until it is running');
  const tty = Config.Tty === true;
  const stdin = !flags.bool('no-stdin') && Config.OpenStdin === true;
  if (tty && stdin) (await import('../session/raw-terminal.ts')).checkInputIsTerminal();

  if (flags.bool('sig-proxy') && !tty) {
    forwardSignals(client, { containerId: () => container.Id, interrupted: process.exit }, context.stderr);
  }
  const exit = await registerWait(exitStatusOptions(context), container.Id, 'not-running');
  const attachment = await openAttachment(context, {
    containerId: container.Id,
    tty,
    stdin,
    stdout: true,
    stderr: true,
    detachKeys: flags.string('detach-keys'),
  });
  try {
    const session = attachment.run();
    attachment.started();
    return (await session) === 'detached' ? 0 : await exit.exitCode;
  } finally {
    attachment.close();
  }
}
