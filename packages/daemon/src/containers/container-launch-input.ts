/** Gathers what planLaunch decides from, for one container. */
import type { HostDevice } from '../os/lookup-devices.ts';
import type { LaunchInput, PlannedInterface } from '../runtime/launch-input.ts';
import type { ContainerRecord } from './container.ts';
import type { LaunchPlanning } from './container-deps.ts';
import { parseMountRequests, resolveMounts } from './container-mounts.ts';
import type { ContainerFiles } from './container-paths.ts';
import { ID_RANGE_SIZE } from './id-ranges.ts';
import { parseLogLimits } from './log-limits.ts';
import type { Accounts } from './read-accounts.ts';

/** @throws TsdError `bad_parameter` for mounts or devices that the host does not have */
export function containerLaunchInput(
  record: ContainerRecord,
  files: ContainerFiles,
  planning: LaunchPlanning,
  root: { readonly layerCount: number; readonly accounts: Accounts; readonly missingMarks: readonly string[] },
  running: {
    readonly interfaces: readonly PlannedInterface[];
    readonly joinedNetworkPid?: number | undefined;
    readonly joined?: LaunchInput['joined'];
  },
): LaunchInput {
  const { config, hostConfig } = record;
  const limits = parseLogLimits(hostConfig.LogConfig);
  const [rows, columns] = hostConfig.ConsoleSize;
  const devices: readonly HostDevice[] = planning.lookupDevices(hostConfig);
  return {
    id: record.id,
    config,
    hostConfig: { ...hostConfig, Ulimits: withDefaultUlimits(hostConfig.Ulimits, planning.defaultUlimits) },
    mounts: resolveMounts(parseMountRequests(hostConfig)),
    layerCount: root.layerCount,
    missingMarks: root.missingMarks,
    passwd: root.accounts.passwd,
    group: root.accounts.group,
    host: planning.host,
    idRange: record.idRange === null ? null : { first: record.idRange, size: ID_RANGE_SIZE },
    paths: files,
    log: limits === null ? null : { file: files.logFile, ...limits },
    networks: running.interfaces,
    joinedNetworkPid: running.joinedNetworkPid,
    joined: running.joined,
    devices,
    consoleSize: rows > 0 && columns > 0 ? { rows, columns } : undefined,
    compileSeccomp: planning.compileSeccomp,
  };
}

function withDefaultUlimits<T extends { readonly Name: string }>(
  own: readonly T[],
  defaults: readonly T[],
): readonly T[] {
  return [...own, ...defaults.filter(({ Name }) => !own.some((limit) => limit.Name === Name))];
}
