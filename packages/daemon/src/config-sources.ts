/** Reads the daemon's settings from each source, without defaults. */
import { parseArgs } from 'node:util';
import { TsdError } from '@tsd/shared/errors';
import type { Ulimit } from '@tsd/shared/ulimit-spec';
import { SETTINGS, type Setting, type SettingName, settings, type Values } from './config-settings.ts';

/** Throws bad_parameter for an unknown flag, a missing value or a stray argument. */
export function readFlags(argv: readonly string[]): Values | 'help' | 'version' {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> = {
    help: { type: 'boolean', short: 'h' },
    version: { type: 'boolean', short: 'v' },
  };
  for (const setting of Object.values<Setting>(SETTINGS)) {
    options[setting.flag] = {
      type: setting.type === 'boolean' ? 'boolean' : 'string',
      ...(setting.short === undefined ? {} : { short: setting.short }),
      ...(['list', 'ulimits', 'pools'].includes(setting.type) ? { multiple: true } : {}),
    };
  }
  let parsed: Record<string, unknown>;
  try {
    parsed = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values;
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new TsdError('bad_parameter', `${message}\nSee 'tsd --help'.`);
  }
  if (parsed['help'] === true) return 'help';
  if (parsed['version'] === true) return 'version';
  const values: Values = {};
  for (const [name, setting] of settings()) {
    const value = parsed[setting.flag];
    if (typeof value === 'string' || typeof value === 'boolean' || isStringList(value)) values[name] = value;
  }
  return values;
}

/** TSD_… variables. Throws bad_parameter naming the variable. */
export function readVariables(env: Readonly<Record<string, string | undefined>>): Values {
  const values: Values = {};
  for (const [name, setting] of settings()) {
    const value = setting.variable === null ? undefined : env[setting.variable];
    if (value === undefined) continue;
    if (setting.type === 'boolean') {
      if (!/^(|0|1|true|false)$/i.test(value)) {
        throw new TsdError('bad_parameter', `${setting.variable}: "${value}" is not true or false`);
      }
      values[name] = /^(1|true)$/i.test(value);
    } else {
      values[name] = setting.type === 'list' ? value.split(',').filter((part) => part !== '') : value;
    }
  }
  return values;
}

/** The JSON file's text. Throws bad_parameter naming file and key. */
export function readJson(contents: string, path: string): Values {
  const fail = (problem: string): TsdError =>
    new TsdError('bad_parameter', `unable to configure the daemon with file ${path}: ${problem}`);
  let decoded: unknown;
  try {
    decoded = JSON.parse(contents);
  } catch (error) {
    throw fail(error instanceof Error ? error.message : String(error));
  }
  if (typeof decoded !== 'object' || decoded === null || Array.isArray(decoded))
    throw fail('it must hold a JSON object');
  const byKey = new Map(settings().flatMap(([name, setting]) => (setting.key === null ? [] : [[setting.key, name]])));
  const values: Values = {};
  const unknown: string[] = [];
  for (const [key, value] of Object.entries(decoded)) {
    const name = byKey.get(key) as SettingName | undefined;
    if (name === undefined) unknown.push(key);
    else values[name] = readJsonValue(key, SETTINGS[name].type, value, fail);
  }
  if (unknown.length > 0) {
    throw fail(`the following directives don't match any configuration option: ${unknown.join(', ')}`);
  }
  return values;
}

function readJsonValue(
  key: string,
  type: Setting['type'],
  value: unknown,
  fail: (problem: string) => TsdError,
): string | boolean | readonly string[] {
  switch (type) {
    case 'string':
      if (typeof value === 'string') return value;
      throw fail(`${key} must be a string`);
    case 'number':
      if (typeof value === 'number') return String(value);
      throw fail(`${key} must be a number`);
    case 'boolean':
      if (typeof value === 'boolean') return value;
      throw fail(`${key} must be true or false`);
    case 'list':
      if (isStringList(value)) return value;
      throw fail(`${key} must be a list of strings`);
    case 'pools':
      // dockerd's form: [{"base": "10.10.0.0/16", "size": 24}]; the flag's form is taken too.
      if (isStringList(value)) return value;
      if (!Array.isArray(value)) throw fail(`${key} must be a list`);
      return value.map((pool: { readonly base?: unknown; readonly size?: unknown } | null) => {
        if (typeof pool?.base !== 'string' || typeof pool.size !== 'number')
          throw fail(`${key}: a pool has base and size`);
        return `base=${pool.base},size=${pool.size}`;
      });
    case 'ulimits': {
      // dockerd's form: {"nofile": {"Name": "nofile", "Soft": 1024, "Hard": 2048}}; a list of name=soft:hard is taken too.
      if (isStringList(value)) return value;
      if (typeof value !== 'object' || value === null) throw fail(`${key} must be an object`);
      return Object.entries(value).map(([name, limit]: [string, unknown]) => {
        const { Soft, Hard } = (typeof limit === 'object' && limit !== null ? limit : {}) as Partial<Ulimit>;
        if (typeof Hard !== 'number' && typeof Soft !== 'number') throw fail(`${key}.${name} must have Soft and Hard`);
        return `${name}=${Soft ?? Hard}:${Hard ?? Soft}`;
      });
    }
  }
}

function isStringList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
