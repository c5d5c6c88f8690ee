import type { EventMessage } from '@tsd/shared/api-events';
import { encodeFilters } from '@tsd/shared/filters';
import type { CommandContext, CommandSpec } from '../command.ts';
import { FILTER_FLAG } from '../flags/common-flags.ts';
import { filtersOf } from '../flags/filter-flag.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { bodyLines } from '../output/progress-messages.ts';
import { rfc3339Nano } from '../output/time-text.ts';
import { timestampParameter } from '../session/timestamp-parameter.ts';

export const spec: CommandSpec = {
  usage: '[OPTIONS]',
  minArgs: 0,
  maxArgs: 0,
  flags: [
    FILTER_FLAG,
    {
      name: 'format',
      type: 'string',
      help: "Format output: 'json', or a Go TEMPLATE such as '{{.Type}} {{.Action}} {{.Actor.ID}}'",
    },
    { name: 'since', type: 'string', help: 'Show all events created since timestamp (the newest 256 are kept)' },
    { name: 'until', type: 'string', help: 'Stream events until this timestamp' },
  ],
  examples: [
    ['How containers ended in the last hour, and do from now on', 'events --since 1h --filter event=die'],
    ['What egress policies refuse', 'events --filter type=network --filter event=refuse'],
  ],
};

export async function run(context: CommandContext, flags: ParsedFlags): Promise<number> {
  const nowMs = Date.now();
  const filters = filtersOf(flags);
  const time = (name: 'since' | 'until'): string | undefined => {
    const text = flags.string(name);
    return text === undefined || text === '' ? undefined : timestampParameter(text, nowMs, name);
  };
  const render = await eventRenderer(flags.string('format'));
  const response = await context.client.request({
    method: 'GET',
    path: '/events',
    query: {
      since: time('since'),
      until: time('until'),
      filters: filters.size === 0 ? undefined : encodeFilters(filters),
    },
  });
  for await (const line of bodyLines(response)) context.stdout.write(`${render(readEvent(line))}\n`);
  return 0;
}

/** As Docker's templates see it: moby api/types/events, Message. */
interface ShownEvent {
  readonly Status: string;
  readonly ID: string;
  readonly From: string;
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly Scope: string;
  readonly Time: number;
  readonly TimeNano: bigint;
}

async function eventRenderer(format: string | undefined): Promise<(event: ShownEvent) => string> {
  if (format === undefined || format === '') return eventText;
  const { compileTemplate } = await import('../output/go-template/execute-template.ts');
  return compileTemplate(format === 'json' ? '{{json .}}' : format, {
    mayMiss: (parent) => parent === 'Attributes',
  });
}

/** docker/cli cli/command/system/events.go, prettyPrintEvent. */
function eventText({ Type, Action, Actor, TimeNano }: ShownEvent): string {
  const attributes = Object.entries(Actor.Attributes).map(([key, value]) => `${key}=${value}`);
  const suffix = attributes.length === 0 ? '' : ` (${attributes.join(', ')})`;
  return `${rfc3339Nano(TimeNano)} ${Type} ${Action} ${Actor.ID}${suffix}`;
}

function readEvent(line: string): ShownEvent {
  const message = JSON.parse(line) as EventMessage;
  // A double does not hold all of its digits.
  const nanoseconds = /"timeNano":(\d+)/.exec(line)?.[1] ?? '0';
  const attributes = Object.entries(message.Actor.Attributes).sort(([left], [right]) => (left < right ? -1 : 1));
  const actor = { ...message.Actor, Attributes: Object.fromEntries(attributes) };
  const { rawJSON } = JSON as unknown as { rawJSON(text: string): unknown };
  const shown: ShownEvent = {
    Status: message.status ?? '',
    ID: message.id ?? '',
    From: message.from ?? '',
    Type: message.Type,
    Action: message.Action,
    Actor: actor,
    Scope: message.scope,
    Time: message.time,
    TimeNano: BigInt(nanoseconds),
  };
  const wire = { ...message, Actor: actor, timeNano: rawJSON(nanoseconds) };
  return Object.defineProperty(shown, 'toJSON', { value: () => wire });
}
