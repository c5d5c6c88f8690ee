/**
 * A private dockerd (Debian's docker.io) for comparison: own roots, socket and pid file. It has no bridge and no firewall rules
 * of the host's, or its own in a network namespace.
 */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Api, type CommandLine, commandLine, connectApi } from './client.ts';
import { eventually } from './eventually.ts';
import { makeExecRoot } from './exec-root.ts';
import { TEMPORARY_PREFIX } from './leaks.ts';
import type { NetworkNamespace } from './network-namespace.ts';

export interface Dockerd {
  readonly socketPath: string;
  readonly api: Api;
  readonly docker: CommandLine;
  readonly pid: number;
  remove(): Promise<void>;
}

const DOCKERD = '/usr/sbin/dockerd';
const READY_DEADLINE_MS = 60_000;

/** Why dockerd cannot run here, or false. For tap's `skip`. */
export function dockerdMissing(): string | false {
  return existsSync(DOCKERD) ? false : 'dockerd is not installed (Debian package docker.io)';
}

export interface DockerdOptions {
  /** Where dockerd makes its default bridge and its rules. */
  readonly networkNamespace?: NetworkNamespace;
}

/** Starts a dockerd of its own; call `remove()` when done. */
export async function startDockerd({ networkNamespace }: DockerdOptions = {}): Promise<Dockerd> {
  const directory = mkdtempSync(join(tmpdir(), TEMPORARY_PREFIX));
  const execRoot = makeExecRoot();
  const socketPath = join(directory, 'docker.sock');
  const logFile = join(directory, 'dockerd.log');
  const configFile = join(directory, 'daemon.json');
  writeFileSync(configFile, '{}');
  const log = openSync(logFile, 'a');
  const [program = DOCKERD, ...before] = [...(networkNamespace?.enter ?? []), DOCKERD];
  const child = spawn(
    program,
    [
      before,
      ['--data-root', join(directory, 'data')],
      ['--exec-root', execRoot],
      ['--host', `unix://${socketPath}`],
      ['--pidfile', join(directory, 'docker.pid')],
      ['--config-file', configFile],
      networkNamespace === undefined ? ['--bridge', 'none', '--iptables=false', '--ip6tables=false'] : [],
    ].flat(),
    { stdio: ['ignore', log, log] },
  );
  closeSync(log);
  const api = connectApi(socketPath);
  const remove = async (): Promise<void> => {
    api.close();
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise((done) => child.once('exit', done));
      child.kill('SIGTERM');
      await ended;
    }
    for (const path of [directory, execRoot]) rmSync(path, { recursive: true, force: true });
  };
  try {
    const state = await eventually(
      async () => {
        if (child.exitCode !== null) return 'ended';
        return (await api.request('GET', '/_ping')).status === 200 ? 'ready' : undefined;
      },
      { what: 'dockerd answers', deadlineMs: READY_DEADLINE_MS, intervalMs: 50 },
    );
    if (state === 'ended') throw new Error(`dockerd ended with ${child.exitCode}`);
  } catch (error) {
    const said = readFileSync(logFile, 'utf8');
    await remove();
    throw new Error(`dockerd did not start:\n${said}`, { cause: error });
  }
  return { socketPath, api, docker: commandLine('docker', socketPath), pid: child.pid ?? 0, remove };
}
