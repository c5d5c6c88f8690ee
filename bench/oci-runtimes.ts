/** runc and crun alone: `run` of a bundle whose process is `true`, with namespaces and limits as tsd gives them. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../test/support/client.ts';
import { busyboxLayer } from '../test/support/images.ts';
import { type Sample, timed } from './measure.ts';

const RUNTIMES = ['/usr/sbin/runc', '/usr/bin/crun'];
const NAMESPACES = ['pid', 'network', 'ipc', 'uts', 'mount', 'cgroup'];

/** One sample for each runtime of the host, named. */
export function runtimeSamples(directory: string): { name: string; sample: Sample }[] {
  const present = RUNTIMES.filter((path) => existsSync(path));
  if (present.length === 0) return [];
  const bundle = makeBundle(directory, present[0] as string);
  return present.map((program) => {
    const name = program.slice(program.lastIndexOf('/') + 1);
    const state = join(directory, `${name}-state`);
    let round = 0;
    const sample: Sample = () =>
      timed(async () => {
        round += 1;
        const { code, stderr } = await run(program, ['--root', state, 'run', '--bundle', bundle, `tsd-bench-${round}`]);
        if (code !== 0) throw new Error(`${name}: ${stderr}`);
      });
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
