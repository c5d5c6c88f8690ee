/** What a plan makes: namespaces, ids, mounts, rights, descriptors; and what is left of one that fails. */
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { eventually } from '../../../test/support/eventually.ts';
import type { LaunchPlan, Step } from '../../daemon/src/runtime/launch-plan.ts';
import { encodeNewBridge, encodeSetMtu } from '../../daemon/src/runtime/netlink/links.ts';
import {
  type Bench,
  CLONED_NAMESPACES,
  type ContainerOptions,
  cannotRun,
  containerPlan,
  createBench,
  createClient,
  FIRST_HOST_ID,
  type Launched,
  LaunchFailure,
  launch,
  plainPlan,
  unframe,
} from './harness.ts';

const ENOENT = 2;
const EINVAL = 22;
const ELOOP = 40;

/** Runs a shell script in a container and returns what it printed. */
async function run(bench: Bench, script: string, options: ContainerOptions = {}): Promise<string> {
  const client = createClient();
  const launched = await launch(containerPlan(bench, ['sh', '-c', script], options), { attach: [{ client }] });
  await launched.exited;
  const { stdout, stderr } = unframe(await client.ended);
  return stdout + stderr;
}

async function failureOf(launched: Promise<Launched>): Promise<{ step: number | null; errno: number; detail: string }> {
  try {
    await (await launched).started;
  } catch (error) {
    if (error instanceof LaunchFailure) return error.failure;
    throw error;
  }
  throw new Error('it started');
}

/** The plan with a step put before the exec. */
function withStep(plan: LaunchPlan, ...steps: Step[]): LaunchPlan {
  return { ...plan, steps: [...plan.steps.slice(0, -1), ...steps, ...plan.steps.slice(-1)] };
}

t.test('the launcher', { skip: cannotRun() }, async (t) => {
  const bench = createBench();
  t.teardown(() => bench.remove());

  await t.test('makes every namespace anew', async (t) => {
    const launched = await launch(containerPlan(bench, ['sleep', '100']));
    const pid = await launched.started;
    for (const name of ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'user', 'uts']) {
      t.not(readlinkSync(`/proc/${pid}/ns/${name}`), readlinkSync(`/proc/self/ns/${name}`), name);
    }
    t.equal(readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).join(' '), `0 ${FIRST_HOST_ID} 65536`);
    t.equal(readFileSync(`/proc/${pid}/gid_map`, 'utf8').trim().split(/\s+/).join(' '), `0 ${FIRST_HOST_ID} 65536`);
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    t.match(status, `Uid:\t${FIRST_HOST_ID}\t${FIRST_HOST_ID}\t${FIRST_HOST_ID}\t${FIRST_HOST_ID}\n`);
    t.match(status, 'NoNewPrivs:\t1\n');
    t.match(status, 'CapInh:\t0000000000000000\n');
    t.match(status, 'CapEff:\t00000000ffffffff\n');
    t.match(status, 'SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n');
    t.same(readdirSync(`/proc/${pid}/fd`), ['0', '1', '2'], 'only 0-2 are open');
    t.match(readlinkSync(`/proc/${pid}/fd/0`), '/dev/null');
    t.match(readlinkSync(`/proc/${pid}/fd/1`), /^pipe:/);
    const supervisor = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[1];
    const held = readdirSync(`/proc/${supervisor}/fd`).map((fd) => readlinkSync(`/proc/${supervisor}/fd/${fd}`));
    t.ok(held.includes(readlinkSync(`/proc/${pid}/ns/mnt`)), 'the supervisor holds the mounts: the exit need not wait');
    await launched.connection.signal(9);
    t.match(await launched.exited, { kind: 'signalled', code: 9, oomKilled: false });
  });

  await t.test('takes the process that it made ahead, if it is what the plan wants', async (t) => {
    const fits = await launch(containerPlan(bench, ['sleep', '100']), { prepare: CLONED_NAMESPACES });
    t.not(fits.preparedPid, 0);
    t.equal(await fits.started, fits.preparedPid);
    await fits.connection.signal(9);
    await fits.closed;

    const other = await launch(containerPlan(bench, ['sleep', '100']), { prepare: ['uts'] });
    const pid = await other.started;
    t.not(pid, other.preparedPid);
    t.notOk(existsSync(`/proc/${other.preparedPid}`), 'the other one is gone');
    t.equal(readFileSync(`/proc/${pid}/uid_map`, 'utf8').trim().split(/\s+/).join(' '), `0 ${FIRST_HOST_ID} 65536`);
    await other.connection.signal(9);
    await other.closed;
  });

  await t.test('has lo up in the process that waits, and ends with it when nobody gives it a plan', async (t) => {
    const waiting = await launch(plainPlan(bench, ['true']), { prepare: CLONED_NAMESPACES, start: false });
    const routes = `/proc/${waiting.preparedPid}/net/fib_trie`;
    await eventually(() => readFileSync(routes, 'utf8').includes('127.0.0.1'), { what: 'its lo is up' });
    waiting.connection.close();
    await eventually(() => !existsSync(`/proc/${waiting.preparedPid}`), { what: 'the end of the process' });
    t.pass('the process is gone');
  });

  await t.test('mounts the container root, its /proc and /dev, and hides what it must', async (t) => {
    const text = await run(
      bench,
      `hostname; cat /proc/1/comm; wc -c < /proc/keys; ls -A /sys/firmware | wc -l
       echo 1 > /proc/sys/kernel/panic || echo read-only; touch /made && ls -n /made; ls / | tr '\\n' ' '; id -u
       umask; ls /proc/self/fd | tr '\\n' ' '; awk '$5 == "/proc/keys" || $5 == "/sys/firmware" {print $5, $6}' /proc/self/mountinfo`,
    );
    t.match(text, 'bench\nsh\n0\n0\n');
    t.match(text, 'read-only');
    t.match(text, /-rw-r--r--\s+1 0\s+0/);
    t.match(text, 'bin dev etc made proc sys tmp');
    t.match(text, '0022\n0 1 2 3 ');
    t.match(text, '/sys/firmware ro,');
    t.ok(existsSync(join(bench.directory, 'upper/made')), 'the upper directory got the new file');
    t.notOk(existsSync(join(bench.root, 'made')), 'the layer did not');
  });

  await t.test('gives stdio to the user, who can open it by name', async (t) => {
    t.match(
      await run(bench, 'id -u; id -G; echo named > /dev/stdout; grep CapEff /proc/self/status', { uid: 1000 }),
      '1000\n1000\nnamed\nCapEff:\t0000000000000000\n',
    );
  });

  await t.test('puts the process into cgroups, on either side', async (t) => {
    const cgroup = '/sys/fs/cgroup/pids/tsd-launcher-test';
    const launched = await launch(containerPlan(bench, ['sleep', '100'], { cgroups: [cgroup] }));
    const pid = await launched.started;
    t.equal(readFileSync(`${cgroup}/cgroup.procs`, 'utf8'), `${pid}\n`);
    t.match(readFileSync(`/proc/${pid}/cgroup`, 'utf8'), ':pids:/tsd-launcher-test\n');
    await launched.connection.signal(9);
    await launched.exited;
    const plan = plainPlan(bench, ['sleep', '100']);
    const [clone, exec] = plan.steps as [Step, Step];
    const second = await launch({
      ...plan,
      steps: [clone, { op: 'enter-cgroup', side: 'host', at: { path: cgroup } }, exec],
    });
    const secondPid = await second.started;
    t.equal(readFileSync(`${cgroup}/cgroup.procs`, 'utf8'), `${secondPid}\n`);
    await second.connection.signal(9);
    await second.exited;
    rmdirSync(cgroup);
  });

  await t.test('makes missing mount targets inside the root, whatever links lead there', async (t) => {
    symlinkSync('/outside/deep', join(bench.root, 'dangling'));
    symlinkSync('../../../../../..', join(bench.root, 'etc/up'));
    symlinkSync('loop', join(bench.root, 'loop'));
    mkdirSync(join(bench.directory, 'data'));
    writeFileSync(join(bench.directory, 'data/file'), 'mounted');
    const mount = (path: string, create: 'file' | 'directory', slot: number): Step[] => [
      { op: 'clone-tree', side: 'container', at: { path: create === 'file' ? '/etc/seen' : '/etc/given' }, slot },
      { op: 'attach-mount', side: 'container', slot, at: { base: 4, path }, create },
    ];
    mkdirSync(join(bench.root, 'etc/given'));
    writeFileSync(join(bench.root, 'etc/given/inside'), 'yes');
    writeFileSync(join(bench.root, 'etc/seen'), 'seen');
    const text = await run(
      bench,
      'cat /outside/deep/a/b/inside; cat /etc/up/x/y; cat /outside/deep/link-to-file; ls -ld /outside /outside/deep/a',
      {
        before: [
          ...mount('dangling/a/b', 'directory', 30),
          ...mount('etc/up/x/y', 'file', 31),
          ...mount('/dangling/link-to-file', 'file', 32),
        ],
      },
    );
    t.match(text, /^yesseenseen/);
    t.match(text, 'drwxr-xr-x');
    t.notOk(existsSync('/outside'), 'nothing was made outside of the root');
    const failure = await failureOf(
      launch(containerPlan(bench, ['true'], { before: mount('loop/x', 'directory', 33) })),
    );
    t.match(failure, { errno: ELOOP, detail: 'loop/x' });
  });

  await t.test('masks nothing through a symlink, and passes over what is missing', async (t) => {
    symlinkSync('/etc/seen', join(bench.root, 'tmp/link'));
    const mask = (path: string): ContainerOptions => ({
      before: [{ op: 'mask-path', side: 'container', at: { path } }],
    });
    t.match(await run(bench, 'echo fine', mask('/nowhere/at/all')), 'fine\n');
    t.match(await failureOf(launch(containerPlan(bench, ['true'], mask('/tmp/link')))), {
      errno: ELOOP,
      detail: '/tmp/link',
    });
    const writeProtect: Step = { op: 'read-only-path', side: 'container', at: { path: '/tmp' } };
    t.match(await run(bench, 'touch /tmp/x; touch /y && echo y', { before: [writeProtect] }), /y\n.*Read-only/s);
  });

  await t.test('is not held up by a pipe where it is to write a file', async (t) => {
    const ENXIO = 6;
    const before: Step[] = [
      { op: 'mknod', side: 'container', at: { path: '/tmp/pipe' }, type: 'fifo', mode: 0o600, major: 0, minor: 0 },
      { op: 'write-file', side: 'container', at: { path: '/tmp/pipe' }, data: 'x', create: true },
    ];
    t.match(await failureOf(launch(containerPlan(bench, ['true'], { before }))), { errno: ENXIO, detail: '/tmp/pipe' });
  });

  await t.test('follows no magic link into the working directory', async (t) => {
    for (const path of ['/proc/self/fd/64', '/proc/self/cwd', '/proc/1/root']) {
      const before: Step[] = [{ op: 'change-directory', side: 'container', path }];
      t.match(
        await failureOf(launch(containerPlan(bench, ['true'], { before }))),
        { errno: ELOOP, detail: path },
        path,
      );
    }
    const before: Step[] = [{ op: 'change-directory', side: 'container', path: '/etc' }];
    t.equal(await run(bench, 'pwd', { before }), '/etc\n');
  });

  await t.test('applies limits, umask, files, nodes and links', async (t) => {
    const text = await run(
      bench,
      'ulimit -n; umask; ls -ld /tmp/d/e /tmp/fifo /tmp/l; cat /tmp/file; cat /proc/self/oom_score_adj',
      {
        before: [
          { op: 'set-rlimit', side: 'container', resource: 7, soft: 77n, hard: 88n },
          { op: 'set-umask', side: 'container', mask: 0o27 },
          { op: 'mkdir', side: 'container', at: { path: '/tmp/d/e' }, mode: 0o1771, parents: true, uid: 7, gid: 8 },
          { op: 'mkdir', side: 'container', at: { path: '/tmp/d/e' }, mode: 0o755, parents: true },
          { op: 'mknod', side: 'container', at: { path: '/tmp/fifo' }, type: 'fifo', mode: 0o640, major: 0, minor: 0 },
          { op: 'symlink', side: 'container', at: { path: '/tmp/l' }, target: 'x y' },
          { op: 'write-file', side: 'container', at: { path: '/tmp/file' }, data: 'written\n', create: true },
          { op: 'mkdir', side: 'container', optional: true, at: { path: '/tmp/d' }, mode: 0o755 },
          { op: 'set-oom-score-adj', side: 'host', score: 321 },
        ],
      },
    );
    t.match(text, /^77\n0027\n/);
    t.match(text, /drwxrwx--t\s+2 7\s+8 .*\/tmp\/d\/e/);
    t.match(text, /prw-r-----/);
    t.match(text, '/tmp/l -> x y');
    t.match(text, 'written\n321\n');
  });

  await t.test('a step ahead that fails, and a step of the host that fails meanwhile', async (t) => {
    const plan = containerPlan(bench, ['true']);
    const ahead = plan.steps.findIndex((step) => step.ahead);
    const broken: Step = { op: 'mkdir', side: 'container', ahead: true, at: { path: '/no/parent' }, mode: 0o755 };
    const withBroken = { ...plan, steps: plan.steps.toSpliced(ahead, 0, broken) };
    t.match(await failureOf(launch(withBroken)), { step: ahead, errno: ENOENT, detail: '/no/parent' });
    const after = plan.steps.findLastIndex((step) => step.ahead) + 1;
    const nowhere: Step = { op: 'open-path', side: 'host', at: { path: '/nowhere' }, slot: 1 };
    const meanwhile = { ...plan, steps: plan.steps.toSpliced(after, 0, nowhere) };
    t.match(await failureOf(launch(meanwhile)), { step: after, errno: ENOENT, detail: '/nowhere' });
    const optional: LaunchPlan = { ...plan, steps: plan.steps.toSpliced(ahead, 0, { ...broken, optional: true }) };
    const launched = await launch(optional);
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    t.match(
      launched.messages.filter((message) => message.type === 'warning'),
      [{ step: ahead, errno: ENOENT }],
    );
  });

  await t.test('tells of optional steps that fail, and goes on', async (t) => {
    const plan = containerPlan(bench, ['true'], {
      before: [
        { op: 'mkdir', side: 'container', optional: true, at: { path: '/no/parent' }, mode: 0o755 },
        { op: 'set-rlimit', side: 'host', optional: true, resource: 99, soft: 1n, hard: 1n },
      ],
    });
    const launched = await launch(plan);
    t.match(await launched.exited, { kind: 'exited', code: 0 });
    const first = plan.steps.findIndex((step) => step.optional);
    t.match(
      launched.messages.filter((message) => message.type === 'warning'),
      [
        { step: first, errno: ENOENT, detail: '/no/parent' },
        { step: first + 1, errno: EINVAL },
      ],
    );
  });

  await t.test('leaves nothing of a plan that fails', async (t) => {
    const plan = plainPlan(bench, ['true']);
    const step: Step = { op: 'open-path', side: 'host', at: { path: '/nowhere' }, slot: 1 };
    const client = createClient();
    const failing: readonly [LaunchPlan, number][] = [
      [{ ...plan, steps: [step, ...plan.steps] }, 0],
      [withStep(plan, step), 1],
      [withStep(plan, { ...step, side: 'container' }), 1],
      [containerPlan(bench, ['true'], { before: [{ ...step, side: 'container' }] }), -1],
    ];
    for (const [failingPlan, index] of failing) {
      const launched = await launch(failingPlan, { attach: index === 0 ? [{ client }] : [] });
      const expected = { errno: ENOENT, detail: '/nowhere', ...(index < 0 ? {} : { step: index }) };
      t.match(await failureOf(Promise.resolve(launched)), expected);
      await launched.closed;
      t.notOk(existsSync(bench.controlSocket), 'no socket');
      t.notOk(existsSync(bench.exitFile), 'no exit file');
    }
    t.equal((await client.ended).length, 0, 'attached clients are closed without output');
  });

  await t.test('names what a file system says', async (t) => {
    const plan = plainPlan(bench, ['true']);
    const mount = (fsType: string, key: string, value: string): Step => ({
      op: 'new-mount',
      side: 'host',
      fsType,
      options: [{ kind: 'string', key, value }],
      attributes: [],
      slot: 1,
    });
    const fail = (step: Step) => failureOf(launch({ ...plan, steps: [step, ...plan.steps] }));
    t.match(await fail(mount('nosuchfs', 'a', 'b')), { step: 0, errno: 19, detail: 'nosuchfs' });
    t.match(await fail(mount('tmpfs', 'nonsense', '1')), {
      errno: EINVAL,
      detail: "tmpfs nonsense: tmpfs: Unknown parameter 'nonsense'",
    });
    t.match(await fail(mount('tmpfs', 'mode', '9')), { errno: EINVAL, detail: /^tmpfs mode: / });
  });

  await t.test('gives a file system the mode of what it covers', async (t) => {
    const tmpfs = (path: string, slot: number, attached = path): Step[] => [
      {
        op: 'new-mount',
        side: 'container',
        fsType: 'tmpfs',
        options: [{ kind: 'mode', key: 'mode', of: { path } }],
        attributes: [],
        slot,
      },
      { op: 'attach-mount', side: 'container', slot, at: { path: attached }, create: 'directory' },
    ];
    const before: Step[] = [
      { op: 'mkdir', side: 'container', at: { path: '/private' }, mode: 0o2750 },
      { op: 'mkdir', side: 'container', at: { path: '/sticky' }, mode: 0o1777 },
      { op: 'symlink', side: 'container', at: { path: '/link' }, target: '/private' },
      ...tmpfs('/sticky', 200),
      ...tmpfs('/link', 201, '/other'),
      ...tmpfs('/private', 202),
      ...tmpfs('/missing', 203),
    ];
    const text = await run(bench, 'stat -c "%n %a" /private /sticky /other /missing', { before });
    t.equal(text, '/private 2750\n/sticky 1777\n/other 2750\n/missing 1777\n');
    const [bad] = tmpfs('/bin/busybox/nothing', 200);
    if (bad === undefined) throw new Error('no step');
    const failure = await failureOf(launch(containerPlan(bench, ['true'], { before: [bad] })));
    t.match(failure, { errno: 20, detail: 'tmpfs mode' });
  });

  await t.test('closes descriptors that no step names', async (t) => {
    const descriptor = openSync('/', 'r');
    const client = createClient();
    const plan = plainPlan(bench, ['sh', '-c', 'ls -l /proc/$PPID/fd']);
    const launched = await launch(plan, {
      slots: new Map([
        [5, descriptor],
        [900, descriptor],
      ]),
      attach: [{ client }],
    });
    await launched.exited;
    const { stdout } = unframe(await client.ended);
    closeSync(descriptor);
    t.notMatch(stdout, /-> \/\n/);
    t.notMatch(stdout, ' 69 -> ');
  });

  await t.test('refuses a plan that it cannot read', async (t) => {
    t.match(await failureOf(launch(Buffer.from('nonsense'))), {
      step: null,
      errno: EINVAL,
      detail: 'invalid plan: no plan',
    });
    const golden = readFileSync(join(import.meta.dirname, 'golden/bad-unknown-op.plan'));
    t.match(await failureOf(launch(golden)), { step: 0, errno: EINVAL, detail: 'invalid plan: an unknown op' });
  });

  await t.test('sends netlink messages in the container', async (t) => {
    // RTM_NEWLINK: interface 1 (lo) up
    const message = Buffer.alloc(32);
    message.writeUInt32LE(32, 0);
    message.writeUInt16LE(16, 4);
    message.writeUInt32LE(1, 20);
    message.writeUInt32LE(1, 24);
    message.writeUInt32LE(1, 28);
    const up = (index: number): Step => {
      const copy = Buffer.from(message);
      copy.writeUInt32LE(index, 20);
      return { op: 'netlink', side: 'container', protocol: 0, messages: [message, copy] };
    };
    t.match(await run(bench, 'ip addr show lo', { before: [up(1)] }), '127.0.0.1/8');
    t.match(await failureOf(launch(containerPlan(bench, ['true'], { before: [up(99)] }))), { errno: 19, detail: '' });
    // An MTU of 16 bytes is refused with words: "mtu less than device minimum".
    const bridge = encodeNewBridge({ name: 'bench', mac: '02:42:00:00:00:01', mtu: 1500 });
    const mtu = encodeSetMtu({ name: 'bench' }, 16);
    const refused: Step = { op: 'netlink', side: 'container', protocol: 0, messages: [bridge, mtu] };
    t.match(await failureOf(launch(containerPlan(bench, ['true'], { before: [refused] }))), {
      errno: EINVAL,
      detail: 'mtu less than device minimum',
    });
  });

  await t.test('loads seccomp programs, and says when there is no security module', async (t) => {
    // mkdir(2) and mkdirat(2) fail with EPERM, all else is allowed: ld nr; jeq 83; jeq 258; allow; errno
    const words = [
      [0x20, 0, 0, 0],
      [0x15, 2, 0, 83],
      [0x15, 1, 0, 258],
      [0x06, 0, 0, 0x7fff_0000],
      [0x06, 0, 0, 0x0005_0001],
    ] as const;
    const program = Buffer.alloc(words.length * 8);
    for (const [i, [code, yes, no, k]] of words.entries()) {
      program.writeUInt16LE(code, i * 8);
      program.writeUInt8(yes, i * 8 + 2);
      program.writeUInt8(no, i * 8 + 3);
      program.writeUInt32LE(k, i * 8 + 4);
    }
    const text = await run(bench, 'mkdir /tmp/q; grep Seccomp: /proc/self/status', {
      before: [{ op: 'set-seccomp', side: 'container', program }],
    });
    t.match(text, 'Operation not permitted');
    t.match(text, 'Seccomp:\t2');
    if (existsSync('/sys/kernel/security/lsm')) return;
    const label: Step = { op: 'set-exec-label', side: 'container', module: 'apparmor', label: 'x' };
    t.match(await failureOf(launch(containerPlan(bench, ['true'], { before: [label] }))), { detail: 'x' });
  });

  await t.test('joins the namespaces of another container', async (t) => {
    const target = await launch(containerPlan(bench, ['sleep', '100']));
    const pid = await target.started;
    const client = createClient();
    const plan = plainPlan(bench, ['sh', '-c', 'hostname; id -u; ps; echo $$; ls /proc/self/fd'], {
      controlSocket: join(bench.directory, 'second.sock'),
      exitFile: join(bench.directory, 'second-exit'),
      log: null,
    });
    const second = await launch(
      {
        ...plan,
        steps: [
          { op: 'open-pidfd', side: 'host', pid, slot: 0 },
          { op: 'join-namespaces', side: 'host', slot: 0, namespaces: ['pid'] },
          { op: 'clone', side: 'host', namespaces: [] },
          {
            op: 'join-namespaces',
            side: 'container',
            slot: 0,
            namespaces: ['user', 'mount', 'net', 'ipc', 'uts', 'cgroup'],
          },
          ...plan.steps.slice(-1),
        ],
      },
      { attach: [{ client }] },
    );
    t.match(await second.exited, { kind: 'exited', code: 0 });
    const { stdout } = unframe(await client.ended);
    t.match(stdout, /^bench\n0\n/);
    t.match(stdout, 'sleep 100');
    t.match(stdout, /\n0\n1\n2\n3\n$/);
    await target.connection.signal(9);
    await target.exited;
  });
});
