/** Listens on a Unix socket so that there is no moment with a wrong mode, and never takes it from a live daemon. */
import { chmodSync, chownSync, lstatSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { TsdError } from '@tsd/shared/errors';

const SOCKET_MODE = 0o660;

export interface ListeningSocket {
  readonly path: string;
  /** Removes the socket's file if it is still this one. */
  remove(): void;
}

/**
 * Starts the server on `path`, mode 0660, owned by root and the group where the host has it. A socket left by a dead
 * daemon is replaced. Throws conflict where a live one answers or something else than a socket has that name.
 */
export async function listenOnSocket(server: Server, path: string, group: string): Promise<ListeningSocket> {
  await checkFree(path);
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  await listen(server, temporary);
  try {
    const gid = group === '' ? 0 : groupId(group);
    if (gid !== null && process.getuid?.() === 0) chownSync(temporary, 0, gid);
    chmodSync(temporary, SOCKET_MODE);
    renameSync(temporary, path);
  } catch (error) {
    server.close();
    throw error;
  }
  const { ino } = statSync(path);
  return {
    path,
    remove() {
      if (lstatSync(path, { throwIfNoEntry: false })?.ino === ino) rmSync(path, { force: true });
    },
  };
}

/** The id of a group of /etc/group, group(5); null where the host has none of that name. */
export function groupId(name: string, groupFile = '/etc/group'): number | null {
  for (const line of readFileSync(groupFile, 'utf8').split('\n')) {
    const [entry, , id] = line.split(':');
    if (entry === name && id !== undefined && /^[0-9]+$/.test(id)) return Number(id);
  }
  return null;
}

async function checkFree(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket())
    throw new TsdError('conflict', `${path} exists and is not a socket: remove it or use another --host`);
  if (await answers(path)) {
    throw new TsdError(
      'conflict',
      `another daemon is already listening on ${path}: stop it first, or use another --host`,
    );
  }
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.on('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const umask = process.umask(0o177);
    try {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    } finally {
      // bind(2) has happened: Node binds a pipe inside listen().
      process.umask(umask);
    }
  });
}
