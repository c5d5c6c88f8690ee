/** The resource limits of HostConfig. */
import { TsdError } from '@tsd/shared/errors';
import { parseBytes, parseBytesOrUnlimited } from '@tsd/shared/units';
import { UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { flagValue, flagValues } from './flag-value.ts';

export function resourcesOf(flags: ParsedFlags): Readonly<Record<string, unknown>> {
  return {
    CpuShares: flags.int('cpu-shares') ?? 0,
    Memory: flagValue(flags, 'memory', parseBytes) ?? 0,
    NanoCpus: flagValue(flags, 'cpus', parseNanoCpus) ?? 0,
    BlkioWeight: flagValue(flags, 'blkio-weight', parseBlkioWeight) ?? 0,
    BlkioWeightDevice: flagValues(flags, 'blkio-weight-device', parseWeightDevice),
    BlkioDeviceReadBps: flagValues(flags, 'device-read-bps', (text) => parseRate(text, parseBytes)),
    BlkioDeviceWriteBps: flagValues(flags, 'device-write-bps', (text) => parseRate(text, parseBytes)),
    BlkioDeviceReadIOps: flagValues(flags, 'device-read-iops', (text) => parseRate(text, parseCount)),
    BlkioDeviceWriteIOps: flagValues(flags, 'device-write-iops', (text) => parseRate(text, parseCount)),
    CpuPeriod: flags.int('cpu-period') ?? 0,
    CpuQuota: flags.int('cpu-quota') ?? 0,
    CpuRealtimePeriod: flags.int('cpu-rt-period') ?? 0,
    CpuRealtimeRuntime: flags.int('cpu-rt-runtime') ?? 0,
    CpusetCpus: flags.string('cpuset-cpus') ?? '',
    CpusetMems: flags.string('cpuset-mems') ?? '',
    MemoryReservation: flagValue(flags, 'memory-reservation', parseBytes) ?? 0,
    MemorySwap: flagValue(flags, 'memory-swap', parseBytesOrUnlimited) ?? 0,
    MemorySwappiness: swappiness(flags),
    OomKillDisable: flags.bool('oom-kill-disable'),
    PidsLimit: flags.int('pids-limit') ?? 0,
    // Windows only; Docker's client sends them always.
    CpuCount: 0,
    CpuPercent: 0,
    IOMaximumIOps: 0,
    IOMaximumBandwidth: 0,
  };
}

/** -1 leaves it to the host. */
function swappiness(flags: ParsedFlags): number {
  const value = flags.int('memory-swappiness') ?? -1;
  if (value !== -1 && (value < 0 || value > 100)) {
    throw new UsageError(`invalid value: ${value}. Valid memory swappiness range is 0-100`);
  }
  return value;
}

/** Billionths of a CPU of a decimal number, exactly. */
function parseNanoCpus(text: string): number {
  const match = /^([0-9]*)(?:\.([0-9]*))?$/.exec(text);
  const whole = match?.[1] ?? '';
  const fraction = match?.[2] ?? '';
  if (match === null || whole + fraction === '') {
    throw new TsdError('bad_parameter', `failed to parse ${text} as a rational number`);
  }
  if (/[1-9]/.test(fraction.slice(9))) throw new TsdError('bad_parameter', 'value is too precise');
  return Number(whole) * 1e9 + Number(fraction.slice(0, 9).padEnd(9, '0'));
}

function parseBlkioWeight(text: string): number {
  const value = Number(text);
  if (!(value >= 0 && value <= 65_535)) {
    throw new TsdError('bad_parameter', `strconv.ParseUint: parsing "${text}": value out of range`);
  }
  return value;
}

/** `/dev/sda:200`. */
function parseWeightDevice(text: string): { Path: string; Weight: number } {
  const { path, value } = splitDevice(text);
  const weight = /^[0-9]+$/.test(value) ? Number(value) : Number.NaN;
  if (weight !== 0 && !(weight >= 10 && weight <= 1000)) {
    throw new TsdError('bad_parameter', `invalid weight for device: ${text}`);
  }
  return { Path: path, Weight: weight };
}

/** `/dev/sda:1mb`. */
function parseRate(text: string, parse: (value: string) => number): { Path: string; Rate: number } {
  const { path, value } = splitDevice(text);
  return { Path: path, Rate: parse(value) };
}

function parseCount(text: string): number {
  if (!/^[0-9]+$/.test(text)) {
    throw new TsdError('bad_parameter', `invalid rate: ${text}. It must be a positive integer`);
  }
  return Number(text);
}

function splitDevice(text: string): { path: string; value: string } {
  const colon = text.indexOf(':');
  const path = colon === -1 ? '' : text.slice(0, colon);
  if (path === '') throw new TsdError('bad_parameter', `bad format: ${text}`);
  if (!path.startsWith('/dev/')) throw new TsdError('bad_parameter', `bad format for device path: ${text}`);
  return { path, value: text.slice(colon + 1) };
}
