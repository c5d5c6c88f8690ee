import type { CheckProblem, CheckProgress, CheckSummary } from '@tsd/shared/api-system-check';
import { formatDecimalBytes } from '@tsd/shared/units';
import { CliError } from '../cli-error.ts';
import type { CommandContext, CommandSpec } from '../command.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { jsonMessages } from '../output/progress-messages.ts';
import { transferText } from '../output/transfer-progress.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    { name: 'repair', type: 'bool', help: 'Mend what can be mended; fetch lost layers from where they were pulled' },
  ],
  description:
    'Compares every image, layer, kept blob and row of the database with its digest and with what refers to it. ' +
    'Containers may run meanwhile. The exit code is 1 while something is wrong.',
};

type CheckLine = CheckProgress | CheckProblem | CheckSummary | { readonly errorDetail: { readonly message: string } };

export async function run({ client, stdout, stderr }: CommandContext, flags: ParsedFlags): Promise<number> {
  const repair = flags.bool('repair');
  const response = await client.request({ method: 'POST', path: '/tsd/system/check', query: { repair } });
  const clearLine = (): void => {
    if (stderr.isTerminal) stderr.write('\r\x1b[K');
  };
  for await (const line of jsonMessages<CheckLine>(response)) {
    if ('checked' in line) {
      const { sizeBytes, totalSizeBytes } = line.checked;
      if (stderr.isTerminal) stderr.write(`\r\x1b[K${transferText('Checking', sizeBytes, totalSizeBytes, true)}`);
      continue;
    }
    clearLine();
    if ('errorDetail' in line) throw new CliError(line.errorDetail.message);
    if ('summary' in line) {
      stdout.write(summaryText(line.summary, repair));
      return line.summary.problems > line.summary.repaired ? 1 : 0;
    }
    stdout.write(problemText(line));
  }
  throw new CliError('the check ended before its summary: look at the log of the daemon');
}

function problemText({ kind, id, problem, repaired, remedy }: CheckProblem): string {
  const state = repaired === undefined ? '' : repaired ? 'repaired: ' : 'not repaired: ';
  return `${kind} ${id}: ${problem}\n${remedy === undefined ? '' : `  ${state}${remedy}\n`}`;
}

function summaryText(summary: CheckSummary['summary'], repair: boolean): string {
  const { images, layers, blobs, sizeBytes, problems, repaired, brokenImages, durationMs } = summary;
  const checked = [count(images, 'image'), count(layers, 'layer'), count(blobs, 'kept blob')].join(', ');
  const found = problems === 0 ? 'no problems' : count(problems, 'problem') + (repair ? `, ${repaired} repaired` : '');
  const lines = [
    `Checked ${checked} (${formatDecimalBytes(sizeBytes)}) in ${(durationMs / 1000).toFixed(1)} s: ${found}`,
    ...brokenImages.map((id) => `Broken, cannot be started: ${id} (pull it again)`),
  ];
  if (problems > 0 && !repair) lines.push('Run "tsdctl system check --repair" to mend what can be mended');
  return lines.map((line) => `${line}\n`).join('');
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
