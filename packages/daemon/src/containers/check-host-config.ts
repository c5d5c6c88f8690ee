/**
 * Refuses host configurations that make no sense (moby daemon/daemon_unix.go, verifyPlatformContainerResources and
 * verifyContainerSettings) or that need what tsd does not have yet. What depends on the host's kernel is planLaunch's.
 */
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { TsdError } from '@tsd/shared/errors';
import { RLIMIT_NUMBERS } from '@tsd/shared/ulimit-spec';
import type { HostConfig } from './container.ts';
import { parseLogLimits } from './log-limits.ts';

/** moby: what a process needs to start at all. */
const MINIMUM_MEMORY_BYTES = 6 * 1024 * 1024;

/**
 * Checks the configuration and returns Docker's warnings for the create response.
 *
 * @throws TsdError `bad_parameter` naming the field, `not_implemented` for what is not there yet
 */
export function checkHostConfig(host: HostConfig, processors: number = availableParallelism()): readonly string[] {
  const warnings: string[] = [];
  checkMemory(host);
  checkProcessors(host, processors);
  checkModes(host);
  checkNetwork(host, warnings);
  checkNotImplemented(host);
  checkNames(host);
  parseLogLimits(host.LogConfig);
  if (host.BlkioWeight !== 0 && (host.BlkioWeight < 10 || host.BlkioWeight > 1000)) {
    throw bad('Range of blkio weight is from 10 to 1000');
  }
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000) {
    throw bad(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
  if (host.ShmSize < 0) throw bad('SHM size can not be less than 0');
  if (host.AutoRemove && host.RestartPolicy.Name !== 'no') {
    throw bad("can't create 'AutoRemove' container with restart policy");
  }
  for (const { Name, Soft, Hard } of host.Ulimits) {
    if (!Object.hasOwn(RLIMIT_NUMBERS, Name)) throw bad(`invalid ulimit type: ${Name}`);
    if (Hard !== -1 && (Soft === -1 || Soft > Hard)) {
      throw bad(`ulimit soft limit must be less than or equal to hard limit: ${Soft} > ${Hard}`);
    }
  }
  if (host.Runtime !== 'tsd' && host.Runtime !== 'runc') throw bad(`unknown or invalid runtime name: ${host.Runtime}`);
  return warnings;
}

function checkMemory(host: HostConfig): void {
  if (host.Memory < 0) throw bad(`invalid memory limit: ${host.Memory}: it must be positive`);
  if (host.Memory !== 0 && host.Memory < MINIMUM_MEMORY_BYTES) throw bad('Minimum memory limit allowed is 6MB');
  if (host.Memory === 0 && host.MemorySwap > 0) {
    throw bad('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  if (host.MemorySwap > 0 && host.MemorySwap < host.Memory) {
    throw bad('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  const swappiness = host.MemorySwappiness;
  if (swappiness !== null && (swappiness < 0 || swappiness > 100)) {
    throw bad(`Invalid value: ${swappiness}, valid memory swappiness range is 0-100`);
  }
  if (host.MemoryReservation !== 0 && host.MemoryReservation < MINIMUM_MEMORY_BYTES) {
    throw bad('Minimum memory reservation allowed is 6MB');
  }
  if (host.Memory > 0 && host.Memory < host.MemoryReservation) {
    throw bad('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

function checkProcessors(host: HostConfig, processors: number): void {
  if (host.NanoCpus !== 0 && (host.CpuPeriod > 0 || host.CpuQuota > 0)) {
    const other = host.CpuPeriod > 0 ? 'Period' : 'Quota';
    throw bad(`Conflicting options: Nano CPUs and CPU ${other} cannot both be set.`);
  }
  if (host.NanoCpus < 0 || host.NanoCpus > processors * 1e9) {
    throw bad(`range of CPUs is from 0.01 to ${processors}.00, as there are only ${processors} CPUs available`);
  }
  if (host.CpuShares < 0) throw bad(`invalid CPU shares (${host.CpuShares}): value must be a positive integer`);
  if (host.CpuPeriod !== 0 && (host.CpuPeriod < 1000 || host.CpuPeriod > 1_000_000)) {
    throw bad('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (host.CpuQuota > 0 && host.CpuQuota < 1000) throw bad('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  for (const [field, list] of [
    ['CpusetCpus', host.CpusetCpus],
    ['CpusetMems', host.CpusetMems],
  ]) {
    if (list !== '' && !/^\d+(-\d+)?(,\d+(-\d+)?)*$/.test(list ?? '')) {
      throw bad(`invalid ${field}: ${list}: numbers and ranges such as 0-3,5`);
    }
  }
}

/** `container:ID` of PidMode and IpcMode was looked up before. */
function checkModes(host: HostConfig): void {
  const modes: readonly (readonly [field: string, value: string, known: readonly string[]])[] = [
    ['PidMode', host.PidMode, ['', 'host']],
    ['IpcMode', host.IpcMode, ['none', 'private', 'shareable', 'host']],
    ['UTSMode', host.UTSMode, ['', 'host']],
    ['UsernsMode', host.UsernsMode, ['', 'host']],
    ['CgroupnsMode', host.CgroupnsMode, ['private', 'host']],
  ];
  const joinable = ['PidMode', 'IpcMode'];
  for (const [field, value, known] of modes) {
    if (known.includes(value) || (joinable.includes(field) && value.startsWith('container:'))) continue;
    throw bad(`invalid HostConfig.${field} "${value}": known are ${known.map((one) => `"${one}"`).join(', ')}`);
  }
}

function checkNetwork(host: HostConfig, warnings: string[]): void {
  const publishes = host.PublishAllPorts || Object.keys(host.PortBindings).length > 0;
  if (host.NetworkMode === 'host' && publishes)
    warnings.push('Published ports are discarded when using host network mode');
  if (host.NetworkMode.startsWith('ns:')) throw notYet(`HostConfig.NetworkMode "${host.NetworkMode}"`);
}

/** What ends up in /etc/resolv.conf, where a line break would begin another setting. */
function checkNames({ Dns, DnsSearch, DnsOptions }: HostConfig): void {
  for (const address of Dns)
    if (isIP(address) === 0) throw bad(`invalid HostConfig.Dns: "${address}" is not an IP address`);
  for (const [field, words] of Object.entries({ DnsSearch, DnsOptions })) {
    for (const word of words)
      if (!/^[^\s\p{Cc}]+$/u.test(word)) throw bad(`invalid HostConfig.${field}: "${word}" is not one word`);
  }
}

function checkNotImplemented(host: HostConfig): void {
  const present = (list: readonly unknown[] | null | undefined) =>
    list !== null && list !== undefined && list.length > 0;
  if (present(host.VolumesFrom)) throw notYet('HostConfig.VolumesFrom: volumes');
  if (present(host.DeviceRequests)) throw notYet('HostConfig.DeviceRequests (--gpus)');
  if (host.CgroupParent !== '') throw notYet('HostConfig.CgroupParent');
  if (host.StorageOpt !== undefined && Object.keys(host.StorageOpt).length > 0) throw notYet('HostConfig.StorageOpt');
  for (const field of [
    'BlkioWeightDevice',
    'BlkioDeviceReadBps',
    'BlkioDeviceWriteBps',
    'BlkioDeviceReadIOps',
    'BlkioDeviceWriteIOps',
  ] as const) {
    if (present(host[field])) throw notYet(`HostConfig.${field}`);
  }
}

function bad(message: string): TsdError {
  return new TsdError('bad_parameter', message);
}

function notYet(what: string): TsdError {
  return new TsdError('not_implemented', `${what} is not implemented yet`);
}
