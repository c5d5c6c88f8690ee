/** --help, rendered by commander from the same tables that the parser reads. Loaded only when it is shown. */
import { Command, Option } from 'commander';
import type { CommandSpec } from '../command.ts';
import { COMMAND_GROUPS, COMMANDS, COMMANDS_TO_COME, type CommandEntry } from '../command-index.ts';
import type { FlagSpec } from './flag-spec.ts';
import { GLOBAL_FLAGS } from './global-flags.ts';

/** The help of one command. */
export function renderCommandHelp(entry: CommandEntry, path: string, spec: CommandSpec, columns: number): string {
  const command = newCommand(`tsdctl ${path}`, spec.usage, columns);
  const paragraphs = [entry.summary];
  if (spec.description !== undefined) paragraphs.push(spec.description);
  if (entry.paths.length > 1) {
    paragraphs.push(`Aliases:\n  ${entry.paths.map((alias) => `tsdctl ${alias}`).join(', ')}`);
  }
  command.description(paragraphs.join('\n\n'));
  for (const flag of spec.flags) command.addOption(toOption(flag));
  command.addOption(new Option('--help', 'Print usage'));
  if (spec.examples !== undefined) {
    const examples = spec.examples.map(([explanation, line]) => `  # ${explanation}\n  ${exampleLine(line)}`);
    command.addHelpText('after', `\nExamples:\n${examples.join('\n\n')}`);
  }
  return captured(command);
}

/** The list of all commands, or of those behind a word such as `container`. */
export function renderOverview(group: string | undefined, columns: number): string {
  const command = newCommand(group === undefined ? 'tsdctl' : `tsdctl ${group}`, '[OPTIONS] COMMAND', columns);
  if (group === undefined) {
    command.description('Runs containers with tsd. The commands, their flags and their output are those of docker.');
    for (const { paths, summary, group: heading } of COMMANDS) {
      const [path = ''] = paths;
      if (!path.includes(' ')) command.command(path).description(summary).helpGroup(`${heading}:`);
    }
    for (const [name, summary] of Object.entries(COMMAND_GROUPS)) {
      command.command(name).description(summary).helpGroup('Groups (tsdctl GROUP --help):');
    }
    for (const flag of GLOBAL_FLAGS) command.addOption(toOption(flag));
    command.addHelpText('after', OVERVIEW_EXAMPLES);
    return captured(command);
  }
  command.description(COMMAND_GROUPS[group] ?? '');
  for (const { paths, summary } of COMMANDS) {
    const path = paths.find((candidate) => candidate.startsWith(`${group} `));
    if (path !== undefined)
      command
        .command(path.slice(group.length + 1))
        .description(summary)
        .helpGroup('Commands:');
  }
  command.addHelpText('after', `\nRun 'tsdctl ${group} COMMAND --help' for more information on a command.`);
  return captured(command);
}

const OVERVIEW_EXAMPLES = `
Examples:
  tsdctl pull alpine                               # an image from a registry
  tsdctl load -i busybox.tar                       # an image from a file
  tsdctl run --rm -it --memory 100m busybox sh     # a shell in a container
  tsdctl run -d --name web busybox httpd -f        # in the background
  tsdctl ps -a                                     # what there is
  tsdctl logs -f web                               # what it says
  tsdctl rm -f web                                 # away with it

Environment:
  TSD_HOST                The daemon's socket, such as unix:///run/tsd/tsd.sock
  DOCKER_CONFIG           The folder of config.json, which holds the logins at registries (default ~/.docker)
  TSD_RECONNECT_TIMEOUT   Seconds that run, start -a and wait wait for a daemon that restarts (default 60)

Run 'tsdctl COMMAND --help' for more information on a command.`;

/** ` Did you mean …?` for a command that is almost right, else nothing. */
export function suggestion(typed: string): string {
  const known = [...COMMANDS.flatMap(({ paths }) => paths), ...Object.keys(COMMAND_GROUPS), ...COMMANDS_TO_COME];
  const near = known.filter((name) => editDistance(name, typed) <= Math.max(1, Math.floor(typed.length / 3)));
  return near.length === 0 ? '' : `\nDid you mean ${near.map((name) => `"tsdctl ${name}"`).join(' or ')}?`;
}

/** Insertions, deletions, substitutions and swaps of neighbours. */
function editDistance(left: string, right: string): number {
  const rows = Array.from({ length: left.length + 1 }, (_, row) =>
    Array.from({ length: right.length + 1 }, (_, column) => (row === 0 ? column : column === 0 ? row : 0)),
  );
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= left.length; row++) {
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1] ? 0 : 1;
      let best = Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + same);
      if (row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]) {
        best = Math.min(best, at(row - 2, column - 2) + 1);
      }
      (rows[row] ?? [])[column] = best;
    }
  }
  return at(left.length, right.length);
}

function newCommand(name: string, usage: string, columns: number): Command {
  return new Command(name)
    .usage(usage)
    .helpOption(false)
    .helpCommand(false)
    .configureHelp({ helpWidth: Math.min(columns, 120), showGlobalOptions: false });
}

function toOption(flag: FlagSpec): Option {
  const value = flag.type === 'bool' ? '' : ` <${flag.placeholder ?? flag.type}>`;
  const short = flag.short === undefined ? '' : `-${flag.short}, `;
  const option = new Option(`${short}--${flag.name}${value}`, flag.help);
  return flag.group === undefined ? option : option.helpGroup(`${flag.group}:`);
}

/** A whole pipeline stays as it is written. */
function exampleLine(line: string): string {
  return line.includes('tsdctl ') ? line : `tsdctl ${line}`;
}

function captured(command: Command): string {
  let text = '';
  command.configureOutput({
    writeOut: (part) => {
      text += part;
    },
  });
  command.outputHelp();
  return text;
}
