/** From a command line to an exit code: global flags, the command, its errors. */
import { TsdError } from '@tsd/shared/errors';
import { createApiClient } from './api/api-client.ts';
import { parseEndpoint } from './api/endpoint.ts';
import { CliError, UsageError } from './cli-error.ts';
import type { CommandSpec } from './command.ts';
import { COMMAND_GROUPS, COMMANDS_TO_COME, type CommandEntry, findCommand } from './command-index.ts';
import type { FlagSpec } from './flags/flag-spec.ts';
import { GLOBAL_FLAGS } from './flags/global-flags.ts';
import { parseFlags } from './flags/parse-flags.ts';
import { loadCommand } from './load-command.ts';
import type { Output } from './output/output.ts';
import { CLIENT_VERSION } from './version.ts';

const HELP_FLAG: FlagSpec = { name: 'help', type: 'bool', help: 'Print usage' };

export interface ProgramOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** Runs one command line; resolves with the exit code. Errors of the user and the daemon are shown, not thrown. */
export async function runProgram(options: ProgramOptions): Promise<number> {
  let command: { path: string; spec: CommandSpec } | undefined;
  try {
    const global = parseFlags(GLOBAL_FLAGS, options.argv, { interspersed: false });
    if (global.bool('version')) {
      options.stdout.write(`tsdctl version ${CLIENT_VERSION}\n`);
      return 0;
    }
    const found = findCommand(global.args);
    if (found === undefined) return await withoutCommand(options, global.args, global.bool('help'));
    const { entry, path, rest } = found;
    const module = await loadCommand(entry);
    command = { path, spec: module.spec };
    const flags = parseFlags([...module.spec.flags, HELP_FLAG], rest, {
      interspersed: module.spec.interspersed ?? true,
    });
    if (flags.bool('help') || global.bool('help')) return await showHelp(options, entry, path, module.spec);
    checkArguments(path, module.spec, flags.args.length);
    const client = createApiClient(parseEndpoint(global.string('host') ?? options.env['TSD_HOST']));
    return await module.run({ ...options, commandPath: path, client }, flags);
  } catch (error) {
    return showError(options.stderr, error, command);
  }
}

/** `tsdctl`, `tsdctl --help`, `tsdctl container`, `tsdctl help run`, and words that are no command. */
async function withoutCommand(options: ProgramOptions, words: readonly string[], help: boolean): Promise<number> {
  const [first, ...rest] = words;
  if (first === 'help') {
    const topic = findCommand(rest);
    if (topic !== undefined) {
      return showHelp(options, topic.entry, topic.path, (await loadCommand(topic.entry)).spec);
    }
    return withoutCommand(options, rest, true);
  }
  const isGroup = first !== undefined && Object.hasOwn(COMMAND_GROUPS, first);
  const [second] = rest;
  if (first === undefined || (isGroup && (second === undefined || second === '--help'))) {
    const { renderOverview } = await import('./flags/render-help.ts');
    options.stdout.write(renderOverview(first, options.stdout.columns));
    return 0;
  }
  if (COMMANDS_TO_COME.has(first)) {
    throw new CliError(`"tsdctl ${first}" is not implemented yet`);
  }
  const { suggestion } = await import('./flags/render-help.ts');
  const typed = isGroup ? `${first} ${second}` : first;
  const topic = isGroup ? `${first} ` : '';
  throw new CliError(
    `unknown command: tsdctl ${typed}${suggestion(typed)}\n\nRun 'tsdctl ${topic}--help' for more information`,
    { exitCode: help ? 0 : 1 },
  );
}

async function showHelp(
  options: ProgramOptions,
  entry: CommandEntry,
  path: string,
  spec: CommandSpec,
): Promise<number> {
  const { renderCommandHelp } = await import('./flags/render-help.ts');
  options.stdout.write(renderCommandHelp(entry, path, spec, options.stdout.columns));
  return 0;
}

/** Docker's texts for a wrong number of arguments; exit code 1. */
function checkArguments(path: string, spec: CommandSpec, count: number): void {
  const { minArgs, maxArgs } = spec;
  if (count >= minArgs && count <= maxArgs) return;
  const plural = (number: number): string => (number === 1 ? '1 argument' : `${number} arguments`);
  let rule: string;
  if (maxArgs === 0) rule = 'accepts no arguments';
  else if (minArgs === maxArgs) rule = `requires ${plural(minArgs)}`;
  else if (count < minArgs) rule = `requires at least ${plural(minArgs)}`;
  else rule = `requires at most ${plural(maxArgs)}`;
  throw new UsageError(`'tsdctl ${path}' ${rule}`, { showUsage: true, exitCode: 1 });
}

/** Writes the error as Docker's client words it; never a stack. Returns the exit code. */
export function showError(
  stderr: Output,
  error: unknown,
  command?: { readonly path: string; readonly spec: CommandSpec },
): number {
  // The reader of our output has gone: nothing to tell, and nobody to tell it. A socket says it otherwise than a pipe.
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'EPIPE' || (code === 'ECONNRESET' && syscall === 'write')) return EXIT_CODE_SIGPIPE;
  const known = error instanceof CliError || error instanceof TsdError;
  const reason = error instanceof Error ? error.message : String(error);
  const message = known ? reason : `internal error: ${reason}`;
  const path = command === undefined ? '' : `${command.path} `;
  let text = `tsdctl: ${message}\n`;
  if (error instanceof UsageError) {
    if (error.showUsage && command !== undefined) text += `\nUsage:  tsdctl ${path}${command.spec.usage}\n`;
    text += `\nRun 'tsdctl ${path}--help' for more information\n`;
  }
  stderr.write(text);
  return error instanceof CliError ? error.exitCode : 1;
}

/** What a shell shows for a program that SIGPIPE ended. */
const EXIT_CODE_SIGPIPE = 141;
