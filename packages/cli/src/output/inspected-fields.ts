/** Which fields of inspected objects may be absent: the API's JSON leaves out what Docker's types have empty. */

/** Fields that hold maps: any key may be asked for. */
const MAPS: ReadonlySet<string> = new Set([
  'Annotations',
  'Data',
  'DriverOpts',
  'ExposedPorts',
  'IndexConfigs',
  'Labels',
  'Networks',
  'Options',
  'PortBindings',
  'Ports',
  'Runtimes',
  'StorageOpt',
  'Sysctls',
  'Tmpfs',
  'Volumes',
]);

/** Fields that are left out where they are empty. */
const OPTIONAL: ReadonlySet<string> = new Set([
  ...MAPS,
  'ArgsEscaped',
  'BindOptions',
  'Consistency',
  'Driver',
  'ExecDriver',
  'Health',
  'Healthcheck',
  'Init',
  'KernelMemory',
  'KernelMemoryTCP',
  'MacAddress',
  'Mounts',
  'Name',
  'NetworkDisabled',
  'OsVersion',
  'Runtime',
  'Shell',
  'SizeRootFs',
  'SizeRw',
  'Source',
  'StopSignal',
  'StopTimeout',
  'TmpfsOptions',
  'Variant',
  'VirtualSize',
  'VolumeOptions',
]);

/** For templates of inspect, version and info; a field that no object has is a mistake in the template. */
export function mayMissWhenInspected(parent: string | undefined, field: string): boolean {
  return OPTIONAL.has(field) || (parent !== undefined && MAPS.has(parent));
}
