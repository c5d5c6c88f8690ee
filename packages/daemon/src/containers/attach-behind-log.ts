/** Attaches a client that wants what the container wrote before, too: nothing comes twice, and nothing is left out. */
import { SystemCallError } from '../os/libc.ts';
import type { HeldAttach } from '../runtime/control-connection.ts';
import type { AttachRequest, Supervisor } from '../runtime/supervisor.ts';
import { type AttachDeps, attachClient } from './attach-container.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import { tellGap } from './container-log.ts';
import { containerFiles } from './container-paths.ts';
import { type LogReplay, openLogReplay } from './log-replay.ts';
import type { WaitingClient } from './pending-attaches.ts';

/** A client that the daemon writes to before it hands it over. */
export interface ReplayClient extends WaitingClient {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Resolves when the kernel has it. */
  write(bytes: Buffer): Promise<void>;
}

export type AttachBehindLogDeps = AttachDeps & Pick<ContainerDeps, 'connectSupervisor' | 'roots'>;

/** So much may be left of the log when its supervisor begins to keep output back, bytes. */
const NEARLY_THERE_BYTES = 256 * 1024;
/** How often to go after a container that writes faster than the client reads, before output is kept back all the same. */
const CATCH_UP_ROUNDS = 4;

/** Sends the log, then hands the client over, or keeps it for the start. Rejects where the client goes away meanwhile. */
export async function attachBehindLog(
  deps: AttachBehindLogDeps,
  record: ContainerRecord,
  client: ReplayClient,
): Promise<void> {
  const { id } = record;
  const replay = openLogReplay(
    containerFiles(deps.roots, id).logFile,
    { stdout: client.stdout, stderr: client.stderr, multiplexed: !record.config.Tty, onGap: tellGap(deps.log, id) },
    client.write,
  );
  try {
    // Most of it first, at the client's pace: nobody waits for it yet.
    if (await runsOrRan(deps, id, replay)) await handOverBehindLog(deps, record, client, replay);
    else await attachClient(deps, id, client);
  } finally {
    replay.close();
  }
}

/** Sends what is in the log, nearly all of it where the container runs. Returns whether it does, or has ended meanwhile. */
async function runsOrRan(deps: AttachBehindLogDeps, id: string, replay: LogReplay): Promise<boolean> {
  const runs = (): boolean => deps.running.get(id) !== undefined;
  let ran = runs();
  for (let round = 1; ; round++) {
    const bytes = await replay.catchUp();
    ran ||= runs();
    if (ran ? bytes < NEARLY_THERE_BYTES || round >= CATCH_UP_ROUNDS : bytes === 0) return ran;
  }
}

async function handOverBehindLog(
  deps: AttachBehindLogDeps,
  record: ContainerRecord,
  client: ReplayClient,
  replay: LogReplay,
): Promise<void> {
  publishContainerEvent(deps, record, 'attach');
  const supervisor = await connect(deps, record.id);
  if (supervisor === null) {
    await sendRest(replay);
    client.close();
    return;
  }
  try {
    const { request, release } = client.detach();
    try {
      const held = await hold(supervisor, request);
      if (held === null) {
        await sendRest(replay);
      } else {
        await replay.upTo(held.position);
        await held.release();
      }
    } finally {
      release();
    }
  } finally {
    supervisor.disconnect();
  }
}

/**
 * A connection of the client's own: the client goes with it when the daemon dies before all of the log is sent, and it
 * lives on when the container has ended. Null where it has ended already.
 */
async function connect(deps: AttachBehindLogDeps, id: string): Promise<Supervisor | null> {
  try {
    return await deps.connectSupervisor(containerFiles(deps.roots, id).controlSocket);
  } catch (error) {
    deps.log.debug({ containerId: id, err: error }, 'a supervisor was gone before a client could be attached');
    return null;
  }
}

/** Has the supervisor keep the client's output. Null where the process has ended. */
async function hold(supervisor: Supervisor, request: AttachRequest): Promise<HeldAttach | null> {
  try {
    return await supervisor.hold(request);
  } catch (error) {
    if (error instanceof SystemCallError && error.code === 'ESRCH') return null;
    throw error;
  }
}

/** The log of a process that has ended is complete. */
async function sendRest(replay: LogReplay): Promise<void> {
  while ((await replay.catchUp()) > 0);
}
