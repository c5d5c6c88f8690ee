/**
 * What `logs --details` puts before each line: labels, variables and a tag that the log options name (moby
 * daemon/logger/loginfo.go, ExtraAttributes; loggerutils/log_tag.go; api/server/httputils/write_log_stream.go). Docker writes them into
 * every record; here they are looked up when the log is read, since they never change.
 */
import { hostname } from 'node:os';
import { TsdError } from '@tsd/shared/errors';
import type { ContainerRecord, HostConfig } from './container.ts';

export type DetailedContainer = Pick<ContainerRecord, 'config' | 'hostConfig' | 'id' | 'imageId' | 'name'>;

/** Docker shows the first twelve characters of an id. */
const SHORT_ID_LENGTH = 12;

/** What a tag's template may name: `{{.ID}}`. */
const TAG_FIELDS: Readonly<Record<string, (container: DetailedContainer) => string>> = {
  ID: ({ id }) => id.slice(0, SHORT_ID_LENGTH),
  FullID: ({ id }) => id,
  Name: ({ name }) => name,
  ImageID: ({ imageId }) => imageId.slice(0, SHORT_ID_LENGTH),
  ImageFullID: ({ imageId }) => imageId,
  ImageName: ({ config }) => config.Image,
  Command: ({ config }) => [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])].join(' '),
  DaemonName: () => 'tsd',
  Hostname: () => hostname(),
};

/** `key=value,key=value`, sorted and escaped as in a URL's query; empty where the options name nothing. */
export function logDetails(container: DetailedContainer): string {
  const { Config } = container.hostConfig.LogConfig;
  const variables = Object.fromEntries(
    container.config.Env.filter((one) => one.includes('=')).map((one) => {
      const at = one.indexOf('=');
      return [one.slice(0, at), one.slice(at + 1)];
    }),
  );
  const attributes = new Map([
    ...chosen(container.config.Labels, Config['labels'], Config['labels-regex']),
    ...chosen(variables, Config['env'], Config['env-regex']),
  ]);
  const tag = expandTag(Config['tag'] ?? '', (field) => field(container));
  if (tag !== '') attributes.set('tag', tag);
  return [...attributes]
    .sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, value]) => `${queryEscape(key)}=${queryEscape(value)}`)
    .join(',');
}

/** @throws TsdError `bad_parameter` for a pattern or a tag that cannot be understood */
export function checkLogDetails(options: HostConfig['LogConfig']['Config']): void {
  for (const name of ['labels-regex', 'env-regex']) {
    try {
      new RegExp(options[name] ?? '');
    } catch {
      throw new TsdError('bad_parameter', `invalid log opt ${name}: ${options[name]}: no regular expression`);
    }
  }
  expandTag(options['tag'] ?? '', () => '');
}

function chosen(
  all: Readonly<Record<string, string>>,
  names: string | undefined,
  pattern: string | undefined,
): readonly (readonly [string, string])[] {
  const listed = new Set((names ?? '').split(','));
  const expression = pattern === undefined || pattern === '' ? null : new RegExp(pattern);
  return Object.entries(all).filter(([name]) => listed.has(name) || expression?.test(name) === true);
}

function expandTag(tag: string, expand: (field: (container: DetailedContainer) => string) => string): string {
  return tag.replace(/\{\{(.*?)\}\}|\{\{/gs, (action, inner: string | undefined) => {
    const name = /^-?\s*\.(\w+)\s*-?$/.exec(inner ?? '')?.[1] ?? '';
    const field = Object.hasOwn(TAG_FIELDS, name) ? TAG_FIELDS[name] : undefined;
    if (field === undefined) {
      const known = Object.keys(TAG_FIELDS).map((one) => `{{.${one}}}`);
      throw new TsdError('bad_parameter', `invalid log opt tag: ${action}: known are ${known.join(', ')}`);
    }
    return expand(field);
  });
}

/** Go's url.QueryEscape. */
function queryEscape(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+');
}
