/** Where a container's files are. The tree is drawn in docs/lifecycle.md. */
import type { ContainerPaths } from '../runtime/launch-input.ts';

export interface StateRoots {
  /** State that outlives a boot, /var/lib/tsd. */
  readonly dataRoot: string;
  /** State of this boot, /run/tsd. */
  readonly execRoot: string;
}

export interface ContainerFiles extends ContainerPaths {
  /** This and the next two are made anew at each start, but a container may write to them: not into the host's /run. */
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
  readonly logDirectory: string;
  readonly logFile: string;
  readonly runtimeDirectory: string;
  /** Where a removed container's directory waits for its deletion. */
  readonly trash: string;
}

/** A socket's path has at most 107 bytes (unix(7)), too few for 64 digits below a long --exec-root; 20 are unique too. */
const RUNTIME_NAME_LENGTH = 20;

export function containersDirectory(roots: StateRoots): string {
  return `${roots.dataRoot}/containers`;
}

export function trashDirectory(roots: StateRoots): string {
  return `${roots.dataRoot}/trash`;
}

export function runtimeDirectories(roots: StateRoots): string {
  return `${roots.execRoot}/containers`;
}

/** Name of the container's directory below runtimeDirectories. */
export function runtimeName(id: string): string {
  return id.slice(0, RUNTIME_NAME_LENGTH);
}

export function containerFiles(roots: StateRoots, id: string): ContainerFiles {
  const directory = `${containersDirectory(roots)}/${id}`;
  const runtimeDirectory = `${runtimeDirectories(roots)}/${runtimeName(id)}`;
  return {
    directory,
    upper: `${directory}/upper`,
    work: `${directory}/work`,
    hosts: `${directory}/hosts`,
    hostname: `${directory}/hostname`,
    resolvConf: `${directory}/resolv.conf`,
    logDirectory: `${directory}/log`,
    logFile: `${directory}/log/container.log`,
    exitFile: `${directory}/exit`,
    runtimeDirectory,
    controlSocket: `${runtimeDirectory}/control.sock`,
    trash: `${trashDirectory(roots)}/${id}`,
  };
}
