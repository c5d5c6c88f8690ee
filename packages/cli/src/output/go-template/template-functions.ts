/** The functions of --format templates: Go's predefined ones and Docker's (docker/cli templates/templates.go). */
import { formatValue, sprintf } from './format-value.ts';
import { TemplateError } from './template-error.ts';

export type TemplateFunction = (...args: unknown[]) => unknown;

/** Go's truth: neither false, zero, empty nor nil. */
export function isTrue(value: unknown): boolean {
  if (value === null || value === undefined) return false;
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === 'object') return Object.keys(value).length > 0;
  return Boolean(value);
}

const text = (name: string, value: unknown): string => {
  if (typeof value !== 'string')
    throw new TemplateError(`error calling ${name}: ${formatValue(value)} is not a string`);
  return value;
};

const list = (name: string, value: unknown): readonly unknown[] => {
  if (value === null || value === undefined) return [];
  if (!Array.isArray(value)) throw new TemplateError(`error calling ${name}: ${formatValue(value)} is not a list`);
  return value;
};

/** `and` and `or` are not here: they evaluate only as many arguments as they need. */
export const TEMPLATE_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  json: (value) => JSON.stringify(value ?? null),
  lower: (value) => text('lower', value).toLowerCase(),
  upper: (value) => text('upper', value).toUpperCase(),
  title: (value) =>
    text('title', value).replace(/(^|[\s_-])(\p{L})/gu, (_, before, letter) => before + letter.toUpperCase()),
  split: (value, separator) => text('split', value).split(text('split', separator)),
  join: (values, separator) => list('join', values).map(formatValue).join(text('join', separator)),
  pad: (value, before, after) =>
    text('pad', value) === '' ? '' : `${' '.repeat(Number(before))}${value}${' '.repeat(Number(after))}`,
  truncate: (value, length) => [...text('truncate', value)].slice(0, Number(length)).join(''),
  print: (...values) => values.map(formatValue).join(''),
  println: (...values) => `${values.map(formatValue).join(' ')}\n`,
  printf: (format, ...values) => sprintf(text('printf', format), values),
  len: (value) => {
    if (typeof value === 'string') return Buffer.byteLength(value);
    if (Array.isArray(value)) return value.length;
    if (typeof value === 'object' && value !== null) return Object.keys(value).length;
    if (value === null || value === undefined) return 0;
    throw new TemplateError(`error calling len: len of ${formatValue(value)}`);
  },
  index: (value, ...keys) => keys.reduce(indexOne, value),
  slice: (value, start = 0, end = undefined) => {
    const from = Number(start);
    const to = end === undefined ? undefined : Number(end);
    if (typeof value === 'string') return Buffer.from(value).subarray(from, to).toString();
    return list('slice', value).slice(from, to);
  },
  not: (value) => !isTrue(value),
  eq: (first, ...others) => others.some((other) => same(first, other)),
  ne: (first, second) => !same(first, second),
  lt: (first, second) => compare(first, second) < 0,
  le: (first, second) => compare(first, second) <= 0,
  gt: (first, second) => compare(first, second) > 0,
  ge: (first, second) => compare(first, second) >= 0,
  urlquery: (...values) => encodeURIComponent(values.map(formatValue).join('')),
};

const sameText: TemplateFunction = (value) => value;

/** The functions while a table's header is made: what shapes a cell leaves the column's title alone. */
export const HEADER_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  ...TEMPLATE_FUNCTIONS,
  json: sameText,
  lower: sameText,
  upper: sameText,
  title: sameText,
  truncate: sameText,
  join: sameText,
  split: sameText,
};

function indexOne(container: unknown, key: unknown): unknown {
  if (container === null || container === undefined) {
    if (typeof key === 'string') return '';
    throw new TemplateError('error calling index: index of untyped nil');
  }
  if (Array.isArray(container)) {
    if (typeof key !== 'number')
      throw new TemplateError(`error calling index: cannot index a list with ${formatValue(key)}`);
    if (key < 0 || key >= container.length) throw new TemplateError(`error calling index: index out of range: ${key}`);
    return container[key];
  }
  if (typeof container === 'object') {
    const name = String(key);
    // Go's zero value of a missing entry: empty for the string maps that are indexed in practice (labels).
    return Object.hasOwn(container, name) ? (container as Record<string, unknown>)[name] : '';
  }
  if (typeof container === 'string' && typeof key === 'number') return Buffer.from(container)[key];
  throw new TemplateError(`error calling index: can't index ${formatValue(container)}`);
}

function same(left: unknown, right: unknown): boolean {
  if (left === undefined || left === null) return right === undefined || right === null;
  if (typeof left !== typeof right) throw new TemplateError('error calling eq: incompatible types for comparison');
  return left === right;
}

function compare(left: unknown, right: unknown): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  if (typeof left === 'string' && typeof right === 'string') return left < right ? -1 : left > right ? 1 : 0;
  throw new TemplateError('error calling lt: incompatible types for comparison');
}
