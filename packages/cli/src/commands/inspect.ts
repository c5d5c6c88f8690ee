import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { INSPECT_FORMAT_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { printInspected } from '../output/print-inspected.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NAME|ID [NAME|ID...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    INSPECT_FORMAT_FLAG,
    { name: 'size', short: 's', type: 'bool', help: 'Display total file sizes if the type is container' },
    { name: 'type', type: 'string', help: 'Only inspect objects of the given type (container, image, network)' },
  ],
  examples: [
    ['One field', "inspect -f '{{.State.Status}} {{.State.ExitCode}}' job"],
    ['A part as JSON', "inspect -f '{{json .HostConfig.Memory}}' job"],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const type = flags.string('type') ?? defaultType(context.commandPath);
  if (!['', 'container', 'image', 'network'].includes(type)) {
    throw new CliError(`unknown value for --type: "${type}" (container, image or network)`);
  }
  return printInspected(context, flags, async (name) => {
    if (type === '' || type === 'container') {
      const size = flags.has('size') && flags.bool('size');
      const found = await lookUp(context, `/containers/${segment(name)}/json`, { size });
      if (found !== undefined) return found;
    }
    if (type === '' || type === 'image') {
      const found = await lookUp(context, `/images/${segment(name)}/json`, {});
      if (found !== undefined) return found;
    }
    if (type === '' || type === 'network') {
      const found = await lookUp(context, `/networks/${segment(name)}`, {});
      if (found !== undefined) return found;
    }
    throw new CliError(`Error: No such ${type === '' ? 'object' : type}: ${name}`);
  });
}

/** `container inspect` and `image inspect` look only there. */
function defaultType(commandPath: string): string {
  return commandPath.startsWith('container ') ? 'container' : commandPath.startsWith('image ') ? 'image' : '';
}

async function lookUp(context: CommandContext, path: string, query: { size?: boolean }): Promise<unknown> {
  try {
    return await context.client.json<unknown>({ method: 'GET', path, query });
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) return undefined;
    throw error;
  }
}
