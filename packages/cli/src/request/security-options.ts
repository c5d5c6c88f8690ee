/** SecurityOpt, capabilities, masked paths, devices and device requests. */
import { type DeviceMapping, parseDevice } from '@tsd/shared/device-spec';
import { TsdError } from '@tsd/shared/errors';
import { CliError, UsageError } from '../cli-error.ts';
import type { ParsedFlags } from '../flags/flag-spec.ts';
import { compactJson } from './compact-json.ts';
import type { RequestSource } from './request-source.ts';

export interface SecurityOptions {
  readonly SecurityOpt: string[] | null;
  /** null is the daemon's default, empty nothing. */
  readonly MaskedPaths: string[] | null;
  readonly ReadonlyPaths: string[] | null;
}

/** A profile FILE of seccomp= is read here and sent as JSON; `systempaths=unconfined` empties the path lists. */
export function securityOptionsOf(values: readonly string[], source: RequestSource): SecurityOptions {
  if (values.length === 0) return { SecurityOpt: null, MaskedPaths: null, ReadonlyPaths: null };
  const options: string[] = [];
  let unmasked = false;
  for (const text of values) {
    const separator = text.search(/[=:]/);
    if (separator === -1 && text !== 'no-new-privileges') throw new UsageError(`Invalid --security-opt: "${text}"`);
    const key = separator === -1 ? text : text.slice(0, separator);
    const value = separator === -1 ? '' : text.slice(separator + 1);
    if (key === 'systempaths' && value === 'unconfined') unmasked = true;
    else if (key === 'seccomp' && value !== 'unconfined' && value !== 'builtin') {
      options.push(`seccomp=${readProfile(value, source)}`);
    } else options.push(text);
  }
  const paths = unmasked ? [] : null;
  return { SecurityOpt: options, MaskedPaths: paths, ReadonlyPaths: paths };
}

function readProfile(path: string, source: RequestSource): string {
  let text: string;
  try {
    text = source.readFile(path);
  } catch (error) {
    if (error instanceof CliError) {
      throw new UsageError(`opening seccomp profile (${path}) failed: ${error.message}`, { cause: error });
    }
    throw error;
  }
  try {
    return compactJson(text);
  } catch (error) {
    throw new UsageError(`compacting json for seccomp profile (${path}) failed: ${String(error)}`, { cause: error });
  }
}

/** Capability names as Docker's client normalises them: upper case, with CAP_; `ALL` stays. */
export function capabilities(values: readonly string[]): string[] | null {
  if (values.length === 0) return null;
  const names = values.map((text) => {
    const name = text.trim().toUpperCase();
    return name === 'ALL' || name.startsWith('CAP_') ? name : `CAP_${name}`;
  });
  const unique = [...new Set(names)].sort();
  return unique.includes('ALL') ? ['ALL'] : unique;
}

/** A device of the Container Device Interface: vendor/class=name. */
const CDI_DEVICE = /^[a-zA-Z][\w.-]*\/[a-zA-Z][\w-]*=[\w.:-]+$/;

export interface DeviceRequest {
  Driver: string;
  Count: number;
  DeviceIDs: string[] | null;
  Capabilities: string[][] | null;
  Options: Record<string, string> | null;
}

export interface DeviceOptions {
  readonly Devices: DeviceMapping[];
  readonly DeviceRequests: DeviceRequest[] | null;
}

export function devicesOf(flags: ParsedFlags): DeviceOptions {
  const requests: DeviceRequest[] = flags.list('gpus').map(parseGpus);
  const devices: DeviceMapping[] = [];
  const cdi: string[] = [];
  for (const text of flags.list('device')) {
    if (CDI_DEVICE.test(text)) cdi.push(text);
    else devices.push(parseDeviceFlag(text));
  }
  if (cdi.length > 0) requests.push({ Driver: 'cdi', Count: 0, DeviceIDs: cdi, Capabilities: null, Options: null });
  return { Devices: devices, DeviceRequests: requests.length === 0 ? null : requests };
}

function parseDeviceFlag(text: string): DeviceMapping {
  try {
    return parseDevice(text);
  } catch (error) {
    if (error instanceof TsdError) throw new UsageError(error.message);
    throw error;
  }
}

/** `all`, a number, or `device=…,driver=…,capabilities=…,count=…` (docker/cli opts/gpus.go). */
function parseGpus(text: string): DeviceRequest {
  const request: DeviceRequest = { Driver: '', Count: 1, DeviceIDs: null, Capabilities: [['gpu']], Options: {} };
  for (const field of text.split(',')) {
    const equals = field.indexOf('=');
    const key = equals === -1 ? 'count' : field.slice(0, equals);
    const value = equals === -1 ? field : field.slice(equals + 1);
    if (key === 'count') {
      if (value !== 'all' && !/^-?[0-9]+$/.test(value)) throw new UsageError(`count must be an integer: ${value}`);
      request.Count = value === 'all' ? -1 : Number(value);
    } else if (key === 'device') request.DeviceIDs = [...(request.DeviceIDs ?? []), value];
    else if (key === 'driver') request.Driver = value;
    else if (key === 'capabilities') request.Capabilities = [['gpu', ...value.split(',')]];
    else throw new UsageError(`unexpected key '${key}' in '${field}'`);
  }
  return request;
}
