import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseHardLimits } from '../src/runtime/host-facts.ts';
import type { ContainerConfig, LaunchHostConfig, LaunchInput, PlannedInterface } from '../src/runtime/launch-input.ts';
import { interfaceMessages } from '../src/runtime/netlink/interface-messages.ts';
import { encodeNewVeth } from '../src/runtime/netlink/links.ts';
import { planLaunch } from '../src/runtime/plan-launch.ts';
import type { SeccompRules } from '../src/runtime/seccomp-profile.ts';
import { hostFacts, ID, launchInput, planned, V1, V2 } from './plan-fixture.ts';

const ELEVEN = '0,1,3,4,5,6,7,8,10,18,31';
const credentials = (uid: number, gid: number, groups: string, bounding: string, held: string): string =>
  `C set-credentials uid=${uid} gid=${gid} groups=${groups} {"bounding":[${bounding}],"effective":[${held}],"permitted":[${held}],"inheritable":[],"ambient":[]}`;
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const C = '/var/lib/tsd/containers/c';

const MASKS = (proc: number, sys: number): string[] => [
  ...[
    'asound',
    'acpi',
    'interrupts',
    'kcore',
    'keys',
    'latency_stats',
    'timer_list',
    'timer_stats',
    'sched_debug',
    'scsi',
  ].map((name) => `C mask-path [${proc}]/${name}`),
  `C mask-path [${sys}]/firmware`,
  `C mask-path [${sys}]/devices/virtual/powercap`,
  ...['bus', 'fs', 'irq', 'sys', 'sysrq-trigger'].map((name) => `C read-only-path [${proc}]/${name}`),
];
const LINKS = (dev: number): string[] => [
  `C symlink [${dev}]/ptmx target=pts/ptmx`,
  `C symlink [${dev}]/fd target=/proc/self/fd`,
  `C symlink [${dev}]/stdin target=/proc/self/fd/0`,
  `C symlink [${dev}]/stdout target=/proc/self/fd/1`,
  `C symlink [${dev}]/stderr target=/proc/self/fd/2`,
  `C symlink [${dev}]/core target=/proc/kcore`,
];
const NODES = (dev: number, owner: number): string[] =>
  [
    'null type=char 0666 major=1 minor=3',
    'zero type=char 0666 major=1 minor=5',
    'full type=char 0666 major=1 minor=7',
    'random type=char 0666 major=1 minor=8',
    'urandom type=char 0666 major=1 minor=9',
    'tty type=char 0666 major=5 minor=0',
  ].map((node) => `H mknod [${dev}]/${node} uid=${owner} gid=${owner}`);
const DEVICE_RULES = [
  'c *:* m',
  'b *:* m',
  'c 1:3 rwm',
  'c 1:5 rwm',
  'c 1:7 rwm',
  'c 1:8 rwm',
  'c 1:9 rwm',
  'c 5:0 rwm',
  'c 5:1 rwm',
  'c 5:2 rwm',
  'c 136:* rwm',
];

t.test('the default container, cgroup version 1', async (t) => {
  const { lines, plan, warnings } = planned();
  t.same(warnings, []);
  t.same(lines, [
    'H clone namespaces=user,pid,ipc,uts,net',
    'H id-map kind=uid mappings=[{"containerId":0,"hostId":1073741824,"size":65536}]',
    'H id-map kind=gid mappings=[{"containerId":0,"hostId":1073741824,"size":65536}]',
    ...[
      'C unshare namespaces=mount',
      'C set-root-propagation propagation=private',
      'C new-mount fsType=proc attributes=nosuid,nodev,noexec slot=[4]',
      'C new-mount fsType=devpts newinstance,ptmxmode=0666,mode=0620,gid=5 attributes=nosuid,noexec slot=[6]',
      'C new-mount fsType=tmpfs mode=1777,size=67108864,uid=0,gid=0 attributes=nosuid,nodev,noexec slot=[7]',
      'C new-mount fsType=mqueue attributes=nosuid,nodev,noexec slot=[8]',
      'C new-mount fsType=sysfs attributes=nosuid,nodev,noexec,rdonly slot=[9]',
      'C netlink protocol=0 messages=32',
      'C new-mount fsType=tmpfs size=4k,mode=0555 attributes=rdonly,nosuid,nodev,noexec slot=[26]',
      'C attach-mount slot=[26] /',
      'C pivot-root slot=[26]',
    ].map((line) => `${line} ahead`),
    `H mkdir /cg/cpu,cpuacct/tsd/${ID} 0755 parents`,
    `H mkdir /cg/memory/tsd/${ID} 0755 parents`,
    `H mkdir /cg/devices/tsd/${ID} 0755 parents`,
    `H mkdir /cg/cpuset/tsd/${ID} 0755 parents`,
    `H write-file /cg/cpuset/tsd/${ID}/cpuset.cpus data=0-1`,
    `H write-file /cg/cpuset/tsd/${ID}/cpuset.mems data=0`,
    `H write-file /cg/devices/tsd/${ID}/devices.deny data=a`,
    ...DEVICE_RULES.map((rule) => `H write-file /cg/devices/tsd/${ID}/devices.allow data=${rule}`),
    `H open-path /cg/cpu,cpuacct/tsd/${ID} slot=[22] directory`,
    `H open-path /cg/memory/tsd/${ID} slot=[23] directory`,
    `H open-path /cg/devices/tsd/${ID} slot=[24] directory`,
    `H open-path /cg/cpuset/tsd/${ID} slot=[25] directory`,
    `H mkdir ${C}/upper 0755 parents uid=1073741824 gid=1073741824`,
    `H mkdir ${C}/work 0700 parents`,
    'H set-oom-score-adj optional score=0',
    'H open-child-namespace namespace=user slot=[3]',
    'H clone-tree [0] slot=[18]',
    'H set-mount-attributes slot=[18] idmap=[3]',
    'H clone-tree [1] slot=[19]',
    'H set-mount-attributes slot=[19] idmap=[3]',
    `H open-path ${C}/upper slot=[20] directory`,
    `H open-path ${C}/work slot=[21] directory`,
    'H new-mount fsType=overlay lowerdir+=[19],lowerdir+=[18],upperdir=[20],workdir=[21],index=off,redirect_dir=off,metacopy=off attributes=nodev slot=[2]',
    'H new-mount fsType=tmpfs mode=0755,size=65536k,uid=1073741824,gid=1073741824 attributes=nosuid,strictatime slot=[5]',
    ...NODES(5, 1073741824),
    'H new-mount fsType=tmpfs mode=0755 attributes=nosuid,nodev,noexec slot=[10]',
    'H mkdir [10]/cpu,cpuacct 0755',
    `H clone-tree /cg/cpu,cpuacct/tsd/${ID} slot=[11]`,
    'H symlink [10]/cpu target=cpu,cpuacct',
    'H symlink [10]/cpuacct target=cpu,cpuacct',
    'H mkdir [10]/memory 0755',
    `H clone-tree /cg/memory/tsd/${ID} slot=[12]`,
    'H mkdir [10]/devices 0755',
    `H clone-tree /cg/devices/tsd/${ID} slot=[13]`,
    'H mkdir [10]/cpuset 0755',
    `H clone-tree /cg/cpuset/tsd/${ID} slot=[14]`,
    `H clone-tree ${C}/hosts slot=[15]`,
    'H set-mount-attributes slot=[15] propagation=private',
    `H clone-tree ${C}/hostname slot=[16]`,
    'H set-mount-attributes slot=[16] propagation=private',
    `H clone-tree ${C}/resolv.conf slot=[17]`,
    'H set-mount-attributes slot=[17] propagation=private',
    'C enter-cgroup [22]',
    'C enter-cgroup [23]',
    'C enter-cgroup [24]',
    'C enter-cgroup [25]',
    'C unshare namespaces=cgroup',
    'C attach-mount slot=[2] /',
    'C attach-mount slot=[4] [2]/proc create=directory',
    'C attach-mount slot=[5] [2]/dev create=directory',
    'C attach-mount slot=[6] [5]/pts create=directory',
    ...LINKS(5),
    'C attach-mount slot=[7] [5]/shm create=directory',
    'C attach-mount slot=[8] [5]/mqueue create=directory',
    'C attach-mount slot=[9] [2]/sys create=directory',
    'C attach-mount slot=[10] [9]/fs/cgroup',
    'C attach-mount slot=[11] [10]/cpu,cpuacct',
    'C attach-mount slot=[12] [10]/memory',
    'C attach-mount slot=[13] [10]/devices',
    'C attach-mount slot=[14] [10]/cpuset',
    'C set-mount-attributes slot=[10] set=rdonly,nosuid,nodev,noexec propagation=private recursive',
    'C attach-mount slot=[15] [2]/etc/hosts create=file',
    'C attach-mount slot=[16] [2]/etc/hostname create=file',
    'C attach-mount slot=[17] [2]/etc/resolv.conf create=file',
    'C write-file [4]/sys/net/ipv4/ip_unprivileged_port_start data=0 optional',
    'C write-file [4]/sys/net/ipv4/ping_group_range data=0 65535 optional',
    'C set-hostname name=c0ffee000000',

    'C change-root slot=[2]',
    ...MASKS(4, 9),
    'C new-session-keyring optional',
    'C change-directory path=/',
    'C set-seccomp program=8 bytes',
    credentials(0, 0, '0', ELEVEN, ELEVEN),
    `C exec argv=sh env=${PATH},HOSTNAME=c0ffee000000,HOME=/root`,
  ]);
  t.same(plan.supervisor, {
    controlSocket: '/run/tsd/containers/c/control.sock',
    exitFile: `${C}/exit`,
    log: null,
    tty: false,
    openStdin: false,
    stdinOnce: false,
    oomCounterFile: `/cg/memory/tsd/${ID}/memory.oom_control`,
  });
});

/** Lines that one plan has and the other has not. */
function difference(from: readonly string[], to: readonly string[]): { gone: string[]; new: string[] } {
  return { gone: from.filter((line) => !to.includes(line)), new: to.filter((line) => !from.includes(line)) };
}

function changes(
  hostConfig: LaunchHostConfig,
  config: ContainerConfig = {},
  more: Partial<LaunchInput> = {},
): { gone: string[]; new: string[] } {
  return difference(planned({}, {}, more).lines, planned(config, hostConfig, more).lines);
}

t.test('cgroup version 2: one tree, entered by clone', async (t) => {
  const { lines, plan } = planned({}, { Memory: 104857600 }, { host: hostFacts(V2) });
  t.same(
    lines.filter((line) => line.includes('/cg') || line.includes(' clone ') || line.includes('cgroup')),
    [
      `H mkdir /cg/tsd/${ID} 0755 parents`,
      `H write-file /cg/tsd/${ID}/memory.max data=104857600`,
      `H write-file /cg/tsd/${ID}/memory.swap.max data=104857600`,
      `H attach-device-program optional /cg/tsd/${ID} program=512 bytes`,
      `H open-path /cg/tsd/${ID} slot=[3] directory`,
      'H clone namespaces=user,pid,ipc,uts,net cgroup=[3]',
      `H clone-tree /cg/tsd/${ID} slot=[11]`,
      'C unshare namespaces=cgroup',
      'C attach-mount slot=[11] [10]/fs/cgroup',
    ],
  );
  t.equal(plan.supervisor.oomCounterFile, `/cg/tsd/${ID}/memory.events`);
  const shared = planned({}, { CgroupnsMode: 'host' }, { host: hostFacts(V2) }).lines;
  t.ok(shared.includes('H clone-tree /cg slot=[11]'), "with the host's cgroup namespace the whole tree is shown");
  t.notOk(shared.includes('C unshare namespaces=cgroup'));
  const programs = (hostConfig: LaunchHostConfig): string[] =>
    planned({}, hostConfig, { host: hostFacts(V2), idRange: null }).lines.filter((line) =>
      line.includes('device-program'),
    );
  t.same(programs({ UsernsMode: 'host' }), [`H attach-device-program /cg/tsd/${ID} program=512 bytes`]);
  t.same(programs({ Privileged: true }), []);
});

t.test('no cgroups at all: limits are warnings', async (t) => {
  const { lines, warnings, plan } = planned({}, { Memory: 104857600 }, { host: hostFacts(null) });
  t.same(
    lines.filter((line) => /cgroup \/|\/cg/.test(line)),
    [],
  );
  t.equal(plan.supervisor.oomCounterFile, null);
  t.match(warnings, ['does not support memory limit']);
  t.match(planned({}, { UsernsMode: 'host' }, { host: hostFacts(null), idRange: null }).warnings, [
    /^Your kernel does not support the devices cgroup/,
  ]);
});

t.test('--userns=host', async (t) => {
  const { lines } = planned({}, { UsernsMode: 'host' }, { idRange: null });
  t.ok(lines.includes('H clone namespaces=pid,ipc,uts,net'));
  t.ok(lines.includes(`H mkdir ${C}/upper 0755 parents uid=0 gid=0`));
  t.notMatch(lines.join('\n'), /id-map|idmap|open-child-namespace/);
  t.ok(
    lines.some((line) =>
      /new-mount fsType=overlay lowerdir\+=\[1\],lowerdir\+=\[0\],.* attributes=nodev slot=\[2\]/.test(line),
    ),
    'the layers are mounted as they are, and their device nodes cannot be opened',
  );
  t.ok(lines.includes(credentials(0, 0, '0', ELEVEN, ELEVEN)));
  t.ok(lines.includes('C write-file [3]/sys/net/ipv4/ping_group_range data=0 2147483647 optional'));
  const mknod = planned({}, { UsernsMode: 'host', CapAdd: ['MKNOD'] }, { idRange: null }).lines;
  t.ok(
    mknod.some((line) => /fsType=overlay .* attributes= slot/.test(line)),
    'who may make nodes may open them',
  );
});

t.test('--privileged', async (t) => {
  const device = {
    hostPath: '/dev/sda',
    path: '/dev/sda',
    permissions: 'rwm',
    type: 'block',
    major: 8,
    minor: 0,
    mode: 0o660,
    uid: 0,
    gid: 6,
  } as const;
  const { lines } = planned({}, { Privileged: true }, { idRange: null, devices: [device] });
  const all = Array.from({ length: 41 }, (_, bit) => bit).join();
  t.ok(lines.includes('H clone namespaces=pid,ipc,uts,net'), 'gives up the user namespace');
  t.ok(lines.includes(credentials(0, 0, '0', all, all)));
  t.ok(lines.includes('H mknod [4]/sda type=block 0660 major=8 minor=0 uid=0 gid=6'));
  t.ok(lines.includes('C new-mount fsType=sysfs attributes=nosuid,nodev,noexec slot=[8] ahead'), '/sys is writable');
  t.ok(
    lines.includes('C set-mount-attributes slot=[9] set=nosuid,nodev,noexec propagation=private recursive'),
    'and its cgroups',
  );
  t.notMatch(lines.join('\n'), /mask-path|read-only-path|set-seccomp|devices\.(deny|allow)/);
});

t.test('--user', async (t) => {
  t.same(changes({}, { User: 'web' }), {
    gone: [credentials(0, 0, '0', ELEVEN, ELEVEN), `C exec argv=sh env=${PATH},HOSTNAME=c0ffee000000,HOME=/root`],
    new: [credentials(33, 44, '44,50', ELEVEN, ''), `C exec argv=sh env=${PATH},HOSTNAME=c0ffee000000,HOME=/srv/www`],
  });
  t.same(changes({ GroupAdd: ['staff'] }, { User: '1000:1000' }).new, [
    credentials(1000, 1000, '1000,50', ELEVEN, ''),
    `C exec argv=sh env=${PATH},HOSTNAME=c0ffee000000,HOME=/`,
  ]);
  t.throws(() => planned({ User: '70000' }), {
    code: 'bad_parameter',
    message: /70000 is outside of the container's ids 0–65535/,
  });
  t.doesNotThrow(() => planned({ User: '70000' }, { UsernsMode: 'host' }, { idRange: null }));
});

t.test('an image without layers is the upper directory alone', async (t) => {
  const { lines } = planned({}, {}, { layerCount: 0 });
  t.notMatch(lines.join('\n'), /overlay/);
  const at = lines.indexOf(`H clone-tree ${C}/upper slot=[0]`);
  t.equal(lines[at + 1], 'H set-mount-attributes slot=[0] set=nodev propagation=private');
  t.ok(lines.includes('C attach-mount slot=[0] /'));
});

t.test('a kernel before 6.15 gets its layers by path', async (t) => {
  const host = { ...hostFacts(V1), layers: { imageMode: 'copy', detachedLayers: false } as const };
  const overlay = (lines: readonly string[]): readonly string[] => {
    const at = lines.findIndex((line) => line.includes('overlay'));
    t.notMatch(lines.join('\n'), /fsType=overlay|clone-tree \[/, 'nothing that it cannot do');
    return lines.slice(at - 2, at + 1);
  };
  t.strictSame(overlay(planned({}, {}, { host }).lines), [
    'H set-mount-attributes slot=[0] idmap=[3]',
    'H set-mount-attributes slot=[1] idmap=[3]',
    `H new-overlay-by-path layers=1,0 upper=${C}/upper work=${C}/work attributes=nodev slot=[2]`,
  ]);
  const shared = planned({}, { UsernsMode: 'host' }, { host, idRange: null }).lines;
  t.match(overlay(shared)[2], /new-overlay-by-path layers=1,0 /);
  t.notMatch(shared.join('\n'), /idmap/);
});

t.test('--read-only', async (t) => {
  t.same(changes({ ReadonlyRootfs: true }), {
    gone: [],
    new: ['C set-mount-attributes slot=[2] set=rdonly'],
  });
  const { lines } = planned({ WorkingDir: '/srv/app' }, { ReadonlyRootfs: true });
  t.ok(
    lines.indexOf('C mkdir [2]/srv/app 0755 parents') < lines.indexOf('C set-mount-attributes slot=[2] set=rdonly'),
    'what must be made is made before',
  );
});

t.test('seccomp and no-new-privileges', async (t) => {
  const rights = (hostConfig: LaunchHostConfig): string[] =>
    planned({}, hostConfig)
      .lines.map((line) => line.split(' ')[1] ?? '')
      .filter((op) => /seccomp|credentials|no-new/.test(op));
  t.same(rights({}), ['set-seccomp', 'set-credentials'], 'the filter while the process still may');
  t.same(rights({ SecurityOpt: ['seccomp=unconfined'] }), ['set-credentials']);
  t.same(rights({ SecurityOpt: ['no-new-privileges'] }), ['set-credentials', 'set-no-new-privileges', 'set-seccomp']);
  t.same(rights({ SecurityOpt: ['no-new-privileges:true'] }), rights({ SecurityOpt: ['no-new-privileges=true'] }));
  t.same(rights({ SecurityOpt: ['no-new-privileges=false'] }), rights({}));
  t.throws(() => rights({ SecurityOpt: ['fast=yes'] }), {
    code: 'bad_parameter',
    message: /invalid --security-opt: "fast=yes"/,
  });

  let rules: SeccompRules | undefined;
  const compileSeccomp = (given: SeccompRules): Uint8Array => {
    rules = given;
    return new Uint8Array(8);
  };
  const profile = '{"defaultAction":"SCMP_ACT_LOG","syscalls":[]}';
  planLaunch(launchInput({}, { SecurityOpt: [`seccomp=${profile}`] }, { compileSeccomp }));
  t.same(rules, { defaultAction: 'SCMP_ACT_LOG', defaultErrno: null, architectures: [], rules: [] });
});

t.test('AppArmor, where the host has it', async (t) => {
  const host = { ...hostFacts(V1), securityModules: ['capability', 'apparmor'] };
  const labels = (hostConfig: LaunchHostConfig): string[] =>
    planned({}, hostConfig, { host }).lines.filter((line) => line.includes('set-exec-label'));
  t.same(labels({}), ['C set-exec-label module=apparmor label=tsd-default']);
  t.same(labels({ SecurityOpt: ['apparmor=mine'] }), ['C set-exec-label module=apparmor label=mine']);
  t.same(labels({ SecurityOpt: ['apparmor=unconfined'] }), []);
  t.same(labels({ Privileged: true }), []);
});

t.test('namespaces of the host', async (t) => {
  const host = planned({}, { NetworkMode: 'host', PidMode: 'host', IpcMode: 'host', UTSMode: 'host' }).lines;
  t.ok(host.includes('H clone namespaces=user'));
  t.ok(
    host.includes('H new-mount fsType=proc attributes=nosuid,nodev,noexec slot=[4]'),
    'mounted by who is in the namespace',
  );
  t.ok(host.includes('H new-mount fsType=mqueue attributes=nosuid,nodev,noexec slot=[8]'));
  t.ok(host.includes('H new-mount fsType=sysfs attributes=nosuid,nodev,noexec,rdonly slot=[9]'));
  t.ok(host.includes('H clone-tree /dev/shm slot=[7]'));
  t.notMatch(host.join('\n'), /set-hostname|netlink|sys\/net/);
  t.throws(() => planned({}, { PidMode: 'container:x' }), { code: 'internal' });
  t.throws(() => planned({}, { IpcMode: 'wild' }), { code: 'bad_parameter', message: 'invalid IpcMode: wild' });
  t.notMatch(planned({}, { IpcMode: 'none' }).lines.join('\n'), /shm/);
});

t.test('pid and ipc namespaces of other containers', async (t) => {
  const modes = { PidMode: 'container:a', IpcMode: 'container:b' };
  const until = (lines: readonly string[], end: string) =>
    lines.slice(
      0,
      lines.findIndex((one) => one.includes(end)),
    );
  const { lines } = planned({}, { ...modes, Init: true }, { joined: { pid: 98, ipc: 99 } });
  t.same(
    until(lines, 'devpts').filter((one) => !one.includes('/cg/')),
    [
      'H open-pidfd pid=98 slot=[4]',
      'H join-namespaces slot=[4] namespaces=pid',
      'H open-pidfd pid=99 slot=[5]',
      'H join-namespaces slot=[5] namespaces=ipc',
      'H clone namespaces=',
      'C new-mount fsType=proc attributes=nosuid,nodev,noexec slot=[6]',
      'C join-namespaces slot=[5] namespaces=mount',
      'C clone-tree /dev/shm slot=[7]',
      'C join-namespaces namespaces=mount',
      'C join-namespaces slot=[4] namespaces=user',
      'C unshare namespaces=uts,net',
      'H open-child-namespace namespace=user slot=[3]',
      'C unshare namespaces=mount ahead',
      'C set-root-propagation propagation=private ahead',
    ],
    'the id maps are there, and the user namespace is opened once the process is in it',
  );
  t.ok(lines.includes('C set-mount-attributes slot=[7] set=nosuid,nodev,noexec propagation=private ahead'));
  t.ok(lines.includes('C attach-mount slot=[7] [8]/shm create=directory'));
  t.notMatch(lines.at(-1), / init$/, 'another is pid 1');

  const one = planned({}, { IpcMode: 'container:b' }, { joined: { ipc: 99 } }).lines;
  t.ok(one.includes('H clone namespaces=pid'), 'a pid namespace of its own');
  t.same(
    one.filter((each) => each.startsWith('C unshare')),
    ['C unshare namespaces=uts,net', 'C unshare namespaces=mount ahead', 'C unshare namespaces=cgroup'],
  );

  const onHost = planned({}, { ...modes, UsernsMode: 'host' }, { joined: { pid: 98, ipc: 98 }, idRange: null }).lines;
  t.same(
    until(onHost, 'devpts').filter((each) => !each.includes('/cg/')),
    [
      'H open-pidfd pid=98 slot=[3]',
      'H join-namespaces slot=[3] namespaces=pid',
      'H join-namespaces slot=[3] namespaces=ipc',
      'H clone namespaces=uts,net',
      'C new-mount fsType=proc attributes=nosuid,nodev,noexec slot=[4] ahead',
      'C join-namespaces slot=[3] namespaces=mount ahead',
      'C clone-tree /dev/shm slot=[5] ahead',
      'C join-namespaces namespaces=mount ahead',
      'C unshare namespaces=mount ahead',
      'C set-root-propagation propagation=private ahead',
    ],
  );
  t.throws(() => planned({}, {}, { joined: { pid: 98 } }), { code: 'internal' });
});

t.test('what a root lacks of the marks of a container', async (t) => {
  const { lines } = planned({}, {}, { missingMarks: ['.dockerenv', 'etc/mtab'] });
  t.ok(lines.includes('C mknod optional [2]/.dockerenv type=file 0755 major=0 minor=0'));
  t.ok(lines.includes('C symlink optional [2]/etc/mtab target=/proc/mounts'));
});

t.test('interfaces', async (t) => {
  const bridge: PlannedInterface = {
    hostName: 'tsdv0123456789a',
    bridgeIndex: 7,
    name: 'eth0',
    mac: '02:42:ac:12:00:02',
    mtu: 1500,
    addresses: ['172.18.0.2/16'],
    gateways: ['172.18.0.1'],
  };
  const second: PlannedInterface = { ...bridge, name: 'eth1', addresses: ['10.1.0.2/24', 'fd00::2/64'], gateways: [] };
  const { lines, plan } = planned({}, { NetworkMode: 'web' }, { networks: [bridge, second] });
  const at = lines.findIndex((line) => line.startsWith('C enter-cgroup'));
  t.same(lines.slice(at - 3, at), [
    'H open-child-namespace namespace=net slot=[18]',
    'H netlink protocol=0 messages=136,68,60,136,68,60',
    'H netlink protocol=0 messages=48,48,60 optional',
  ]);
  t.ok(lines.includes('C netlink protocol=0 messages=48,64,32,44,48,64,52,32'), 'each: addresses, up, route');
  const pairs = plan.steps.find((step) => step.op === 'netlink' && step.side === 'host');
  t.match(pairs, {
    messages: [interfaceMessages(bridge, { index: 100, namespaceDescriptor: 64 + 18, ipv6: true }).newPair],
  });
  t.match(pairs, {
    messages: {
      3: encodeNewVeth({
        name: 'eth1',
        index: 101,
        mac: bridge.mac,
        mtu: 1500,
        namespaceDescriptor: 82,
        peerName: bridge.hostName,
      }),
    },
  });
  const old = { ...hostFacts(V1), ipv6: false };
  t.ok(planned({}, {}, { networks: [bridge], host: old }).lines.includes('H netlink protocol=0 messages=136,60'));
  for (const NetworkMode of ['host', 'container:x']) {
    t.throws(() => planned({}, { NetworkMode }, { networks: [bridge] }), { code: 'internal' });
  }
  t.throws(() => planned({}, {}, { networks: [{ ...bridge, mac: 'x' }] }), /no Ethernet address/);
});

t.test("another container's network", async (t) => {
  const { lines } = planned({}, { NetworkMode: 'container:c0ffee' }, { joinedNetworkPid: 99 });
  const at = lines.indexOf('H clone namespaces=user,pid,ipc,uts');
  t.same(lines.slice(at - 2, at), ['H open-pidfd pid=99 slot=[18]', 'H join-namespaces slot=[18] namespaces=net']);
  t.ok(lines.includes('H new-mount fsType=sysfs attributes=nosuid,nodev,noexec,rdonly slot=[9]'));
  t.notMatch(lines.join('\n'), /netlink|sys\/net/);
  t.throws(() => planned({}, { NetworkMode: 'container:c0ffee' }), { code: 'internal' });
  t.throws(() => planned({}, {}, { joinedNetworkPid: 99 }), { code: 'internal' });
});

t.test('a terminal', async (t) => {
  const { lines, plan } = planned({ Tty: true, OpenStdin: true }, {}, { consoleSize: { rows: 24, columns: 80 } });
  t.match(plan.supervisor, { tty: true, openStdin: true });
  const at = lines.indexOf('C open-pty root=[2] rows=24 columns=80');
  t.same(lines.slice(at + 1, at + 3), [
    'C clone-tree [6]/0 slot=[9]',
    'C attach-mount slot=[9] [5]/console create=file',
  ]);
  t.match(lines.at(-1), /,TERM=xterm,/);
});

t.test('mounts', async (t) => {
  const { lines } = planned(
    {},
    { Tmpfs: { '/run': 'rw,size=64m,exec' }, ShmSize: 1000 },
    {
      mounts: [
        {
          type: 'bind',
          source: '/srv/deep',
          target: '/data/a/b',
          readOnly: true,
          directory: true,
          propagation: 'rslave',
        },
        { type: 'bind', source: '/srv/file', target: '/data/f', readOnly: false, directory: false, recursive: false },
        { type: 'tmpfs', target: '/data', readOnly: false, sizeBytes: 4096, mode: 0o700 },
        { type: 'bind', source: '/srv/hosts', target: '/etc/hosts', readOnly: false, directory: false },
      ],
    },
  );
  const text = lines.join('\n');
  const order = ['[2]/data ', '[2]/run ', '[2]/etc/hosts ', '[2]/data/f ', '[2]/data/a/b '].map((target) =>
    text.indexOf(target),
  );
  t.ok(order[0] !== -1 && Math.max(order[0] ?? 0, order[1] ?? 0) < (order[2] ?? 0), 'by depth');
  t.ok((order[3] ?? 0) < (order[4] ?? 0));
  t.equal(lines.filter((line) => line.includes('/etc/hosts ')).length, 1, "the user's own /etc/hosts replaces ours");
  t.match(
    text,
    /C mkdir optional \[2\]\/run 01777 parents\nC new-mount fsType=tmpfs size=64m,mode of \[2\]\/run attributes=nosuid,nodev slot/,
  );
  t.match(text, /fsType=tmpfs size=4096,mode=700 attributes=nosuid,nodev,noexec/);
  t.match(
    text,
    /H clone-tree \/srv\/deep slot=\[(\d+)\] recursive\nH set-mount-attributes slot=\[\1\] set=rdonly propagation=slave recursive\nH set-mount-attributes optional slot=\[\1\] idmap=\[3\]\n/,
  );
  t.match(text, /H clone-tree \/srv\/file slot=\[(\d+)\]\nH set-mount-attributes slot=\[\1\] propagation=private\n/);
  t.match(text, /size=1000,/);

  const refused = (target: string, message: RegExp): void => {
    t.throws(() => planned({}, {}, { mounts: [{ type: 'tmpfs', target, readOnly: false }] }), {
      code: 'bad_parameter',
      message,
    });
  };
  refused('/proc/sys', /"\/proc\/sys" cannot be mounted because it is inside \/proc/);
  refused('/', /must be absolute and not '\/'/);
  refused('/a/../proc', /inside \/proc/);
  t.throws(() => planned({}, { Tmpfs: { '/x': 'speed=9' } }), { message: 'invalid tmpfs option ["speed=9"]' });
  t.throws(() => planned({}, { Tmpfs: { '/x': '', '/x/': '' } }), { message: /Duplicate mount point/ });
});

t.test('mounts beneath a bind mount', async (t) => {
  const bind = { type: 'bind', source: '/', target: '/host', readOnly: true, directory: true } as const;
  const submounts = [
    { path: 'proc', fsType: 'proc' },
    { path: 'srv', fsType: 'ext4' },
    { path: 'srv/deep', fsType: 'tmpfs' },
  ];
  const { lines } = planned({}, {}, { mounts: [{ ...bind, submounts }] });
  const at = lines.indexOf('H clone-tree / slot=[18]');
  t.same(lines.slice(at, at + 11), [
    'H clone-tree / slot=[18]',
    'H set-mount-attributes slot=[18] set=rdonly propagation=private',
    'H set-mount-attributes optional slot=[18] idmap=[3]',
    'H clone-tree /proc optional slot=[19]',
    'H set-mount-attributes optional slot=[19] set=rdonly propagation=private',
    'H clone-tree /srv optional slot=[20]',
    'H set-mount-attributes optional slot=[20] set=rdonly propagation=private',
    'H set-mount-attributes optional slot=[20] idmap=[3]',
    'H clone-tree /srv/deep optional slot=[21]',
    'H set-mount-attributes optional slot=[21] set=rdonly propagation=private',
    'H set-mount-attributes optional slot=[21] idmap=[3]',
  ]);
  t.same(
    lines.filter((one) => one.includes('[2]/host')),
    [
      'C attach-mount slot=[18] [2]/host create=directory',
      'C attach-mount optional slot=[19] [2]/host/proc',
      'C attach-mount optional slot=[20] [2]/host/srv',
      'C attach-mount optional slot=[21] [2]/host/srv/deep',
    ],
  );
  const together = ['H clone-tree / slot=[N] recursive', 'C attach-mount slot=[N] [2]/host create=directory'];
  const many = Array.from({ length: 300 }, (_, number) => ({ path: `m${number}`, fsType: 'ext4' }));
  for (const [why, changes, hostConfig] of [
    ['too many', { submounts: many }, {}],
    ['the host would see them attached', { submounts, propagation: 'rshared' }, {}],
    ['no user namespace', { submounts }, { UsernsMode: 'host' }],
  ] as const) {
    const all = planned({}, hostConfig, {
      mounts: [{ ...bind, ...changes }],
      idRange: 'UsernsMode' in hostConfig ? null : { first: 0x4000_0000, size: 65_536 },
    }).lines.map((one) => one.replace(/slot=\[\d+\]/, 'slot=[N]').replace(/ \[\d\]\//, ' [2]/'));
    t.same(
      all.filter((one) => one.startsWith('H clone-tree / ') || one.includes('[2]/host')),
      together,
      why,
    );
  }
});

t.test('devices', async (t) => {
  const tun = {
    hostPath: '/dev/net/tun',
    path: '/dev/net/tun',
    permissions: 'rw',
    type: 'char',
    major: 10,
    minor: 200,
    mode: 0o666,
    uid: 0,
    gid: 70000,
  } as const;
  const { lines } = planned({}, { DeviceCgroupRules: ['b 8:* r'] }, { devices: [tun, { ...tun, path: '/opt/tun' }] });
  t.ok(lines.includes('H mkdir [5]/net 0755 uid=1073741824 gid=1073741824'));
  t.ok(
    lines.includes('H mknod [5]/net/tun type=char 0666 major=10 minor=200 uid=1073741824 gid=1073741824'),
    'an id that the container lacks becomes root',
  );
  t.ok(lines.includes(`H write-file /cg/devices/tsd/${ID}/devices.allow data=c 10:200 rw`));
  t.ok(lines.includes(`H write-file /cg/devices/tsd/${ID}/devices.allow data=b 8:* r`));
  t.match(lines.join('\n'), /H clone-tree \/dev\/net\/tun slot=\[(\d+)\]/);
  t.match(lines.join('\n'), /C attach-mount slot=\[\d+\] \[2\]\/opt\/tun create=file/);
  t.throws(() => planned({}, { DeviceCgroupRules: ['b 8'] }), { message: "invalid device cgroup rule format: 'b 8'" });
});

t.test('system settings', async (t) => {
  const { lines } = planned(
    {},
    {
      Sysctls: {
        'net.ipv4.ping_group_range': '1 0',
        'kernel.msgmax': '9',
        'net/ipv4/conf/eth0.1/forwarding': '1',
        'kernel.domainname': 'd',
      },
    },
  );
  t.same(
    lines.filter((line) => line.includes('[4]/sys/') || line.includes('domainname')),
    [
      'C write-file [4]/sys/net/ipv4/ip_unprivileged_port_start data=0 optional',
      'C write-file [4]/sys/net/ipv4/ping_group_range data=1 0',
      'C write-file [4]/sys/kernel/msgmax data=9',
      'C write-file [4]/sys/net/ipv4/conf/eth0.1/forwarding data=1',
      'C set-domainname name=d',
    ],
  );
  const refused = (name: string, hostConfig: LaunchHostConfig, message: string): void => {
    t.throws(() => planned({}, { ...hostConfig, Sysctls: { [name]: '1' } }), { code: 'bad_parameter', message });
  };
  refused('vm.swappiness', {}, 'sysctl "vm.swappiness" is not in a separate kernel namespace');
  refused(
    'net.core.somaxconn',
    { NetworkMode: 'host' },
    'sysctl "net.core.somaxconn" not allowed in host network namespace',
  );
  refused('kernel.sem', { IpcMode: 'host' }, 'sysctl "kernel.sem" is not allowed in the hosts ipc namespace');
  refused(
    'net.ipv4.../../../kernel/core_pattern',
    {},
    'sysctl "net.ipv4.../../../kernel/core_pattern" is not a valid name',
  );
  refused('net/../kernel/core_pattern', {}, 'sysctl "net/../kernel/core_pattern" is not a valid name');
});

t.test('a hard limit that the host cannot raise is a warning', async (t) => {
  const Ulimits = [
    { Name: 'nofile', Soft: 1024, Hard: 20_001 },
    { Name: 'nproc', Soft: 10, Hard: 20_000 },
  ];
  const mighty = hostFacts(V1);
  const limited = { ...mighty, capabilities: mighty.capabilities.filter((number) => number !== 24) };
  t.same(planned({}, { Ulimits }, { host: mighty }).warnings, []);
  t.same(planned({}, { Ulimits }, { host: limited }).warnings, [
    'The host cannot raise the hard limit of nofile above 20000. Ulimit discarded.',
  ]);
});

t.test('/proc/self/limits', async (t) => {
  const limits = parseHardLimits(readFileSync('/proc/self/limits', 'utf8'));
  t.equal(limits.length, 16);
  const hard = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  t.equal(limits[7], hard === 'unlimited' ? 0xffff_ffff_ffff_ffffn : BigInt(hard));
});

t.test('limits, init, labels of Docker that end up in steps', async (t) => {
  t.same(
    changes({
      Ulimits: [
        { Name: 'nofile', Soft: 1024, Hard: 4096 },
        { Name: 'core', Soft: -1, Hard: -1 },
      ],
    }).new,
    [
      'H set-rlimit optional resource=7 soft=1024 hard=4096',
      'H set-rlimit optional resource=4 soft=18446744073709551615 hard=18446744073709551615',
    ],
  );
  t.same(changes({ OomScoreAdj: 500 }).new, ['H set-oom-score-adj optional score=500']);
  t.match(changes({ Init: true }).new, [/ init$/]);
  t.same(changes({ MaskedPaths: [], ReadonlyPaths: [] }).gone, MASKS(4, 9));
  t.same(changes({ MaskedPaths: ['/etc/x'] }).new, ['C mask-path /etc/x']);
  t.match(
    planned({ Entrypoint: ['/e'], Cmd: ['a'], Env: ['PATH=/x', 'HOME=/h'] }).lines.at(-1),
    'C exec argv=/e,a env=PATH=/x,HOSTNAME=c0ffee000000,HOME=/h',
  );
  t.throws(() => planned({ Env: ['A=\0'] }), { code: 'bad_parameter', message: /NUL character/ });
  t.doesNotThrow(() => planned({ Env: ['A=\\u0000'] }));
  t.throws(() => planned({ Hostname: 'h'.repeat(65) }), {
    code: 'bad_parameter',
    message: /invalid hostname: longer than 64/,
  });
  t.throws(() => planned({ Cmd: [] }), { message: 'no command specified' });
  t.throws(() => planned({ WorkingDir: 'x' }), { message: /needs to be an absolute path/ });
});
