/**
 * The runtime alone, without the daemon: plans run by the launcher on the real kernel. What needs cgroup version 2 runs on a
 * hybrid host's version 2 tree, so that its way of entering, its mounts and its device program are tested there too.
 */
import { chownSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import t from 'tap';
import {
  containerProcesses,
  listContainerCgroups,
  removeCgroupParent,
  removeContainerCgroups,
  removeEmptyCgroups,
} from '../packages/daemon/src/os/cgroup-files.ts';
import {
  type CgroupTree,
  cgroupTrees,
  containerCgroup,
  parseCgroupLayout,
} from '../packages/daemon/src/os/cgroup-layout.ts';
import { lookupDevices } from '../packages/daemon/src/os/lookup-devices.ts';
import { processStartTicks } from '../packages/daemon/src/os/process-stat.ts';
import { createSocketPair } from '../packages/daemon/src/os/socket-pair.ts';
import { createSeccompCompiler } from '../packages/daemon/src/runtime/compile-seccomp.ts';
import { type HostFacts, readHostFacts } from '../packages/daemon/src/runtime/host-facts.ts';
import { createLauncher } from '../packages/daemon/src/runtime/launch.ts';
import type { StepFailure } from '../packages/daemon/src/runtime/launch-error.ts';
import type { ContainerConfig, LaunchHostConfig, LaunchInput } from '../packages/daemon/src/runtime/launch-input.ts';
import { waitingLaunchers } from '../packages/daemon/src/runtime/launcher-pool.ts';
import { createLayerMounts } from '../packages/daemon/src/runtime/layer-mounts.ts';
import { planLaunch } from '../packages/daemon/src/runtime/plan-launch.ts';
import { connectSupervisor, readExitFile, type Supervisor } from '../packages/daemon/src/runtime/supervisor.ts';
import { createLayerStore } from '../packages/daemon/src/storage/layer-store.ts';
import { busyboxLayer } from './support/images.ts';
import { TEMPORARY_PREFIX } from './support/leaks.ts';

const FIRST_ID = 0x7000_0000;
const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
const cgroupParent = `/${TEMPORARY_PREFIX}launch-${process.pid}`;
const host = readHostFacts({ cgroupParent });
const layerStore = createLayerStore({ root: join(directory, 'layers'), tmp: join(directory, 'tmp') });
const layerMounts = createLayerMounts({ layerStore, detachedLayers: host.layers.detachedLayers, mountPoints: true });
const launcher = createLauncher({
  launcherPath: resolve(import.meta.dirname, '../packages/launcher/build/tsd-launch'),
  waiting: waitingLaunchers(host, (error) => t.fail(String(error))),
});
const compileSeccomp = createSeccompCompiler();
const DEFAULT_PROFILE = resolve(import.meta.dirname, '../packages/daemon/src/runtime/default-seccomp.json');
const { diffId } = await layerStore.ingest(Readable.from([busyboxLayer()]), { compression: 'none' });

t.teardown(async () => {
  await launcher.close();
  layerMounts.close();
  await layerStore.close();
  if (host.cgroups !== null) removeCgroupParent(host.cgroups);
  if (unified !== null) removeCgroupParent({ version: 2, unified });
  rmSync(directory, { recursive: true });
});

interface Launched {
  readonly id: string;
  readonly input: LaunchInput;
  readonly supervisor: Supervisor;
  readonly warnings: readonly StepFailure[];
  /** All output, once it is complete. */
  readonly output: Promise<string>;
}

let launches = 0;

async function launch(
  config: ContainerConfig,
  hostConfig: LaunchHostConfig = {},
  facts: HostFacts = host,
): Promise<Launched> {
  launches += 1;
  const id = launches.toString(16).padStart(64, '0');
  const container = join(directory, id);
  mkdirSync(container);
  const own = hostConfig.UsernsMode !== 'host' && hostConfig.Privileged !== true;
  for (const name of ['hosts', 'hostname', 'resolv.conf']) {
    writeFileSync(join(container, name), '');
    if (own) chownSync(join(container, name), FIRST_ID, FIRST_ID);
  }
  const lease = layerMounts.acquire([diffId]);
  const input: LaunchInput = {
    id,
    config: { Tty: false, ...config },
    hostConfig: { NetworkMode: 'none', ...hostConfig },
    mounts: [],
    layerCount: lease.descriptors.length,
    missingMarks: [],
    passwd: 'root:x:0:0:root:/root:/bin/sh\n',
    group: null,
    host: facts,
    idRange: own ? { first: FIRST_ID, size: 65536 } : null,
    paths: {
      directory: container,
      upper: join(container, 'upper'),
      work: join(container, 'work'),
      hosts: join(container, 'hosts'),
      hostname: join(container, 'hostname'),
      resolvConf: join(container, 'resolv.conf'),
      controlSocket: join(container, 'control.sock'),
      exitFile: join(container, 'exit'),
    },
    log: null,
    networks: [],
    devices: lookupDevices(hostConfig.Devices ?? [], hostConfig.Privileged === true),
    compileSeccomp,
  };
  const [ours, theirs] = createSocketPair();
  const client = new Socket({ fd: ours, readable: true, writable: true });
  const theirsOpen = new Socket({ fd: theirs, readable: false, writable: false });
  const warnings: StepFailure[] = [];
  try {
    const supervisor = await launcher.launch(planLaunch(input).plan, {
      descriptors: lease.descriptors,
      attach: [
        {
          descriptor: theirs,
          stdin: false,
          stdout: true,
          stderr: true,
          initialInput: new Uint8Array(),
          detachKeys: new Uint8Array(),
        },
      ],
      onWarning: (warning) => warnings.push(warning),
    });
    const output = client.toArray().then((chunks: Buffer[]) => withoutHeaders(Buffer.concat(chunks)));
    return { id, input, supervisor, warnings, output };
  } catch (error) {
    client.destroy();
    throw error;
  } finally {
    theirsOpen.destroy();
    lease.release();
  }
}

/** Takes the text out of Docker's frames: a header of eight bytes, the last four the length. */
function withoutHeaders(frames: Buffer): string {
  let text = '';
  for (let at = 0; at < frames.length; ) {
    const length = frames.readUInt32BE(at + 4);
    text += frames.toString('utf8', at + 8, at + 8 + length);
    at += 8 + length;
  }
  return text;
}

const shell = (script: string): ContainerConfig => ({ Cmd: ['sh', '-c', script] });

t.test('a container from plan to exit', async (t) => {
  const { supervisor, output, input, warnings, id } = await launch(shell('cat /proc/self/uid_map; exit 7'));
  const report = await supervisor.exited;
  t.match(report, { kind: 'exited', code: 7, oomKilled: false });
  t.ok(report.finishedAtNs > report.startedAtNs);
  t.equal((await output).replace(/\s+/g, ' ').trim(), `0 ${FIRST_ID} 65536`);
  t.match(readExitFile(input.paths.exitFile), report, 'the report is in the file too');
  t.notOk(existsSync(input.paths.controlSocket));
  t.same(warnings, []);
  if (host.cgroups === null) return;
  t.ok(listContainerCgroups(host.cgroups).includes(id));
  await removeContainerCgroups(host.cgroups, id);
  await removeContainerCgroups(host.cgroups, id);
  t.same(listContainerCgroups(host.cgroups), [], 'removed, and removed again');
});

t.test('a second connection takes over', async (t) => {
  const { supervisor, input, id } = await launch({ Cmd: ['sleep', '1000'] });
  const ticks = processStartTicks(supervisor.pid);
  t.ok(ticks !== null);
  if (host.cgroups !== null) {
    await removeEmptyCgroups(host.cgroups, id);
    t.same(containerProcesses(host.cgroups, id), [supervisor.pid], 'cgroups with a process in them stay');
  }
  supervisor.disconnect();
  const again = await connectSupervisor(input.paths.controlSocket);
  t.equal(again.pid, supervisor.pid);
  t.equal(again.startedAtNs, supervisor.startedAtNs);
  t.match(await again.status(), { state: 'running', pid: supervisor.pid });
  await t.rejects(again.resize(1, 1), { code: 'ENOTTY' });
  await again.signal(9);
  t.match(await again.exited, { kind: 'signalled', code: 9 });
  await t.rejects(connectSupervisor(input.paths.controlSocket), 'a supervisor that is about to go, or has gone');
  if (host.cgroups === null) return;
  await removeEmptyCgroups(host.cgroups, id);
  t.same(listContainerCgroups(host.cgroups), [], 'empty ones go');
});

t.test('what cannot start leaves nothing but its cgroups, which are removed', async (t) => {
  await t.rejects(launch({ Cmd: ['no-such-command'] }), {
    exitCode: 127,
    message: /executable file not found in \$PATH/,
  });
  await t.rejects(launch({ Cmd: ['/etc'] }), { exitCode: 126, message: /is a directory/ });
  await t.rejects(launch(shell('true'), { Sysctls: { 'net.ipv4.no_such': '1' } }), {
    exitCode: 128,
    message: /write sysctl key net.ipv4.no_such: ENOENT/,
  });
  if (host.cgroups === null) return;
  for (const id of listContainerCgroups(host.cgroups)) await removeContainerCgroups(host.cgroups, id);
  t.same(listContainerCgroups(host.cgroups), []);
});

t.test('a seccomp profile need not allow what the launcher itself uses', async (t) => {
  const profile = JSON.parse(readFileSync(DEFAULT_PROFILE, 'utf8')) as { syscalls: { names: string[] }[] };
  const newer = new Set(['close_range', 'openat2', 'clone3', 'pidfd_open', 'pidfd_send_signal', 'faccessat2']);
  for (const rule of profile.syscalls) rule.names = rule.names.filter((name) => !newer.has(name));
  const seccomp = `seccomp=${JSON.stringify(profile)}`;
  for (const options of [[seccomp], [seccomp, 'no-new-privileges']]) {
    for (const Init of [false, true]) {
      const script = 'grep ^Seccomp: /proc/self/status; echo by name >/dev/stdout; ls /proc/1/fd; true';
      const { supervisor, output, id } = await launch(
        { ...shell(script), User: '1000:1000' },
        { SecurityOpt: options, Init },
      );
      t.match((await output).split('\n'), [/^Seccomp:\s+2$/, 'by name', '0', '1', '2'], options.slice(1).join());
      t.match(await supervisor.exited, { kind: 'exited', code: 0 });
      if (host.cgroups !== null) await removeContainerCgroups(host.cgroups, id);
    }
  }
});

t.test('left-over processes are killed with their cgroups', { skip: host.cgroups === null }, async (t) => {
  const { cgroups } = host;
  if (cgroups === null) return;
  // The processes of a container with the host's pids outlive its first one.
  const { supervisor, id } = await launch(shell('sleep 1000 >/dev/null 2>&1 & exit 0'), {
    PidMode: 'host',
    UsernsMode: 'host',
  });
  await supervisor.exited;
  await removeContainerCgroups(cgroups, id);
  for (const tree of cgroupTrees(cgroups)) t.notOk(existsSync(containerCgroup(tree, id)));
});

const unified = versionTwoTree();

t.test(
  'cgroup version 2: entered at birth, seen as a root, with a device program',
  { skip: unified === null ? 'no version 2 tree is mounted' : false },
  async (t) => {
    if (unified === null) return;
    const version2: HostFacts = { ...host, cgroups: { version: 2, unified } };
    const read = async (hostConfig: LaunchHostConfig, script: string): Promise<string[]> => {
      const { supervisor, output, id } = await launch(shell(script), hostConfig, version2);
      const lines = (await output).trim().split('\n');
      await supervisor.exited;
      await removeContainerCgroups({ version: 2, unified }, id);
      return lines;
    };
    const look = 'grep ^0: /proc/self/cgroup; mkdir /sys/fs/cgroup/x 2>/dev/null || echo read-only';
    t.same(await read({}, look), ['0::/', 'read-only']);

    const mknod = { UsernsMode: 'host', CapAdd: ['MKNOD'] };
    const memory =
      'mknod /dev/m c 1 1 && (head -c 1 /dev/m 2>&1 | sed "s/.*: //"); head -c 1 /dev/zero | wc -c; echo x >/dev/null && echo written';
    t.same(await read(mknod, memory), ['Operation not permitted', '1', 'written']);
    const device = ['/dev/fuse', '/dev/loop-control', '/dev/net/tun'].find(existsSync);
    if (device === undefined) return;
    const open = '(: </dev/some) 2>/dev/null && echo read; (: >>/dev/some) 2>/dev/null || echo no write';
    const devices = [{ PathOnHost: device, PathInContainer: '/dev/some', CgroupPermissions: 'r' }];
    t.same(await read({ ...mknod, Devices: devices }, open), ['read', 'no write'], `only to read: ${device}`);
  },
);

/** The version 2 tree, also where it stands beside version 1 ones. */
function versionTwoTree(): CgroupTree | null {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(' - cgroup2 '))
    .join('\n');
  const layout = parseCgroupLayout(mounts, cgroupParent, () => '');
  return layout?.version === 2 ? layout.unified : null;
}
