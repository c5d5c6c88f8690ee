/** The real daemon on roots and a socket of its own, in a temporary directory that goes with it. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  createReadStream,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Api, type CommandLine, commandLine, connectApi, repository, TSDCTL } from './client.ts';
import { eventually } from './eventually.ts';
import { makeExecRoot } from './exec-root.ts';
import { busyboxArchive } from './images.ts';
import { TEMPORARY_PREFIX } from './leaks.ts';

export interface Daemon {
  readonly directory: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly socketPath: string;
  /** Cgroup that holds this daemon's containers, relative to each controller's root. */
  readonly cgroupParent: string;
  readonly api: Api;
  readonly tsdctl: CommandLine;
  /** The real docker client on this daemon. */
  readonly docker: CommandLine;
  readonly pid: number;
  /** Loads an image archive over the API; the busybox one by default. Throws when the daemon refuses it. */
  load(archive?: string): Promise<void>;
  /** `docker inspect` of a container. */
  inspect(container: string): Promise<ContainerDetails>;
  /** SIGKILL, awaited: the daemon has no chance to tidy up. */
  crash(): Promise<void>;
  /** Starts it on the same roots. Resolves when it answers. */
  start(): Promise<void>;
  /** SIGTERM, awaited. Containers go on. */
  shutDown(): Promise<void>;
  /** What it wrote to stderr and stdout, all its lives. */
  log(): string;
  /** Removes all containers, ends the daemon and its directory. Throws when it does not end. */
  remove(): Promise<void>;
}

/** The part of a container's inspection that tests read. */
export interface ContainerDetails {
  readonly Id: string;
  readonly Name: string;
  readonly State: {
    readonly Status: string;
    readonly Running: boolean;
    readonly Pid: number;
    readonly ExitCode: number;
    readonly OOMKilled: boolean;
    readonly Error: string;
    readonly StartedAt: string;
    readonly FinishedAt: string;
  };
  readonly HostConfig: Readonly<Record<string, unknown>>;
  readonly Config: Readonly<Record<string, unknown>>;
  readonly [field: string]: unknown;
}

const READY_DEADLINE_MS = 20_000;
const END_DEADLINE_MS = 20_000;

export interface DaemonOptions {
  /** More arguments for tsd. */
  readonly args?: readonly string[];
  /** A command that runs tsd with its arguments, in surroundings of its own. */
  readonly before?: readonly string[];
  /** A directory of the test's own in place of one that goes with the daemon. */
  readonly dataRoot?: string;
}

/** Starts a daemon; call `remove()` when done (in `t.teardown`). */
export async function startDaemon(options: DaemonOptions = {}): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  // The client runs unprivileged in some tests: it must reach the socket.
  chmodSync(directory, 0o711);
  const name = basename(directory);
  const dataRoot = options.dataRoot ?? join(directory, 'data');
  const execRoot = makeExecRoot();
  const socketPath = join(directory, 'tsd.sock');
  const logFile = join(directory, 'daemon.log');
  const cgroupParent = `/${name}`;
  const api = connectApi(socketPath);
  let child: ChildProcess | undefined;

  const start = async (): Promise<void> => {
    const log = openSync(logFile, 'a');
    const [program = '', ...args] = [...(options.before ?? []), join(repository, 'bin/tsd')];
    const started = spawn(
      program,
      [
        args,
        ['--data-root', dataRoot],
        ['--exec-root', execRoot],
        ['--host', `unix://${socketPath}`],
        ['--cgroup-parent', cgroupParent],
        ['--group', ''],
        ['--log-level', 'debug'],
        options.args ?? [],
      ].flat(),
      { stdio: ['ignore', log, log] },
    );
    closeSync(log);
    child = started;
    await eventually(
      async () => {
        if (started.exitCode !== null || started.signalCode !== null) return 'ended';
        return (await api.request('GET', '/_ping')).status === 200 ? 'ready' : undefined;
      },
      { what: 'the daemon answers', deadlineMs: READY_DEADLINE_MS },
    ).then(
      (state) => {
        if (state === 'ended') throw new Error(`the daemon ended at its start:\n${readFileSync(logFile, 'utf8')}`);
      },
      (error: unknown) => {
        started.kill('SIGKILL');
        throw new Error(`the daemon does not answer:\n${readFileSync(logFile, 'utf8')}`, { cause: error });
      },
    );
  };

  const end = async (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> => {
    const ending = child;
    if (ending === undefined || ending.exitCode !== null || ending.signalCode !== null) return;
    const ended = new Promise((done) => ending.once('exit', done));
    ending.kill(signal);
    const timer = setTimeout(() => ending.kill('SIGKILL'), END_DEADLINE_MS);
    await ended;
    clearTimeout(timer);
    api.close();
    if (signal === 'SIGTERM' && ending.signalCode === 'SIGKILL') {
      throw new Error(`the daemon did not end within ${END_DEADLINE_MS} ms of SIGTERM`);
    }
  };

  try {
    await start();
  } catch (error) {
    for (const path of [directory, execRoot]) rmSync(path, { recursive: true, force: true });
    throw error;
  }
  return {
    directory,
    dataRoot,
    execRoot,
    socketPath,
    cgroupParent,
    api,
    tsdctl: commandLine(TSDCTL, socketPath),
    docker: commandLine('docker', socketPath),
    get pid() {
      return child?.pid ?? 0;
    },
    load: async (archive = busyboxArchive()) => {
      const { status, text } = await api.send('POST', '/images/load', createReadStream(archive), 'application/x-tar');
      if (status !== 200 || text.includes('errorDetail')) throw new Error(`load ${archive}: ${status} ${text}`);
    },
    inspect: async (container) => {
      const response = await api.request('GET', `/containers/${container}/json`);
      if (response.status !== 200) throw new Error(`inspect ${container}: ${response.status} ${response.text}`);
      return response.json<ContainerDetails>();
    },
    crash: () => end('SIGKILL'),
    start,
    shutDown: () => end('SIGTERM'),
    log: () => readFileSync(logFile, 'utf8'),
    remove: async () => {
      try {
        if (child?.exitCode !== null || child.signalCode !== null) await start();
        const listed = await api.request('GET', '/containers/json?all=1');
        for (const { Id } of listed.json<{ Id: string }[]>()) {
          await api.request('DELETE', `/containers/${Id}?force=1`);
        }
        await eventually(() => !hasContainers(dataRoot), { what: 'the containers are removed from the data root' });
        await end('SIGTERM');
        await checkNothingRuns(execRoot);
      } finally {
        child?.kill('SIGKILL');
        for (const path of [directory, execRoot]) rmSync(path, { recursive: true, force: true });
      }
    },
  };
}

function hasContainers(dataRoot: string): boolean {
  const directory = join(dataRoot, 'containers');
  return existsSync(directory) && readdirSync(directory).length > 0;
}

/** No supervisor keeps its control socket below the exec root. */
async function checkNothingRuns(execRoot: string): Promise<void> {
  const directory = join(execRoot, 'containers');
  await eventually(() => !existsSync(directory) || readdirSync(directory).length === 0, {
    what: 'the containers are removed from the exec root',
  });
}
