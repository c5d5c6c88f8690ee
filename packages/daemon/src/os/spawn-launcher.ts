/**
 * Starts a program with exactly the descriptors that it is meant to have, posix_spawn(3). The C library does that with
 * vfork(2) semantics: a fork of a process as large as Node would take milliseconds.
 */
import { closeSync } from 'node:fs';
import koffi from 'koffi';
import { checked, libc, SystemCallError } from './libc.ts';

/** Larger than posix_spawn_file_actions_t and posix_spawnattr_t (80 and 336 bytes with glibc on 64-bit machines). */
const OPAQUE_BYTES = 512;
const POSIX_SPAWN_SETSIGDEF = 0x04;
const POSIX_SPAWN_SETSIGMASK = 0x08;
const SIGSET_BYTES = 128;
const F_DUPFD_CLOEXEC = 1030;
const WNOHANG = 1;

const actionsInit = libc.func('int posix_spawn_file_actions_init(void *actions)');
const actionsDestroy = libc.func('int posix_spawn_file_actions_destroy(void *actions)');
const actionsAddDup2 = libc.func('int posix_spawn_file_actions_adddup2(void *actions, int descriptor, int target)');
const attributesInit = libc.func('int posix_spawnattr_init(void *attributes)');
const attributesDestroy = libc.func('int posix_spawnattr_destroy(void *attributes)');
const attributesSetFlags = libc.func('int posix_spawnattr_setflags(void *attributes, short flags)');
const attributesSetSignalDefault = libc.func('int posix_spawnattr_setsigdefault(void *attributes, void *set)');
const attributesSetSignalMask = libc.func('int posix_spawnattr_setsigmask(void *attributes, void *set)');
const posixSpawn = libc.func(
  'int posix_spawn(_Out_ int *pid, str path, void *actions, void *attributes, _In_ str *argv, _In_ str *envp)',
);
const fcntl = libc.func('int fcntl(int fd, int command, ...)');
const waitpid = libc.func('int waitpid(int pid, _Out_ int *status, int options)');

/** These functions answer the errno itself. */
function checkedErrno(call: string, errno: number): void {
  if (errno !== 0) throw new SystemCallError(call, errno);
}

/** The arguments of posix_spawn(3), and what must be undone after it. */
interface SpawnCall {
  readonly pid: [number];
  readonly arguments: readonly unknown[];
  release(): void;
}

/**
 * Starts the program in the executable descriptor and returns its pid. `descriptors` maps the numbers that the program
 * sees to the caller's; nothing else is inherited as long as every other descriptor is close-on-exec, as Node's are.
 * Its environment is empty, its signal mask too, and no signal is ignored.
 * @throws SystemCallError where it cannot be started.
 */
export function spawnDescriptor(
  executable: number,
  argv: readonly string[],
  descriptors: ReadonlyMap<number, number>,
): number {
  const call = spawnCall(executable, argv, descriptors);
  try {
    checkedErrno('posix_spawn', posixSpawn(...call.arguments));
    return call.pid[0];
  } finally {
    call.release();
  }
}

/** The same in another thread: posix_spawn(3) returns only when the program is executed, 0.3 ms later. */
export async function spawnDescriptorInThread(
  executable: number,
  argv: readonly string[],
  descriptors: ReadonlyMap<number, number>,
): Promise<number> {
  const call = spawnCall(executable, argv, descriptors);
  try {
    const errno = await new Promise<number>((resolve, reject) => {
      posixSpawn.async(...call.arguments, (error: unknown, result: number) =>
        error instanceof Error ? reject(error) : resolve(result),
      );
    });
    checkedErrno('posix_spawn', errno);
    return call.pid[0];
  } finally {
    call.release();
  }
}

function spawnCall(executable: number, argv: readonly string[], descriptors: ReadonlyMap<number, number>): SpawnCall {
  const actions = Buffer.alloc(OPAQUE_BYTES);
  const attributes = Buffer.alloc(OPAQUE_BYTES);
  const allSignals = Buffer.alloc(SIGSET_BYTES, 0xff);
  const noSignals = Buffer.alloc(SIGSET_BYTES);
  const copies: number[] = [];
  const firstFree = Math.max(executable, ...descriptors.keys(), ...descriptors.values()) + 1;
  // Moves happen one after the other: one whose source is another one's target must be out of the way first.
  const outOfTheWay = (descriptor: number): number => {
    if (!descriptors.has(descriptor)) return descriptor;
    const copy = checked('fcntl', fcntl(descriptor, F_DUPFD_CLOEXEC, 'int', firstFree));
    copies.push(copy);
    return copy;
  };
  const release = (): void => {
    actionsDestroy(actions);
    attributesDestroy(attributes);
    for (const copy of copies) closeSync(copy);
  };
  checkedErrno('posix_spawn_file_actions_init', actionsInit(actions));
  checkedErrno('posix_spawnattr_init', attributesInit(attributes));
  try {
    checkedErrno(
      'posix_spawnattr_setflags',
      attributesSetFlags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK),
    );
    checkedErrno('posix_spawnattr_setsigdefault', attributesSetSignalDefault(attributes, allSignals));
    checkedErrno('posix_spawnattr_setsigmask', attributesSetSignalMask(attributes, noSignals));
    for (const [target, source] of descriptors) {
      checkedErrno('posix_spawn_file_actions_adddup2', actionsAddDup2(actions, outOfTheWay(source), target));
    }
    const pid: [number] = [0];
    const path = `/proc/self/fd/${outOfTheWay(executable)}`;
    return { pid, arguments: [pid, path, actions, attributes, [...argv, null], [null]], release };
  } catch (error) {
    release();
    throw error;
  }
}

/** Reaps a child that ends at once; waits for it in another thread where it has not ended yet. waitpid(2). */
export async function reapProcess(pid: number): Promise<void> {
  const status: [number] = [0];
  const result: number = waitpid(pid, status, WNOHANG);
  if (result === pid) return;
  if (result < 0) throw new SystemCallError('waitpid', koffi.errno());
  await new Promise<void>((resolve, reject) => {
    waitpid.async(pid, status, 0, (error: unknown) => (error instanceof Error ? reject(error) : resolve()));
  });
}
