import { ApiError } from '../api/api-error.ts';
import { segment } from '../api/api-request.ts';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import { INSPECT_FORMAT_FLAG } from '../flags/common-flags.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { printInspected } from '../output/print-inspected.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS] NETWORK [NETWORK...]',
  minArgs: 1,
  maxArgs: Number.POSITIVE_INFINITY,
  flags: [
    INSPECT_FORMAT_FLAG,
    { name: 'verbose', short: 'v', type: 'bool', help: 'Verbose output for diagnostics (without effect)' },
  ],
  examples: [
    ['Its subnet', "network inspect -f '{{range .IPAM.Config}}{{.Subnet}}{{end}}' app"],
    ['What its egress policy refused', "network inspect -f '{{json .Egress.Refused}}' build"],
  ],
};

export function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  return printInspected(context, flags, async (name) => {
    try {
      return await context.client.json<unknown>({ method: 'GET', path: `/networks/${segment(name)}` });
    } catch (error) {
      // The other networks are shown all the same.
      if (error instanceof ApiError && error.status === 404) throw new CliError(error.message, { cause: error });
      throw error;
    }
  });
}
