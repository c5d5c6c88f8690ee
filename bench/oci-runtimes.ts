/** runc and crun alone: `run` of a bundle whose process is `true`, with namespaces and limits as tsd gives them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { busyboxLayer } from '../test/support/images.ts';
import type { Sample } from './measure.ts';
import type { ShellTimer } from './shell-timer.ts';

/**
 * crun refuses a hybrid host, so there it runs where the unified hierarchy is out of sight; and without cgroups, as its
 * moving of a process on version 1 waits for the kernel as long as runc's.
 */
const HYBRID = '/sys/fs/cgroup/unified';
const OUT_OF_SIGHT = ['unshare', '--mount', 'sh', '-c', `umount -l ${HYBRID} && exec "$@"`, 'sh'];
const RUNTIMES = [
  { name: 'runc', program: '/usr/sbin/runc', command: ['/usr/sbin/runc'] },
  {
    name: 'crun without cgroups',
    program: '/usr/bin/crun',
    command: [...(existsSync(HYBRID) ? OUT_OF_SIGHT : []), '/usr/bin/crun', '--cgroup-manager=disabled'],
  },
];
const NAMESPACES = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'];

/** One sample for each runtime of the host, named. */
export function runtimeSamples(directory: string, shell: ShellTimer): { name: string; sample: Sample }[] {
  const present = RUNTIMES.filter(({ program }) => existsSync(program));
  if (present[0] === undefined) return [];
  const bundle = makeBundle(directory, present[0].program);
  return present.map(({ name, command }, index) => {
    const state = join(directory, `runtime-state-${index}`);
    let round = 0;
    const sample: Sample = () => {
      round += 1;
      const [program = '', ...args] = [...command, '--root', state, 'run', '--bundle', bundle, `tsd-bench-${round}`];
      return shell.time(program, args);
    };
    return { name, sample };
  });
}

function makeBundle(directory: string, program: string): string {
  const bundle = join(directory, 'bundle');
  mkdirSync(join(bundle, 'rootfs'), { recursive: true });
  execFileSync('tar', ['--extract', '--directory', join(bundle, 'rootfs')], { input: busyboxLayer() });
  execFileSync(program, ['spec'], { cwd: bundle });
  const file = join(bundle, 'config.json');
  const spec = JSON.parse(readFileSync(file, 'utf8')) as {
    process: { terminal: boolean; args: string[]; rlimits?: unknown };
    linux: { namespaces: { type: string }[] };
  };
  spec.process.terminal = false;
  spec.process.args = ['true'];
  // The host may lack CAP_SYS_RESOURCE, without which a limit cannot be raised.
  delete spec.process.rlimits;
  spec.linux.namespaces = NAMESPACES.map((type) => ({ type }));
  writeFileSync(file, JSON.stringify(spec));
  return bundle;
}
