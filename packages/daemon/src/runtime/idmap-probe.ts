/** Whether ids can be mapped on a mount, tried out: it depends on the file system, the kernel, and on the mount. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { Launcher } from './launch.ts';
import { LaunchError } from './launch-error.ts';
import type { LaunchPlan, Step } from './launch-plan.ts';

/** Resolves to false where mount_setattr(2) refuses; true also where that could not be found out. */
export type IdmapProbe = (source: string) => Promise<boolean>;

/** Of no container. */
const PROBE_ID = 0x7fff_0000;
const USER_NAMESPACE = 0;
const MOUNT = 1;

/** @param directory for the control socket of the launches, none of which gets as far as a process. Remembers file systems. */
export function createIdmapProbe(launcher: Pick<Launcher, 'launch'>, directory: string): IdmapProbe {
  const known = new Map<number, boolean>();
  let count = 0;
  return async (source) => {
    const dev = statSync(source, { throwIfNoEntry: false })?.dev;
    if (dev === undefined) return true;
    const before = known.get(dev);
    if (before !== undefined) return before;
    count += 1;
    const result = await tryOut(launcher, source, join(directory, `idmap-probe-${count}`));
    known.set(dev, result);
    return result;
  };
}

async function tryOut(launcher: Pick<Launcher, 'launch'>, source: string, path: string): Promise<boolean> {
  const mappings = [{ containerId: 0, hostId: PROBE_ID, size: 1 }];
  const attempt: Step = { op: 'set-mount-attributes', side: 'host', slot: MOUNT, idmap: USER_NAMESPACE };
  const plan: LaunchPlan = {
    supervisor: {
      controlSocket: `${path}.sock`,
      exitFile: `${path}.exit`,
      log: null,
      tty: false,
      openStdin: false,
      stdinOnce: false,
      oomCounterFile: null,
    },
    steps: [
      { op: 'clone', side: 'host', namespaces: ['user'] },
      { op: 'id-map', side: 'host', kind: 'uid', mappings },
      { op: 'id-map', side: 'host', kind: 'gid', mappings },
      { op: 'open-child-namespace', side: 'host', namespace: 'user', slot: USER_NAMESPACE },
      { op: 'clone-tree', side: 'host', at: { path: source }, slot: MOUNT },
      attempt,
      // Nothing is to run: a path through what is no directory cannot be executed.
      { op: 'exec', side: 'container', argv: ['/dev/null/none'], env: [] },
    ],
  };
  try {
    await launcher.launch(plan, { descriptors: [], attach: [] });
    return true;
  } catch (error) {
    return !(error instanceof LaunchError && error.step !== null && plan.steps[error.step] === attempt);
  }
}
