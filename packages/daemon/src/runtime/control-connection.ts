/** One connection to a supervisor: frames out, messages in. The rules are in packages/launcher/PROTOCOL.md, section 3. */
import { Socket } from 'node:net';
import { constants } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { SystemCallError } from '../os/libc.ts';
import { sendBytes, sendDescriptors } from '../os/send-descriptor.ts';
import {
  type AttachFrame,
  decodeLogPosition,
  encodeAttach,
  encodeRelease,
  encodeResize,
  encodeSignal,
  encodeStart,
  encodeStatus,
  type LogPosition,
  type SupervisorMessage,
  SupervisorMessageDecoder,
} from './launcher-protocol.ts';

export interface ConnectionEvents {
  /** Everything but replies. */
  readonly onMessage: (message: Exclude<SupervisorMessage, { type: 'reply' }>) => void;
  /** Once, after the last message: the supervisor closed, or the stream broke. */
  readonly onClose: (error: Error | null) => void;
}

interface PendingReply {
  readonly request: string;
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: Error) => void;
}

/** A client whose output is kept back. */
export interface HeldAttach {
  /** What the log holds up to here the client does not get from the supervisor; all the rest it does. */
  readonly position: LogPosition;
  /** Lets the output go. Rejects with SystemCallError ENOENT where the client has gone meanwhile. */
  release(): Promise<void>;
}

export interface ControlConnection {
  start(): Promise<void>;
  /** `sent`: the frame is on its way, frames that follow come after it. `done`: the supervisor has answered. */
  attach(descriptor: number, frame: Omit<AttachFrame, 'requestId'>): { sent: Promise<void>; done: Promise<void> };
  /** Attaches a client behind the log, and keeps its output back. Close the connection to give it up. */
  hold(descriptor: number, frame: Omit<AttachFrame, 'requestId' | 'behindLog'>): Promise<HeldAttach>;
  signal(signalNumber: number): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  status(): Promise<Buffer>;
  close(): void;
}

/** A request that gets no answer any more: the supervisor ends with its process. */
function supervisorGone(request: string): SystemCallError {
  return new SystemCallError(`supervisor: ${request}`, constants.errno.ESRCH);
}

/** Takes over a connected stream socket. Requests reject with SystemCallError: the supervisor's errno, or ESRCH without it. */
export function openControlConnection(descriptor: number, events: ConnectionEvents): ControlConnection {
  const socket = new Socket({ fd: descriptor, readable: true, writable: false });
  const decoder = new SupervisorMessageDecoder();
  const pending = new Map<number, PendingReply>();
  let nextRequestId = 1;
  let failure: Error | null = null;
  let closed = false;
  let lastSend: Promise<void> = Promise.resolve();

  const receive = (message: SupervisorMessage): void => {
    if (message.type !== 'reply') {
      events.onMessage(message);
      return;
    }
    const waiting = pending.get(message.requestId);
    pending.delete(message.requestId);
    if (waiting === undefined) return;
    if (message.errno === 0) waiting.resolve(message.payload);
    else waiting.reject(new SystemCallError(`supervisor: ${waiting.request}`, message.errno));
  };

  socket.on('data', (chunk: Buffer) => {
    try {
      for (const message of decoder.push(chunk)) receive(message);
    } catch (error) {
      socket.destroy(error instanceof Error ? error : new Error(String(error)));
    }
  });
  socket.on('error', (error) => {
    failure = error;
  });
  socket.on('close', () => {
    closed = true;
    for (const { request, reject } of pending.values()) {
      reject(supervisorGone(request));
    }
    pending.clear();
    events.onClose(failure);
  });

  const expectReply = (request: string, send: (requestId: number) => Promise<void>): Promise<Buffer> => {
    if (closed) return Promise.reject(supervisorGone(request));
    const requestId = nextRequestId;
    nextRequestId = (nextRequestId + 1) >>> 0;
    return new Promise<Buffer>((resolve, reject) => {
      pending.set(requestId, { request, resolve, reject });
      // A write fails where the other end is gone; what it said before still comes.
      send(requestId).catch(() => {
        pending.delete(requestId);
        reject(supervisorGone(request));
      });
    });
  };

  /**
   * One frame after the other, a descriptor with its frame's first byte. Not through Node's stream: that closes itself when a
   * write fails, and the exit report that the supervisor sent before it went would be lost unread.
   */
  const send = (frame: Buffer, attached?: number): Promise<void> => {
    const sent = lastSend.then(() => sendWhole(frame, attached));
    lastSend = sent.catch(() => undefined);
    return sent;
  };

  const sendWhole = async (frame: Buffer, attached: number | undefined): Promise<void> => {
    let pauseMs = 1;
    for (let offset = 0; offset < frame.length; ) {
      if (closed || socket.destroyed) throw supervisorGone('send');
      const rest = frame.subarray(offset);
      const taken =
        offset === 0 && attached !== undefined
          ? sendDescriptors(descriptor, [attached], rest)
          : sendBytes(descriptor, rest);
      offset += taken;
      if (taken > 0) continue;
      // A frame larger than the socket's buffer (input that came with an attach), and the supervisor has not read yet: Node
      // tells of room only to those who write through it.
      await delay(pauseMs);
      pauseMs = Math.min(pauseMs * 2, 50);
    }
  };

  const request = (name: string, encode: (requestId: number) => Buffer): Promise<Buffer> =>
    expectReply(name, (requestId) => send(encode(requestId)));

  return {
    start: () => send(encodeStart()),
    attach: (attached, frame) => {
      let sent: Promise<void> = Promise.resolve();
      const done = expectReply('attach', (requestId) => {
        sent = send(encodeAttach({ ...frame, requestId }), attached);
        return sent;
      }).then(() => undefined);
      return { sent, done };
    },
    hold: async (attached, frame) => {
      let attachId = 0;
      const payload = await expectReply('attach', (requestId) => {
        attachId = requestId;
        return send(encodeAttach({ ...frame, behindLog: true, requestId }), attached);
      });
      return {
        position: decodeLogPosition(payload),
        release: async () => {
          await request('release', (requestId) => encodeRelease({ requestId, attachId }));
        },
      };
    },
    signal: async (signal) => {
      await request('signal', (requestId) => encodeSignal({ requestId, signal, wholeGroup: false }));
    },
    resize: async (rows, columns) => {
      await request('resize', (requestId) => encodeResize({ requestId, rows, columns }));
    },
    status: () => request('status', (requestId) => encodeStatus({ requestId })),
    close: () => socket.destroy(),
  };
}
