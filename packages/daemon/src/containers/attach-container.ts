/** Connects clients with a container's streams: those of a running one at once, others when it starts. */
import { TsdError } from '@tsd/shared/errors';
import type { Supervisor } from '../runtime/supervisor.ts';
import type { ContainerRecord } from './container.ts';
import type { ContainerDeps } from './container-deps.ts';
import { publishContainerEvent } from './container-events.ts';
import type { Log } from './log.ts';
import type { WaitingClient } from './pending-attaches.ts';

export type AttachDeps = Pick<ContainerDeps, 'events' | 'log' | 'pendingAttaches' | 'running' | 'store'>;

/**
 * The container to attach to. To be called before the connection is taken out of HTTP, so that refusals are answered.
 *
 * @throws TsdError `not_found`, `conflict` in states that cannot be attached to (moby daemon/attach.go)
 */
export function findAttachable(deps: Pick<AttachDeps, 'store'>, reference: string): ContainerRecord {
  const record = deps.store.lookup(reference);
  switch (record.status) {
    case 'paused':
      throw new TsdError('conflict', `container ${record.id} is paused, unpause the container before attach`);
    case 'restarting':
      throw new TsdError('conflict', `container ${record.id} is restarting, wait until the container is running`);
    case 'removing':
    case 'dead':
      throw new TsdError('conflict', `container ${record.id} is marked for removal and cannot be attached to`);
    default:
      return record;
  }
}

/** Hands the client to the running container's supervisor, or keeps it for the start. */
export async function attachClient(deps: AttachDeps, id: string, client: WaitingClient): Promise<void> {
  const running = deps.running.get(id);
  const record = deps.store.byId(id);
  if (record !== undefined) publishContainerEvent(deps, record, 'attach');
  if (running === undefined) {
    if (record === undefined) client.close();
    else deps.pendingAttaches.add(id, client);
    return;
  }
  await handOver(deps.log, id, running.supervisor, client);
}

/** Gives the connection to the supervisor. A client that has gone, or a process that has ended, is no failure. */
export async function handOver(log: Log, id: string, supervisor: Supervisor, client: WaitingClient): Promise<void> {
  try {
    const { request, release } = client.detach();
    try {
      await supervisor.attach(request);
    } finally {
      release();
    }
  } catch (error) {
    log.debug({ containerId: id, err: error }, 'a client could not be attached');
    client.close();
  }
}

const LETTER_KEYS = /^[a-zA-Z]$/;
/** ctrl- and one of these is the control character of the same position, ascii(7). */
const CONTROL_KEYS = '@abcdefghijklmnopqrstuvwxyz[\\]^_';

/**
 * The bytes of a detach sequence such as `ctrl-p,ctrl-q` (moby/term, ToBytes).
 *
 * @throws TsdError `bad_parameter`
 */
export function parseDetachKeys(text: string): Uint8Array {
  if (text === '') return new Uint8Array();
  const bytes = text.split(',').map((key) => {
    if (LETTER_KEYS.test(key)) return key.charCodeAt(0);
    const control = key.startsWith('ctrl-') ? CONTROL_KEYS.indexOf(key.slice('ctrl-'.length).toLowerCase()) : -1;
    if (control < 0 || key.length !== 'ctrl-'.length + 1) {
      throw new TsdError('bad_parameter', `Invalid detach keys (${text}) provided: unknown character: '${key}'`);
    }
    return control;
  });
  if (bytes.length > 16) throw new TsdError('bad_parameter', `Invalid detach keys (${text}) provided: at most 16`);
  return Uint8Array.from(bytes);
}

/** ctrl-p, ctrl-q: Docker's default, for terminals only. */
export const DEFAULT_DETACH_KEYS: Uint8Array = Uint8Array.of(16, 17);
