/** `--mount` as Docker's client reads it (cli, opts/mount.go). */
import { parseCsvRecord } from './csv-record.ts';
import { TsdError } from './errors.ts';
import { type BindPropagation, type Mount, PROPAGATIONS } from './mount-spec.ts';
import { parseBytes } from './units.ts';

const MOUNT_TYPES: ReadonlySet<string> = new Set(['bind', 'volume', 'tmpfs', 'npipe', 'cluster', 'image']);

/** Parses one `--mount` value: CSV of key=value, first `type` (bind, volume or tmpfs; volume if missing). */
export function parseMount(text: string): Mount {
  const mount: Mount = { Type: 'volume', Target: '' };
  const fields = parseCsvRecord(text.trim());
  for (const field of fields) {
    const equals = field.indexOf('=');
    const key = (equals === -1 ? field : field.slice(0, equals)).trim().toLowerCase();
    const value = equals === -1 ? undefined : field.slice(equals + 1);
    applyMountField(mount, key, value, field);
  }
  checkMount(mount);
  return mount;
}

function applyMountField(mount: Mount, key: string, value: string | undefined, field: string): void {
  const flag = (): boolean => parseFlag(key, value);
  const text = (): string => {
    if (value === undefined || value === '') throw invalidField(field, 'must be a key=value pair');
    return value;
  };
  switch (key) {
    case 'type': {
      const type = text().toLowerCase();
      if (!MOUNT_TYPES.has(type)) throw new TsdError('bad_parameter', `mount type unknown: "${type}"`);
      mount.Type = type as Mount['Type'];
      return;
    }
    case 'source':
    case 'src': {
      const source = text();
      // A path relative to the client's directory is resolved by the client, which calls with an absolute one.
      mount.Source = source;
      return;
    }
    case 'target':
    case 'dst':
    case 'destination':
      mount.Target = text();
      return;
    case 'readonly':
    case 'ro':
      mount.ReadOnly = flag();
      return;
    case 'consistency':
      mount.Consistency = text().toLowerCase();
      return;
    case 'bind-propagation': {
      const propagation = text().toLowerCase();
      if (!PROPAGATIONS.has(propagation)) throw invalidField(field, `invalid propagation "${propagation}"`);
      mount.BindOptions = { ...mount.BindOptions, Propagation: propagation as BindPropagation };
      return;
    }
    case 'bind-nonrecursive':
      mount.BindOptions = { ...mount.BindOptions, NonRecursive: flag() };
      return;
    case 'bind-recursive':
      applyBindRecursive(mount, text(), field);
      return;
    case 'bind-create-src':
      mount.BindOptions = { ...mount.BindOptions, CreateMountpoint: flag() };
      return;
    case 'volume-subpath':
      mount.VolumeOptions = { ...mount.VolumeOptions, Subpath: text() };
      return;
    case 'volume-nocopy':
      mount.VolumeOptions = { ...mount.VolumeOptions, NoCopy: flag() };
      return;
    case 'volume-label': {
      const [name, label] = splitPair(text());
      mount.VolumeOptions = { ...mount.VolumeOptions, Labels: { ...mount.VolumeOptions?.Labels, [name]: label } };
      return;
    }
    case 'volume-driver':
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...mount.VolumeOptions?.DriverConfig, Name: text() },
      };
      return;
    case 'volume-opt': {
      const [name, option] = splitPair(text());
      const driver = mount.VolumeOptions?.DriverConfig;
      mount.VolumeOptions = {
        ...mount.VolumeOptions,
        DriverConfig: { ...driver, Options: { ...driver?.Options, [name]: option } },
      };
      return;
    }
    case 'tmpfs-size':
      mount.TmpfsOptions = { ...mount.TmpfsOptions, SizeBytes: parseBytes(text(), 'tmpfs-size') };
      return;
    case 'tmpfs-mode': {
      const mode = text();
      if (!/^[0-7]{1,5}$/.test(mode))
        throw new TsdError('bad_parameter', `invalid value for ${key}: ${mode} (write octal, such as 1777)`);
      mount.TmpfsOptions = { ...mount.TmpfsOptions, Mode: Number.parseInt(mode, 8) };
      return;
    }
    default:
      throw new TsdError('bad_parameter', `unknown option '${key}' in '${field}'`);
  }
}

function applyBindRecursive(mount: Mount, value: string, field: string): void {
  const options = { ...mount.BindOptions };
  switch (value) {
    case 'enabled':
      break;
    case 'disabled':
      options.NonRecursive = true;
      break;
    case 'writable':
      options.ReadOnlyNonRecursive = true;
      break;
    case 'readonly':
      options.ReadOnlyForceRecursive = true;
      break;
    default:
      throw invalidField(field, 'must be one of "enabled", "disabled", "writable", "readonly"');
  }
  mount.BindOptions = options;
}

function checkMount(mount: Mount): void {
  if (mount.Target === '') throw new TsdError('bad_parameter', 'target is required');
  const wrong = (key: string, type: string): TsdError =>
    new TsdError('bad_parameter', `cannot mix '${key}' options with mount type '${type}'`);
  if (mount.VolumeOptions !== undefined && mount.Type !== 'volume') throw wrong('volume-*', mount.Type);
  if (mount.BindOptions !== undefined && mount.Type !== 'bind') throw wrong('bind-*', mount.Type);
  if (mount.TmpfsOptions !== undefined && mount.Type !== 'tmpfs') throw wrong('tmpfs-*', mount.Type);
  if (mount.BindOptions?.ReadOnlyNonRecursive || mount.BindOptions?.ReadOnlyForceRecursive) {
    if (mount.ReadOnly !== true) {
      throw new TsdError('bad_parameter', "option 'bind-recursive' requires 'readonly' to be specified in conjunction");
    }
  }
}

function parseFlag(key: string, value: string | undefined): boolean {
  if (value === undefined) return true;
  if (/^(1|t|true)$/i.test(value)) return true;
  if (/^(0|f|false)$/i.test(value)) return false;
  throw new TsdError('bad_parameter', `invalid value for ${key}: ${value} (write true or false)`);
}

function splitPair(text: string): [string, string] {
  const equals = text.indexOf('=');
  return equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
}

function invalidField(field: string, problem: string): TsdError {
  return new TsdError('bad_parameter', `invalid field '${field}' ${problem}`);
}
