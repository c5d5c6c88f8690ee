/** A container and a host for tests of plans, and a way to write a plan down, one step a line. */
import type { CgroupLayout, CgroupTree } from '../src/os/cgroup-layout.ts';
import type { HostFacts } from '../src/runtime/host-facts.ts';
import type { ContainerConfig, LaunchHostConfig, LaunchInput } from '../src/runtime/launch-input.ts';
import type { FsOption, LaunchPlan, PlanPath, Step } from '../src/runtime/launch-plan.ts';
import { planLaunch } from '../src/runtime/plan-launch.ts';

export const ID = 'c0ffee'.padEnd(64, '0');
export const FIRST_ID = 1073741824;

const v1Tree = (...controllers: readonly string[]): CgroupTree => {
  const mountPoint = `/cg/${controllers.join()}`;
  return { controllers, mountPoint, parent: `${mountPoint}/tsd` };
};

export const V1: CgroupLayout = {
  version: 1,
  trees: [v1Tree('cpu', 'cpuacct'), v1Tree('memory'), v1Tree('devices'), v1Tree('cpuset')],
};
export const V2: CgroupLayout = {
  version: 2,
  unified: { controllers: ['cpu', 'memory', 'pids'], mountPoint: '/cg', parent: '/cg/tsd' },
};

export function hostFacts(cgroups: CgroupLayout | null): HostFacts {
  const v1 = [
    'memory.limit_in_bytes',
    'memory.memsw.limit_in_bytes',
    'memory.oom_control',
    'cpu.cfs_quota_us',
    'cpuset.cpus',
  ];
  const v2 = ['memory.max', 'memory.swap.max', 'memory.events', 'cpu.max', 'pids.max'];
  const files = cgroups === null ? [] : cgroups.version === 2 ? v2 : v1;
  return {
    architecture: 'x64',
    kernel: { release: '6.18.0', major: 6, minor: 18 },
    layers: { imageMode: 'index', detachedLayers: true },
    cgroups,
    cgroupFiles: new Set(files),
    cpusetCpus: cgroups?.version === 2 ? '' : '0-1',
    cpusetMems: cgroups?.version === 2 ? '' : '0',
    capabilities: Array.from({ length: 41 }, (_, bit) => bit),
    hardLimits: Array.from({ length: 16 }, () => 20_000n),
    securityModules: [],
    keyrings: true,
    ipv6: true,
    processors: 2,
    thermalThrottlePaths: [],
  };
}

export function launchInput(
  config: ContainerConfig = {},
  hostConfig: LaunchHostConfig = {},
  more: Partial<LaunchInput> = {},
): LaunchInput {
  const directory = '/var/lib/tsd/containers/c';
  return {
    id: ID,
    config: { Cmd: ['sh'], ...config },
    hostConfig,
    mounts: [],
    layerCount: 2,
    missingMarks: [],
    passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:33:44:web:/srv/www:/bin/sh\n',
    group: 'root:x:0:\nstaff:x:50:web\n',
    host: hostFacts(V1),
    idRange: { first: FIRST_ID, size: 65536 },
    paths: {
      directory,
      upper: `${directory}/upper`,
      work: `${directory}/work`,
      hosts: `${directory}/hosts`,
      hostname: `${directory}/hostname`,
      resolvConf: `${directory}/resolv.conf`,
      controlSocket: '/run/tsd/containers/c/control.sock',
      exitFile: `${directory}/exit`,
    },
    log: null,
    networks: [],
    devices: [],
    compileSeccomp: () => Uint8Array.of(6, 0, 0, 0, 0, 0, 255, 127),
    ...more,
  };
}

function place(at: PlanPath): string {
  return at.base === undefined ? at.path : `[${at.base}]${at.path === '' ? '' : `/${at.path.replace(/^\//, '')}`}`;
}

function value(key: string, field: unknown): string {
  if (field === true) return key;
  if (field === false) return '';
  if (field instanceof Uint8Array) return `${key}=${field.length} bytes`;
  if (key === 'at') return place(field as PlanPath);
  if (key === 'mode' && typeof field === 'number') return `0${field.toString(8)}`;
  if (key === 'options') {
    const words = (field as readonly FsOption[]).map((one) => {
      if (one.kind === 'flag') return one.key;
      if (one.kind === 'mode') return `${one.key} of ${place(one.of)}`;
      return `${one.key}=${one.kind === 'slot' ? `[${one.slot}]` : one.value}`;
    });
    return words.filter((word) => !word.startsWith('source=')).join(',');
  }
  if (key === 'idmap' || key === 'slot' || key === 'cgroup' || key === 'root') return `${key}=[${String(field)}]`;
  if (key === 'messages') return `messages=${(field as readonly Uint8Array[]).map(({ length }) => length).join()}`;
  if (Array.isArray(field))
    return `${key}=${field.every((one) => typeof one !== 'object') ? field.join() : JSON.stringify(field)}`;
  if (typeof field === 'object') return JSON.stringify(field);
  return key === 'op' || key === 'side' ? String(field) : `${key}=${String(field)}`;
}

/** `side op field field …`: every field of the step, in the plan's order. */
export function line(step: Step): string {
  const { op, side, ...fields } = step;
  const words = Object.entries(fields).map(([key, field]) => value(key, field));
  return [side === 'host' ? 'H' : 'C', op, ...words.filter((word) => word !== '')].join(' ');
}

/** The plan for an input and its steps as lines. */
export function planned(
  config: ContainerConfig = {},
  hostConfig: LaunchHostConfig = {},
  more: Partial<LaunchInput> = {},
): { plan: LaunchPlan; lines: string[]; warnings: readonly string[] } {
  const { plan, warnings } = planLaunch(launchInput(config, hostConfig, more));
  return { plan, lines: plan.steps.map(line), warnings };
}
