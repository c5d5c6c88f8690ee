import t from 'tap';
import { type CgroupLayout, parseCgroupLayout, treeOf } from '../src/os/cgroup-layout.ts';
import { cgroupLimits, parseCpuList } from '../src/runtime/cgroup-limits.ts';
import type { LaunchHostConfig } from '../src/runtime/launch-input.ts';

const V1_MOUNTS = `
24 30 0:22 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
32 24 0:28 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,mode=755
33 32 0:29 / /sys/fs/cgroup/systemd rw shared:10 - cgroup cgroup rw,xattr,name=systemd
34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct
35 32 0:31 / /sys/fs/cgroup/memory rw shared:12 master:3 - cgroup cgroup rw,memory
36 32 0:32 / /mnt/odd\\040place rw - cgroup cgroup rw,pids
99 32 0:32 / /elsewhere rw - cgroup cgroup rw,pids
`;
const UNIFIED_MOUNT = '40 32 0:36 / /sys/fs/cgroup/unified rw shared:13 - cgroup2 cgroup2 rw,nsdelegate\n';

t.test('parseCgroupLayout', async (t) => {
  const v1 = parseCgroupLayout(V1_MOUNTS, '/tsd', () => '');
  t.same(v1, {
    version: 1,
    trees: [
      { controllers: ['name=systemd'], mountPoint: '/sys/fs/cgroup/systemd', parent: '/sys/fs/cgroup/systemd/tsd' },
      {
        controllers: ['cpu', 'cpuacct'],
        mountPoint: '/sys/fs/cgroup/cpu,cpuacct',
        parent: '/sys/fs/cgroup/cpu,cpuacct/tsd',
      },
      { controllers: ['memory'], mountPoint: '/sys/fs/cgroup/memory', parent: '/sys/fs/cgroup/memory/tsd' },
      { controllers: ['pids'], mountPoint: '/mnt/odd place', parent: '/mnt/odd place/tsd' },
    ],
  });
  t.equal(
    treeOf(v1 as CgroupLayout, 'cpuacct')?.mountPoint,
    '/sys/fs/cgroup/cpu,cpuacct',
    'controllers may share a tree',
  );
  t.equal(treeOf(v1 as CgroupLayout, 'cpuset'), undefined);

  const hybrid = parseCgroupLayout(V1_MOUNTS + UNIFIED_MOUNT, '/a/b', () => 'hugetlb\n');
  t.same(
    hybrid,
    parseCgroupLayout(V1_MOUNTS, '/a/b', () => ''),
    "the host's version 2 tree is left alone",
  );

  const v2 = parseCgroupLayout(
    '29 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
    '/tsd',
    () => 'cpu memory pids\n',
  );
  t.same(v2, {
    version: 2,
    unified: { controllers: ['cpu', 'memory', 'pids'], mountPoint: '/sys/fs/cgroup', parent: '/sys/fs/cgroup/tsd' },
  });
  t.equal(
    parseCgroupLayout('24 30 0:22 / /sys rw - sysfs sysfs rw\n', '/tsd', () => ''),
    null,
    'no cgroups at all',
  );
});

const V1_FILES = [
  'memory.limit_in_bytes',
  'memory.memsw.limit_in_bytes',
  'memory.soft_limit_in_bytes',
  'memory.swappiness',
  'memory.oom_control',
  'cpu.cfs_period_us',
  'cpu.cfs_quota_us',
  'cpu.shares',
  'cpuset.cpus',
  'cpuset.mems',
  'pids.max',
  'blkio.bfq.weight',
];
const V2_FILES = [
  'memory.max',
  'memory.swap.max',
  'memory.low',
  'cpu.max',
  'cpu.weight',
  'cpuset.cpus',
  'cpuset.mems',
  'pids.max',
  'io.weight',
];

function facts(version: 1 | 2, files: readonly string[]) {
  const tree = { controllers: [], mountPoint: '/c', parent: '/c/tsd' };
  const cgroups: CgroupLayout = version === 1 ? { version, trees: [tree] } : { version, unified: tree };
  return { cgroups, cgroupFiles: new Set(files), cpusetCpus: '0-3', cpusetMems: '0', processors: 4 };
}

const onV1 = (config: LaunchHostConfig, files = V1_FILES) => {
  const { writes, warnings } = cgroupLimits(config, facts(1, files));
  return { writes: writes.map(({ controller, file, value }) => `${controller}: ${file}=${value}`), warnings };
};
const onV2 = (config: LaunchHostConfig, files = V2_FILES) => {
  const { writes, warnings } = cgroupLimits(config, facts(2, files));
  return { writes: writes.map(({ file, value }) => `${file}=${value}`), warnings };
};

const EVERYTHING: LaunchHostConfig = {
  Memory: 104857600,
  MemorySwap: 209715200,
  MemoryReservation: 52428800,
  NanoCpus: 1500000000,
  CpuShares: 512,
  CpusetCpus: '0,2-3',
  PidsLimit: 100,
  BlkioWeight: 300,
};

t.test('limits on version 1', async (t) => {
  t.same(onV1(EVERYTHING), {
    writes: [
      'memory: memory.limit_in_bytes=104857600',
      'memory: memory.memsw.limit_in_bytes=209715200',
      'memory: memory.soft_limit_in_bytes=52428800',
      'cpu: cpu.cfs_period_us=100000',
      'cpu: cpu.cfs_quota_us=150000',
      'cpu: cpu.shares=512',
      'cpuset: cpuset.cpus=0,2-3',
      'cpuset: cpuset.mems=0',
      'pids: pids.max=100',
      'blkio: blkio.bfq.weight=300',
    ],
    warnings: [],
  });
  t.same(onV1({}).writes, ['cpuset: cpuset.cpus=0-3', 'cpuset: cpuset.mems=0'], 'a cpuset must repeat its parent');
  t.same(onV1({ Memory: 10485760 }).writes.slice(0, 2), [
    'memory: memory.limit_in_bytes=10485760',
    'memory: memory.memsw.limit_in_bytes=20971520',
  ]);
  t.same(onV1({ Memory: 10485760, MemorySwap: -1 }).writes[0], 'memory: memory.limit_in_bytes=10485760');
  t.notMatch(onV1({ Memory: 10485760, MemorySwap: -1 }).writes, ['memsw']);
  t.same(onV1({ CpuPeriod: 50000, CpuQuota: 20000, PidsLimit: -1 }).writes.slice(0, 2), [
    'cpu: cpu.cfs_period_us=50000',
    'cpu: cpu.cfs_quota_us=20000',
  ]);
});

t.test('limits on version 2', async (t) => {
  t.same(onV2(EVERYTHING), {
    writes: [
      'memory.max=104857600',
      'memory.swap.max=104857600',
      'memory.low=52428800',
      'cpu.max=150000 100000',
      'cpu.weight=20',
      'cpuset.cpus=0,2-3',
      'pids.max=100',
      'io.weight=2930',
    ],
    warnings: [],
  });
  t.same(onV2({}).writes, []);
  t.same(onV2({ Memory: 10485760, MemorySwap: -1 }).writes, ['memory.max=10485760', 'memory.swap.max=max']);
  t.same(onV2({ CpuQuota: 20000 }).writes, ['cpu.max=20000 100000']);
  t.same(onV2({ CpuShares: 2 }).writes, ['cpu.weight=1']);
  t.same(onV2({ CpuShares: 262144 }).writes, ['cpu.weight=10000']);
  t.same(onV2({ MemorySwappiness: 10, OomKillDisable: true, Memory: 10485760 }).warnings, [
    'Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.',
    'Your kernel does not support OomKillDisable. OomKillDisable discarded.',
  ]);
});

t.test('what the host cannot limit is a warning', async (t) => {
  const none = onV1({ ...EVERYTHING, NanoCpus: 0, CpuPeriod: 10000, CpuQuota: 10000 }, []);
  t.same(none.writes, []);
  t.same(none.warnings, [
    'Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.',
    'Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.',
    'Your kernel does not support CPU CFS period or the cgroup is not mounted. Period discarded.',
    'Your kernel does not support CPU CFS quota or the cgroup is not mounted. Quota discarded.',
    'Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.',
    'Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.',
    'Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.',
    'Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.',
  ]);
  t.same(onV1({ Memory: 10485760 }, ['memory.limit_in_bytes']), {
    writes: ['memory: memory.limit_in_bytes=10485760'],
    warnings: [
      'Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.',
    ],
  });
});

t.test('what Docker refuses', async (t) => {
  const refused = (config: LaunchHostConfig, message: string) =>
    t.throws(() => onV1(config), { code: 'bad_parameter', message });
  refused({ Memory: 1000 }, 'Minimum memory limit allowed is 6MB');
  refused(
    { Memory: 20971520, MemorySwap: 10485760 },
    'Minimum memoryswap limit should be larger than memory limit, see usage',
  );
  refused({ MemorySwap: 10485760 }, 'You should always set the Memory limit when using Memoryswap limit, see usage');
  refused(
    { Memory: 10485760, MemoryReservation: 20971520 },
    'Minimum memory limit can not be less than memory reservation limit, see usage',
  );
  refused({ NanoCpus: 5e9 }, 'range of CPUs is from 0.01 to 4.00, as there are only 4 CPUs available');
  refused({ NanoCpus: 1e9, CpuQuota: 5000 }, 'Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  refused({ CpusetCpus: '0-9' }, 'Requested CPUs are not available - requested 0-9, available: 0-3');
  refused({ CpusetCpus: '3-1' }, 'Invalid value 3-1 for cpuset cpus');
  refused({ BlkioWeight: 5 }, 'Range of blkio weight is from 10 to 1000');
  refused({ MemorySwappiness: 101 }, 'Invalid value: 101, valid memory swappiness range is 0-100');
});

t.test('parseCpuList', async (t) => {
  t.same([...(parseCpuList('0-2,5') ?? [])], [0, 1, 2, 5]);
  for (const wrong of ['', 'a', '1-', '2-1', '1,,2', '-1', '0-99999999']) t.equal(parseCpuList(wrong), null, wrong);
});
