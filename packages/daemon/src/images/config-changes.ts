/**
 * `--change` of docker import (and commit): Dockerfile instructions that set fields of an image's configuration.
 * Dockerfile reference; moby, builder/dockerfile, BuildFromConfig.
 */
import { posix } from 'node:path';
import { TsdError } from '@tsd/shared/errors';
import { parseExpose } from '@tsd/shared/port-spec';
import { parseSignal } from '@tsd/shared/signal-names';
import { parseDurationMs } from '@tsd/shared/units';
import type { ImageHealthcheck, ImageRunConfig } from './image-config.ts';
import { expandWord, type Lookup, splitWords } from './instruction-words.ts';

const DEFAULT_SHELL: readonly string[] = ['/bin/sh', '-c'];
const NANOSECONDS_PER_MS = 1_000_000;
/** moby refuses shorter intervals of health checks. */
const MIN_HEALTH_INTERVAL_MS = 1;

type Apply = (config: ImageRunConfig, rest: string, lookup: Lookup) => ImageRunConfig;

/**
 * Applies instructions in order; each may use variables that earlier ones set.
 *
 * @param changes one or several lines each, such as `CMD ["sh"]`, `ENV A=1 B="two words"`, `EXPOSE 80/tcp`.
 * @throws TsdError `bad_parameter` naming the instruction and what is wrong with it.
 */
export function applyConfigChanges(config: ImageRunConfig, changes: readonly string[]): ImageRunConfig {
  let changed = config;
  let commandIsSet = false;
  for (const line of changes.flatMap(logicalLines)) {
    const [, keyword = '', rest = ''] = /^(\S+)\s*(.*)$/s.exec(line) ?? [];
    const instruction = keyword.toUpperCase();
    const apply = INSTRUCTIONS.get(instruction);
    if (apply === undefined) {
      throw new TsdError(
        'bad_parameter',
        `${instruction} is not a valid change command (valid: ${[...INSTRUCTIONS.keys()].join(', ')})`,
      );
    }
    if (rest === '') throw new TsdError('bad_parameter', `${instruction} requires at least one argument`);
    if (rest.includes('\0')) throw new TsdError('bad_parameter', `${instruction}: the argument holds a NUL character`);
    try {
      // A new entry point drops the command that belonged to the old one.
      if (instruction === 'ENTRYPOINT' && !commandIsSet) changed = withoutCommand(changed);
      changed = apply(changed, rest, environmentLookup(changed.Env ?? []));
      commandIsSet ||= instruction === 'CMD';
    } catch (error) {
      if (!(error instanceof TsdError)) throw error;
      throw new TsdError('bad_parameter', `${instruction}: ${error.message}`, { cause: error });
    }
  }
  return changed;
}

const INSTRUCTIONS: ReadonlyMap<string, Apply> = new Map<string, Apply>([
  ['CMD', (config, rest) => ({ ...config, Cmd: commandOf(config, rest) })],
  ['ENTRYPOINT', (config, rest) => ({ ...config, Entrypoint: commandOf(config, rest) })],
  ['ENV', applyEnv],
  [
    'EXPOSE',
    (config, rest, lookup) => ({
      ...config,
      ExposedPorts: withKeys(
        config.ExposedPorts,
        splitWords(rest).flatMap((word) => parseExpose(expandWord(word, lookup))),
      ),
    }),
  ],
  ['HEALTHCHECK', (config, rest) => ({ ...config, Healthcheck: healthcheckOf(config, rest) })],
  [
    'LABEL',
    (config, rest, lookup) => ({
      ...config,
      Labels: { ...config.Labels, ...Object.fromEntries(pairsOf(rest, lookup)) },
    }),
  ],
  ['ONBUILD', applyOnBuild],
  ['STOPSIGNAL', applyStopSignal],
  ['USER', (config, rest, lookup) => ({ ...config, User: expandWord(rest, lookup) })],
  ['VOLUME', (config, rest, lookup) => ({ ...config, Volumes: withKeys(config.Volumes, volumesOf(rest, lookup)) })],
  [
    'WORKDIR',
    (config, rest, lookup) => ({
      ...config,
      WorkingDir: posix.resolve('/', config.WorkingDir ?? '', expandWord(rest, lookup)),
    }),
  ],
]);

function withoutCommand({ Cmd: _dropped, ...config }: ImageRunConfig): ImageRunConfig {
  return config;
}

/** Lines without comments, with those that end in a backslash joined. */
function logicalLines(text: string): string[] {
  return text
    .split(/\r?\n/)
    .filter((line) => !/^\s*#/.test(line))
    .join('\n')
    .replace(/\\[ \t]*\n/g, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function environmentLookup(environment: readonly string[]): Lookup {
  return (name) => environment.findLast((entry) => entry.startsWith(`${name}=`))?.slice(name.length + 1);
}

/** The exec form, a JSON array of strings, or else a line for the shell. */
function commandOf(config: ImageRunConfig, rest: string): readonly string[] {
  return jsonWords(rest) ?? [...(config.Shell ?? DEFAULT_SHELL), rest];
}

/** Null when the text is no JSON array of strings: then it is in shell form, as Docker reads it. */
function jsonWords(text: string): string[] | null {
  if (!text.startsWith('[')) return null;
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : null;
  } catch {
    return null;
  }
}

function applyEnv(config: ImageRunConfig, rest: string, lookup: Lookup): ImageRunConfig {
  const pairs = pairsOf(rest, lookup);
  const environment = [...(config.Env ?? [])];
  for (const [name, value] of pairs) {
    const index = environment.findIndex((entry) => entry.startsWith(`${name}=`));
    if (index === -1) environment.push(`${name}=${value}`);
    else environment[index] = `${name}=${value}`;
  }
  return { ...config, Env: environment };
}

/** `name=value …`, or the old form `name value` whose value is the rest of the line. */
function pairsOf(rest: string, lookup: Lookup): [string, string][] {
  const words = splitWords(rest);
  const [first = ''] = words;
  if (!first.includes('=')) {
    const value = rest.slice(first.length).trim();
    if (value === '') throw new TsdError('bad_parameter', `expected name=value, got ${JSON.stringify(first)}`);
    return [[expandWord(first, lookup), expandWord(value, lookup)]];
  }
  return words.map((word) => {
    const equals = word.indexOf('=');
    if (equals === -1) {
      throw new TsdError(
        'bad_parameter',
        `syntax error - can't find = in ${JSON.stringify(word)}. Must be of the form: name=value`,
      );
    }
    const name = expandWord(word.slice(0, equals), lookup);
    if (name === '') throw new TsdError('bad_parameter', 'names can not be blank');
    return [name, expandWord(word.slice(equals + 1), lookup)];
  });
}

function volumesOf(rest: string, lookup: Lookup): string[] {
  const paths = (jsonWords(rest) ?? splitWords(rest)).map((word) => expandWord(word, lookup).trim());
  if (paths.some((path) => path === ''))
    throw new TsdError('bad_parameter', 'specified volume can not be an empty string');
  return paths;
}

function withKeys(
  keys: Readonly<Record<string, object>> | undefined,
  added: readonly string[],
): Record<string, object> {
  return { ...keys, ...Object.fromEntries(added.map((key) => [key, {}])) };
}

function applyStopSignal(config: ImageRunConfig, rest: string, lookup: Lookup): ImageRunConfig {
  const signal = expandWord(rest, lookup);
  parseSignal(signal);
  return { ...config, StopSignal: signal };
}

function applyOnBuild(config: ImageRunConfig, rest: string): ImageRunConfig {
  const trigger = /^\S+/.exec(rest)?.[0].toUpperCase() ?? '';
  if (trigger === 'ONBUILD')
    throw new TsdError('bad_parameter', "chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
  if (trigger === 'FROM' || trigger === 'MAINTAINER') {
    throw new TsdError('bad_parameter', `${trigger} isn't allowed as an ONBUILD trigger`);
  }
  return { ...config, OnBuild: [...(config.OnBuild ?? []), rest] };
}

/** `[--interval=30s …] CMD command` or `NONE`. */
function healthcheckOf(config: ImageRunConfig, rest: string): ImageHealthcheck {
  const options: { -readonly [K in keyof ImageHealthcheck]: ImageHealthcheck[K] } = {};
  let command = rest;
  for (;;) {
    const flag = /^--([a-z-]+)=(\S*)\s*/.exec(command);
    if (flag === null) break;
    const [whole, name = '', value = ''] = flag;
    command = command.slice(whole.length);
    if (name === 'interval') options.Interval = healthNanoseconds(name, value);
    else if (name === 'timeout') options.Timeout = healthNanoseconds(name, value);
    else if (name === 'start-period') options.StartPeriod = healthNanoseconds(name, value);
    else if (name === 'start-interval') options.StartInterval = healthNanoseconds(name, value);
    else if (name === 'retries') options.Retries = retriesOf(value);
    else throw new TsdError('bad_parameter', `unknown flag: --${name}`);
  }
  const [, kind = '', line = ''] = /^(\S+)\s*(.*)$/s.exec(command) ?? [];
  if (kind.toUpperCase() === 'NONE') {
    if (line !== '') throw new TsdError('bad_parameter', 'NONE takes no arguments');
    return { Test: ['NONE'] };
  }
  if (kind.toUpperCase() !== 'CMD') {
    throw new TsdError('bad_parameter', `unknown type ${JSON.stringify(kind)} (try CMD or NONE)`);
  }
  if (line === '') throw new TsdError('bad_parameter', 'missing command after CMD');
  const words = jsonWords(line);
  if (words !== null) return { Test: ['CMD', ...words], ...options };
  return { Test: config.Shell === undefined ? ['CMD-SHELL', line] : ['CMD', ...config.Shell, line], ...options };
}

function healthNanoseconds(flag: string, text: string): number {
  const ms = parseDurationMs(text, `--${flag}`);
  if (ms !== 0 && ms < MIN_HEALTH_INTERVAL_MS) {
    throw new TsdError('bad_parameter', `--${flag}=${text} cannot be less than ${MIN_HEALTH_INTERVAL_MS}ms`);
  }
  return Math.round(ms * NANOSECONDS_PER_MS);
}

function retriesOf(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new TsdError('bad_parameter', `--retries must be a number that is not negative, got ${JSON.stringify(text)}`);
}
