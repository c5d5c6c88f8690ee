/** Resource limits reach the kernel, and an out-of-memory kill is told. */
import t from 'tap';
import { startDaemon } from './support/daemon.ts';
import { isUnified, readCgroupFile } from './support/host-process.ts';

const daemon = await startDaemon();
t.teardown(() => daemon.remove());
await daemon.load();
const { tsdctl } = daemon;

/** Starts a container with these flags and returns its pid on the host and what the client warned of. */
async function running(...flags: string[]): Promise<{ id: string; pid: number; stderr: string }> {
  const { code, stdout, stderr } = await tsdctl('run', '-d', '--network', 'none', ...flags, 'busybox', 'sleep', '1000');
  if (code !== 0) throw new Error(stderr);
  const id = stdout.trim();
  return { id, pid: (await daemon.inspect(id)).State.Pid, stderr };
}

t.test('a process that allocates too much is killed, and it is said', async (t) => {
  // tail keeps a line that does not end in memory.
  const hog = ['tail', '-c', '200000000', '/dev/zero'];
  const { code } = await tsdctl('run', '--name', 'hog', '--memory', '64M', '--network', 'none', 'busybox', ...hog);
  t.equal(code, 137);
  const { State } = await daemon.inspect('hog');
  t.equal(State.OOMKilled, true);
  t.equal(State.ExitCode, 137);
  t.equal(State.Status, 'exited');
  t.equal((await tsdctl('rm', 'hog')).code, 0);
});

t.test('memory: limit, reservation and swap', async (t) => {
  const { id, pid } = await running('--memory', '64M', '--memory-reservation', '32M');
  t.equal(readCgroupFile(pid, 'memory', 'memory.limit_in_bytes', 'memory.max'), '67108864');
  t.equal(readCgroupFile(pid, 'memory', 'memory.soft_limit_in_bytes', 'memory.low'), '33554432');
  await tsdctl('rm', '-f', id);
});

t.test('pids: the fork after the last is refused', async (t) => {
  const script = 'i=0; while [ $i -lt 30 ]; do sleep 5 & i=$((i+1)); done 2>&1';
  const result = await tsdctl('run', '--rm', '--pids-limit', '20', '--network', 'none', 'busybox', 'sh', '-c', script);
  t.match(result.stdout + result.stderr, /can't fork: Resource temporarily unavailable/);
  const { id, pid } = await running('--pids-limit', '20');
  t.equal(readCgroupFile(pid, 'pids', 'pids.max', 'pids.max'), '20');
  await tsdctl('rm', '-f', id);
});

t.test('cpu: quota, shares and set', async (t) => {
  const { id, pid, stderr } = await running('--cpus', '0.5', '--cpu-shares', '512', '--cpuset-cpus', '0');
  t.equal(stderr, '');
  if (isUnified('cpu')) {
    t.equal(readCgroupFile(pid, 'cpu', '', 'cpu.max'), '50000 100000');
  } else {
    t.equal(readCgroupFile(pid, 'cpu', 'cpu.cfs_quota_us', ''), '50000');
    t.equal(readCgroupFile(pid, 'cpu', 'cpu.cfs_period_us', ''), '100000');
    t.equal(readCgroupFile(pid, 'cpu', 'cpu.shares', ''), '512');
  }
  t.equal(readCgroupFile(pid, 'cpuset', 'cpuset.cpus', 'cpuset.cpus'), '0');
  await tsdctl('rm', '-f', id);
});

t.test('ulimits reach the process', async (t) => {
  const args = ['--ulimit', 'nofile=100:200', '--ulimit', 'core=0'];
  const script = 'ulimit -Sn; ulimit -Hn; ulimit -c';
  const out = await tsdctl.output('run', '--rm', '--network', 'none', ...args, 'busybox', 'sh', '-c', script);
  t.equal(out, '100\n200\n0');
});

t.test('a memory limit below the minimum is refused with Docker’s words', async (t) => {
  const { code, stderr } = await tsdctl('run', '--rm', '--memory', '1M', '--network', 'none', 'busybox', 'true');
  t.equal(code, 125);
  t.match(stderr, /Minimum memory limit allowed is 6MB/);
});
