/** The engines that are compared. */
import { createReadStream, readdirSync } from 'node:fs';
import { type ApiClient, createApiClient } from '../packages/cli/src/api/api-client.ts';
import { parseEndpoint } from '../packages/cli/src/api/endpoint.ts';
import { type Api, TSDCTL } from '../test/support/client.ts';
import { startDaemon } from '../test/support/daemon.ts';
import { dockerdMissing, startDockerd } from '../test/support/dockerd.ts';
import { busyboxArchive } from '../test/support/images.ts';
import * as containers from './containers.ts';
import { childPids, residentMb } from './memory.ts';
import { type ShellTimer, startShellTimer } from './shell-timer.ts';

export interface Engine {
  readonly name: string;
  readonly api: Api;
  /** Over kept-alive connections, as many as requests run side by side. */
  readonly client: ApiClient;
  /** Milliseconds of `run --rm --network none busybox true` by the engine's own client. */
  runTrue(): Promise<number>;
  /** The daemon and its helpers, without what attends containers. */
  pids(): number[];
  /** Resident memory of those. */
  residentMb(): number;
  remove(): Promise<void>;
}

/** Times `run --rm` of `true` by the engine's own client, with the options that are given. */
export function clientRun(
  shell: ShellTimer,
  program: string,
  socketPath: string,
  ...options: string[]
): () => Promise<number> {
  const args = ['-H', `unix://${socketPath}`, 'run', '--rm', ...options, 'busybox', 'true'];
  return () => shell.time(program, args);
}

/** tsd and, where it is installed, dockerd; both with the busybox image. */
export async function startEngines(): Promise<{ tsd: Engine; dockerd: Engine | null }> {
  const daemon = await startDaemon({ args: ['--log-level', 'info'] });
  const shell = startShellTimer();
  const tsd: Engine = {
    name: 'tsd',
    api: daemon.api,
    client: createApiClient(parseEndpoint(daemon.socketPath)),
    runTrue: clientRun(shell, TSDCTL, daemon.socketPath, '--network', 'none'),
    pids: () => [daemon.pid],
    residentMb: () => residentMb(daemon.pid),
    remove: () => {
      shell.close();
      tsd.client.close();
      return daemon.remove();
    },
  };
  try {
    await daemon.load();
    if (dockerdMissing() !== false) return { tsd, dockerd: null };
    const theirs = await startDockerd();
    await containers.load(theirs.api, createReadStream(busyboxArchive()));
    const pids = (): number[] => [theirs.pid, ...childPids(theirs.pid, 'containerd', allPids())];
    const dockerd: Engine = {
      name: 'dockerd',
      api: theirs.api,
      client: createApiClient(parseEndpoint(theirs.socketPath)),
      runTrue: clientRun(shell, 'docker', theirs.socketPath, '--network', 'none'),
      pids,
      residentMb: () => pids().reduce((sum, pid) => sum + residentMb(pid), 0),
      remove: () => {
        dockerd.client.close();
        return theirs.remove();
      },
    };
    return { tsd, dockerd };
  } catch (error) {
    await tsd.remove();
    throw error;
  }
}

function allPids(): number[] {
  return readdirSync('/proc').map(Number).filter(Number.isInteger);
}
