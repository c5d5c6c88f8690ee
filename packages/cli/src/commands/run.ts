/** `run`: create, attach, wait, start — the sequence of Docker's client without its other round trips. */

import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { CONTAINER_FLAGS } from '../flags/container-flags.ts';
import type { FlagSpec, ParsedFlags } from '../flags/flag-spec.ts';
import { createRequest } from '../request/create-request.ts';
import { clientSource } from '../session/client-source.ts';
import { createContainer } from '../session/create-container.ts';
import { startForeground } from '../session/foreground.ts';

const RUN_FLAGS: readonly FlagSpec[] = [
  {
    name: 'detach',
    short: 'd',
    type: 'bool',
    group: 'Process',
    help: 'Run container in background and print container ID',
  },
  {
    name: 'sig-proxy',
    type: 'bool',
    default: true,
    group: 'Process',
    help: 'Proxy received signals to the process (default true)',
  },
  {
    name: 'detach-keys',
    type: 'string',
    group: 'Process',
    help: 'Override the key sequence for detaching a container (default "ctrl-p,ctrl-q")',
  },
];

export const spec: CommandSpec = {
  usage: '[OPTIONS] IMAGE [COMMAND] [ARG...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  interspersed: false,
  flags: [...RUN_FLAGS, ...CONTAINER_FLAGS],
  description:
    'Creates a container from IMAGE, starts it and shows its output. The exit code is that of the container; ' +
    '125 means that the container could not be run, 126 that its command cannot be executed, 127 that it was not found.',
  examples: [
    ['A shell in a container that is removed afterwards', 'run --rm -it busybox sh'],
    [
      'A limit of 100 MB of memory, half a CPU and 50 processes',
      'run --rm -m 100m --cpus 0.5 --pids-limit 50 busybox top',
    ],
    [
      'In the background, with a directory of the host, read-only',
      'run -d --name web -v /srv/www:/www:ro busybox httpd -f -h /www',
    ],
    [
      'Without network, capabilities or a writable root',
      'run --rm --network none --cap-drop ALL --read-only busybox id',
    ],
    ['Through a pipe', 'echo hello | tsdctl run --rm -i busybox tr a-z A-Z'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  // The daemon accepts the connection while the request is made.
  context.client.preconnect();
  const detached = flags.bool('detach');
  if (detached && flags.has('attach')) {
    throw new CliError('conflicting options: cannot specify both --attach and --detach');
  }
  const request = createRequest(flags, clientSource(context.env), detached);
  if (!detached) {
    const { AttachStdin, Tty } = request.body;
    if (AttachStdin && Tty) (await import('../session/raw-terminal.ts')).checkInputIsTerminal();
  }
  try {
    if (detached) return await runDetached(context, flags, request);
    return await startForeground(context, {
      create: () => createContainer(context, request, flags),
      tty: request.body.Tty,
      stdin: request.body.AttachStdin,
      stdout: request.body.AttachStdout,
      stderr: request.body.AttachStderr,
      autoRemove: flags.bool('rm'),
      signalProxy: flags.bool('sig-proxy'),
      detachKeys: flags.string('detach-keys'),
    });
  } catch (error) {
    if (error instanceof ApiError) throw new CliError(error.message, { exitCode: exitCodeOf(error), cause: error });
    throw error;
  }
}

async function runDetached(
  context: CommandContext,
  flags: ParsedFlags,
  request: ReturnType<typeof createRequest>,
): Promise<number> {
  const id = await createContainer(context, request, flags);
  await context.client.send({ method: 'POST', path: `/containers/${segment(id)}/start` });
  context.stdout.write(`${id}\n`);
  return 0;
}

/** Docker's exit codes for a container that could not be started, from the daemon's text (docker/cli toStatusError). */
export function exitCodeOf(error: ApiError): number {
  const { detail } = error;
  if (/executable file not found|no such file or directory|system cannot find the file specified/.test(detail)) {
    return 127;
  }
  if (/permission denied|is a directory/.test(detail)) return 126;
  return 125;
}
