/** GET /containers/{id}/json: the record in Docker's shape. */
import type { ContainerInspectResponse, MountPoint } from '@tsd/shared/api-containers';
import { appArmorProfile } from '../runtime/plan-credentials.ts';
import { DEFAULT_MASKED_PATHS, DEFAULT_READ_ONLY_PATHS } from '../runtime/plan-masks.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { shownLinks } from './container-links.ts';
import { parseMountRequests } from './container-mounts.ts';
import { containerFiles } from './container-paths.ts';
import { containerSize } from './container-size.ts';
import { stateFlags } from './lifecycle.ts';
import { networkSettings } from './network-settings.ts';
import { ZERO_TIME } from './timestamp.ts';

/**
 * @param options `size` measures the files that the container changed, which reads its whole upper directory; `oldAliases`:
 *   as for API versions before 1.45, whose clients (compose 1) look for the short id among the aliases
 * @throws TsdError `not_found`
 */
export async function inspectContainer(
  deps: Pick<ContainerDeps, 'images' | 'networks' | 'planning' | 'roots' | 'store'>,
  reference: string,
  options: { readonly size: boolean; readonly oldAliases?: boolean },
): Promise<ContainerInspectResponse> {
  const record = deps.store.lookup(reference);
  const { config, hostConfig } = record;
  const files = containerFiles(deps.roots, record.id);
  const [path = '', ...args] = commandLine(record);
  return {
    Id: record.id,
    Created: record.createdAt,
    Path: path,
    Args: args,
    State: {
      Status: record.status,
      ...stateFlags(record.status),
      OOMKilled: record.oomKilled,
      Pid: record.pid ?? 0,
      ExitCode: record.exitCode,
      Error: record.error,
      StartedAt: record.startedAt ?? ZERO_TIME,
      FinishedAt: record.finishedAt ?? ZERO_TIME,
    },
    Image: record.imageId,
    ResolvConfPath: files.resolvConf,
    HostnamePath: files.hostname,
    HostsPath: files.hosts,
    LogPath: hostConfig.LogConfig.Type === 'none' ? '' : files.logFile,
    Name: `/${record.name}`,
    RestartCount: record.restartCount,
    Driver: 'erofs',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: appArmorProfile(hostConfig, deps.planning.host),
    ExecIDs: null,
    HostConfig: shownHostConfig(deps, record),
    GraphDriver: { Name: 'erofs', Data: null },
    ...(options.size ? await containerSize(deps, record) : {}),
    Mounts: mountPoints(record),
    Config: config as ContainerInspectResponse['Config'],
    NetworkSettings: networkSettings(deps, record, options),
  };
}

/** Entry point and command: what is executed. */
export function commandLine({ config }: ContainerRecord): readonly string[] {
  return [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
}

/** `Mounts` of inspect and list. */
export function mountPoints({ hostConfig }: ContainerRecord): MountPoint[] {
  return parseMountRequests(hostConfig).map((mount) =>
    mount.type === 'bind'
      ? {
          Type: 'bind',
          Source: mount.source,
          Destination: mount.target,
          Mode: mount.mode,
          RW: !mount.readOnly,
          Propagation: mount.propagation,
        }
      : { Type: 'tmpfs', Source: '', Destination: mount.target, Mode: '', RW: !mount.readOnly, Propagation: '' },
  );
}

/** With the paths that are hidden by default written out, and links by name, as Docker does. */
function shownHostConfig(
  { store }: Pick<ContainerDeps, 'store'>,
  record: ContainerRecord,
): ContainerInspectResponse['HostConfig'] {
  const hostConfig = { ...record.hostConfig, Links: shownLinks(store, record) };
  const shown = hostConfig.Privileged
    ? hostConfig
    : {
        ...hostConfig,
        MaskedPaths: hostConfig.MaskedPaths ?? DEFAULT_MASKED_PATHS,
        ReadonlyPaths: hostConfig.ReadonlyPaths ?? DEFAULT_READ_ONLY_PATHS,
      };
  // The schema's types are mutable, the record's are not.
  return shown as unknown as ContainerInspectResponse['HostConfig'];
}
