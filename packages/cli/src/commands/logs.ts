import { segment } from '../api/api-request.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { copyLogs, followLogs } from '../session/copy-logs.ts';
import { exitStatusOptions } from '../session/foreground.ts';
import { timestampParameter } from '../session/timestamp-parameter.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] CONTAINER',
  minArgs: 1,
  maxArgs: 1,
  flags: [
    { name: 'details', type: 'bool', help: 'Show extra details provided to logs' },
    { name: 'follow', short: 'f', type: 'bool', help: 'Follow log output' },
    {
      name: 'since',
      type: 'string',
      help: 'Show logs since timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
    {
      name: 'tail',
      short: 'n',
      type: 'string',
      help: 'Number of lines to show from the end of the logs (default "all")',
    },
    { name: 'timestamps', short: 't', type: 'bool', help: 'Show timestamps' },
    {
      name: 'until',
      type: 'string',
      help: 'Show logs before a timestamp (e.g. "2013-01-02T13:23:37Z") or relative (e.g. "42m" for 42 minutes)',
    },
  ],
  examples: [['The last ten lines and whatever follows', 'logs -f -n 10 web']],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const [name = ''] = flags.args;
  const nowMs = Date.now();
  const since = flags.string('since');
  const until = flags.string('until');
  const copy = flags.bool('follow') ? followLogs : copyLogs;
  await copy({
    ...exitStatusOptions(context),
    stdout: context.stdout,
    path: `/containers/${segment(name)}/logs`,
    query: {
      details: flags.bool('details'),
      follow: flags.bool('follow'),
      since: since === undefined ? undefined : timestampParameter(since, nowMs, 'since'),
      stderr: true,
      stdout: true,
      tail: flags.string('tail') ?? 'all',
      timestamps: flags.bool('timestamps'),
      until: until === undefined ? undefined : timestampParameter(until, nowMs, 'until'),
    },
  });
  return 0;
}
