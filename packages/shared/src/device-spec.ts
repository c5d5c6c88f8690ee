/** `--device` as Docker reads it (cli, opts parseLinuxDevice). */
import { TsdError } from './errors.ts';

/** One entry of HostConfig.Devices, with Docker's field names. */
export interface DeviceMapping {
  PathOnHost: string;
  PathInContainer: string;
  /** Any of r, w and m. */
  CgroupPermissions: string;
}

/** Parses `source[:target][:rwm]`. Throws bad_parameter. */
export function parseDevice(text: string): DeviceMapping {
  const parts = text.split(':');
  const [source = '', second, third] = parts;
  if (parts.length > 3 || source === '') throw new TsdError('bad_parameter', `invalid device specification: ${text}`);
  const secondIsMode = parts.length === 2 && second !== undefined && isDeviceMode(second);
  const target = second === undefined || second === '' || secondIsMode ? source : second;
  const permissions = third ?? (secondIsMode ? second : 'rwm');
  if (!isDeviceMode(permissions))
    throw new TsdError('bad_parameter', `invalid device mode: ${permissions} (any of r, w, m)`);
  if (!target.startsWith('/')) throw new TsdError('bad_parameter', `${target} is not an absolute path`);
  return { PathOnHost: source, PathInContainer: target, CgroupPermissions: permissions };
}

/** Whether the text is a set of r, w and m, each at most once. */
export function isDeviceMode(text: string): boolean {
  return /^[rwm]{1,3}$/.test(text) && new Set(text).size === text.length;
}
