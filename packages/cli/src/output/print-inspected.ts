/** What inspect, version and info print: indented JSON, JSON in a line, or a template. */
import { CliError } from '../cli-error.ts';
import type { CommandContext } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { mayMissWhenInspected } from './inspected-fields.ts';

export type Renderer = (value: unknown) => string;

/** The --format value as a function; undefined where there is none. Throws TemplateError. */
export async function templateRenderer(format: string | undefined): Promise<Renderer | undefined> {
  if (format === undefined || format === '') return undefined;
  if (format === 'json') return (value) => JSON.stringify(value);
  const { compileTemplate } = await import('./go-template/execute-template.ts');
  return compileTemplate(format, { mayMiss: mayMissWhenInspected });
}

/** Looks up every argument and prints what was found; what was not is told on stderr and makes the exit code 1. */
export async function printInspected(
  context: CommandContext,
  flags: ParsedFlags,
  lookUp: (name: string) => Promise<unknown>,
): Promise<number> {
  const render = await templateRenderer(flags.string('format'));
  const found: unknown[] = [];
  const errors: string[] = [];
  for (const name of flags.args) {
    try {
      found.push(await lookUp(name));
    } catch (error) {
      if (!(error instanceof CliError) || error.name !== 'CliError') throw error;
      errors.push(error.message);
    }
  }
  const format = flags.string('format');
  if (render === undefined) context.stdout.write(`${JSON.stringify(found, null, 4)}\n`);
  else if (format === 'json') context.stdout.write(`${JSON.stringify(found)}\n`);
  else for (const value of found) context.stdout.write(`${render(value)}\n`);
  for (const message of errors) context.stderr.write(`${message}\n`);
  return errors.length === 0 ? 0 : 1;
}
