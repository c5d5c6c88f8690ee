/** Sizes and durations as Docker reads and prints them (github.com/docker/go-units). */
import { TsdError } from './errors.ts';

const BINARY_POWERS: Readonly<Record<string, number>> = { k: 1, m: 2, g: 3, t: 4, p: 5 };
const DECIMAL_NAMES = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB'] as const;
const BINARY_NAMES = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB'] as const;
const SIZE = /^([0-9]+\.?[0-9]*|\.[0-9]+) ?([A-Za-z]*)$/;
const DURATION_PART = /([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)/y;
const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * Bytes of a size such as `100M`, `1.5g`, `512k`, `64MiB` or `1048576` (go-units RAMInBytes): binary multiples whatever
 * the spelling of the suffix. Throws bad_parameter, naming `field` where it is given.
 */
export function parseBytes(text: string, field?: string): number {
  const prefix = field === undefined ? '' : `${field}: `;
  const match = SIZE.exec(text);
  if (match === null) {
    throw new TsdError(
      'bad_parameter',
      `${prefix}invalid size: '${text}' (write a number and b, k, m or g, such as 100m)`,
    );
  }
  const [, number = '', suffixText = ''] = match;
  const suffix = suffixText.toLowerCase();
  const value = Number(number);
  if (suffix === '' || suffix === 'b') return safeBytes(value, text, prefix);
  const power = BINARY_POWERS[suffix[0] ?? ''];
  const rest = suffix.slice(1);
  if (power === undefined || !(rest === '' || rest === 'b' || rest === 'ib')) {
    throw new TsdError('bad_parameter', `${prefix}invalid suffix: '${suffix}' (in '${text}'; use b, k, m or g)`);
  }
  return safeBytes(value * 1024 ** power, text, prefix);
}

/** Like parseBytes, and `-1` for unlimited (Docker's MemSwapBytes: --memory-swap). */
export function parseBytesOrUnlimited(text: string, field?: string): number {
  return text === '-1' ? -1 : parseBytes(text, field);
}

/** A size as `docker images` prints it: decimal multiples, three significant digits by default (`7.83MB`). */
export function formatDecimalBytes(bytes: number, precision = 3): string {
  return formatSize(bytes, 1000, DECIMAL_NAMES, precision);
}

/** A size as `docker stats` prints it: binary multiples, four significant digits (`100MiB`). */
export function formatBinaryBytes(bytes: number): string {
  return formatSize(bytes, 1024, BINARY_NAMES, 4);
}

/** A span as `docker ps` prints it (go-units HumanDuration): "Less than a second", "About an hour", "3 weeks". */
export function formatDuration(durationMs: number): string {
  const seconds = Math.trunc(durationMs / 1000);
  if (seconds < 1) return 'Less than a second';
  if (seconds === 1) return '1 second';
  if (seconds < 60) return `${seconds} seconds`;
  const minutes = Math.trunc(seconds / 60);
  if (minutes === 1) return 'About a minute';
  if (minutes < 60) return `${minutes} minutes`;
  const hours = Math.trunc(durationMs / 3_600_000 + 0.5);
  if (hours === 1) return 'About an hour';
  if (hours < 48) return `${hours} hours`;
  if (hours < 24 * 14) return `${Math.trunc(hours / 24)} days`;
  if (hours < 24 * 60) return `${Math.trunc(hours / 24 / 7)} weeks`;
  if (hours < 24 * 730) return `${Math.trunc(hours / 24 / 30)} months`;
  return `${Math.trunc(Math.trunc(durationMs / 3_600_000) / 24 / 365)} years`;
}

/** "2 hours ago": the time that passed since `thenMs` (Unix time, milliseconds). */
export function formatAgo(thenMs: number, nowMs: number = Date.now()): string {
  return `${formatDuration(nowMs - thenMs)} ago`;
}

/** Milliseconds of a Go duration such as `1h30m`, `500ms` or `0`. Throws bad_parameter, naming `field` where given. */
export function parseDurationMs(text: string, field?: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const body = /^[+-]/.test(text) ? text.slice(1) : text;
  if (body === '0') return 0;
  let totalMs = 0;
  let position = 0;
  while (position < body.length) {
    DURATION_PART.lastIndex = position;
    const match = DURATION_PART.exec(body);
    if (match === null) break;
    totalMs += Number(match[1]) * (MS_PER_UNIT[match[2] ?? ''] ?? 0);
    position = DURATION_PART.lastIndex;
  }
  if (position === 0 || position < body.length) {
    const prefix = field === undefined ? '' : `${field}: `;
    throw new TsdError('bad_parameter', `${prefix}invalid duration "${text}" (write for example 10s, 1m30s or 2h)`);
  }
  return sign * totalMs;
}

function safeBytes(value: number, text: string, prefix: string): number {
  const bytes = Math.trunc(value);
  if (!Number.isSafeInteger(bytes)) throw new TsdError('bad_parameter', `${prefix}size too large: '${text}'`);
  return bytes;
}

function formatSize(bytes: number, base: number, names: readonly string[], precision: number): string {
  let size = bytes;
  let index = 0;
  while (size >= base && index < names.length - 1) {
    size /= base;
    index++;
  }
  return `${formatGeneral(size, precision)}${names[index] ?? ''}`;
}

/** Go's %.Ng: N significant digits without trailing zeros, an exponent from 10^N on. */
function formatGeneral(value: number, precision: number): string {
  const rounded = Number(value.toPrecision(precision));
  if (rounded === 0) return '0';
  const exponent = Math.floor(Math.log10(Math.abs(rounded)));
  if (exponent >= precision) return rounded.toExponential().replace(/e\+(\d)$/, 'e+0$1');
  return String(rounded);
}
