import { formatBinaryBytes, formatDecimalBytes } from '@tsd/shared/units';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FORMAT_FLAG, NO_TRUNC_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { formatList, type ListFormat } from '../output/format-list.ts';
import { screenText } from '../output/screen-text.ts';
import type { StatsFigures } from '../output/stats-figures.ts';
import { terminalSize } from '../output/terminal-size.ts';
import {
  readStatsOnce,
  type StatsRow,
  type StatsWatch,
  watchAllStats,
  watchNamedStats,
} from '../session/stats-watch.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] [CONTAINER...]',
  minArgs: 0,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    { name: 'all', short: 'a', type: 'bool', help: 'Show all containers (default shows just running)' },
    FORMAT_FLAG,
    { name: 'no-stream', type: 'bool', help: 'Disable streaming stats and only pull the first result' },
    NO_TRUNC_FLAG,
  ],
  examples: [
    ['What all running containers use, once', 'stats --no-stream'],
    ['Processor and memory of one, a line a second', "stats --format '{{.CPUPerc}} {{.MemUsage}}' web | cat"],
  ],
};

/** A terminal follows what its user does, such as resizing it; elsewhere there is one answer for each that the daemon gives. */
const REDRAW_MS = 500;
const PRINT_MS = 1000;

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const { client, stdout } = context;
  const list = statsList(!flags.bool('no-trunc'));
  const render = (rows: readonly StatsRow[]): Promise<string> => formatList(list, rows, flags.string('format'));
  const all = flags.bool('all');
  if (flags.bool('no-stream')) {
    const rows = await readStatsOnce(client, flags.args, all);
    if (rows.length > 0) stdout.write(await render(rows));
    return 0;
  }
  const watch = await (flags.args.length > 0 ? watchNamedStats(client, flags.args) : watchAllStats(client, all));
  await showUntilEnd(context, watch, render);
  return 0;
}

function showUntilEnd(
  { stdout }: CommandContext,
  watch: StatsWatch,
  render: (rows: readonly StatsRow[]) => Promise<string>,
): Promise<void> {
  let ended = false;
  return new Promise<void>((resolve, reject) => {
    const show = async (): Promise<void> => {
      const text = await render(watch.rows());
      if (ended) return;
      const size = stdout.isTerminal ? terminalSize() : null;
      stdout.write(stdout.isTerminal ? screenText(text, size) : text);
    };
    const timer = setInterval(() => void show().catch(end), stdout.isTerminal ? REDRAW_MS : PRINT_MS);
    const end = (error?: unknown): void => {
      ended = true;
      clearInterval(timer);
      if (error === undefined) resolve();
      else reject(error);
    };
    if (stdout.isTerminal) stdout.write(CLEAR_SCREEN);
    show().catch(end);
    watch.ended.then(() => end(), end);
  });
}

const CLEAR_SCREEN = '\x1b[2J';
const NO_VALUE = '--';

/** Docker's fields: docker/cli cli/command/container/formatter_stats.go. */
export function statsList(truncate: boolean): ListFormat<StatsRow> {
  const percent = (value: number): string => `${value.toFixed(2)}%`;
  const pair = (one: string, other: string): string => `${one} / ${other}`;
  const figure =
    (text: (figures: StatsFigures) => string, missing = NO_VALUE) =>
    ({ figures }: StatsRow): string =>
      figures === null ? missing : text(figures);
  return {
    table: ['ID', 'Name', 'CPUPerc', 'MemUsage', 'MemPerc', 'NetIO', 'BlockIO', 'PIDs'],
    columns: {
      Container: { title: 'CONTAINER', value: ({ container }) => container },
      ID: { title: 'CONTAINER ID', value: ({ id }) => (truncate ? id.slice(0, 12) : id) },
      Name: { title: 'NAME', value: ({ name }) => name || NO_VALUE },
      CPUPerc: { title: 'CPU %', value: figure(({ cpuPercent }) => percent(cpuPercent)) },
      MemUsage: {
        title: 'MEM USAGE / LIMIT',
        value: figure(
          ({ memoryBytes, memoryLimitBytes }) =>
            pair(formatBinaryBytes(memoryBytes), formatBinaryBytes(memoryLimitBytes)),
          pair(NO_VALUE, NO_VALUE),
        ),
      },
      MemPerc: { title: 'MEM %', value: figure(({ memoryPercent }) => percent(memoryPercent)) },
      NetIO: {
        title: 'NET I/O',
        value: figure(({ receivedBytes, sentBytes }) =>
          pair(formatDecimalBytes(receivedBytes), formatDecimalBytes(sentBytes)),
        ),
      },
      BlockIO: {
        title: 'BLOCK I/O',
        value: figure(({ readBytes, writtenBytes }) =>
          pair(formatDecimalBytes(readBytes), formatDecimalBytes(writtenBytes)),
        ),
      },
      PIDs: { title: 'PIDS', value: figure(({ processes }) => String(processes)) },
    },
  };
}
