/** One connection to a supervisor: frames out, messages in. The rules are in packages/launcher/PROTOCOL.md, section 3. */
import { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { SystemCallError } from '../os/libc.ts';
import { sendDescriptor } from '../os/send-descriptor.ts';
import {
  type AttachFrame,
  encodeAttach,
  encodeResize,
  encodeSignal,
  encodeStart,
  encodeStatus,
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

export interface ControlConnection {
  start(): void;
  /** `sent`: the frame is on its way, frames that follow come after it. `done`: the supervisor has answered. */
  attach(descriptor: number, frame: Omit<AttachFrame, 'requestId'>): { sent: Promise<void>; done: Promise<void> };
  signal(signalNumber: number): Promise<void>;
  resize(rows: number, columns: number): Promise<void>;
  status(): Promise<Buffer>;
  close(): void;
}

/** Takes over a connected stream socket. */
export function openControlConnection(descriptor: number, events: ConnectionEvents): ControlConnection {
  const socket = new Socket({ fd: descriptor, readable: true, writable: true });
  const decoder = new SupervisorMessageDecoder();
  const pending = new Map<number, PendingReply>();
  let nextRequestId = 1;
  let failure: Error | null = null;
  let closed = false;

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
      reject(new Error(`supervisor: ${request}: the connection is closed`));
    }
    pending.clear();
    events.onClose(failure);
  });

  const expectReply = (request: string, send: (requestId: number) => void | Promise<void>): Promise<Buffer> => {
    if (closed) return Promise.reject(new Error(`supervisor: ${request}: the connection is closed`));
    const requestId = nextRequestId;
    nextRequestId = (nextRequestId + 1) >>> 0;
    return new Promise<Buffer>((resolve, reject) => {
      pending.set(requestId, { request, resolve, reject });
      Promise.resolve(send(requestId)).catch((error: unknown) => {
        pending.delete(requestId);
        reject(error instanceof Error ? error : new Error(String(error)));
      });
    });
  };

  /** The descriptor must travel with the frame's first byte, after everything that Node still holds back. */
  const sendWithDescriptor = async (attached: number, frame: Buffer): Promise<void> => {
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 50)) {
      if (closed) throw new Error('supervisor: attach: the connection is closed');
      if (socket.writableLength === 0) {
        const sent = sendDescriptor(descriptor, attached, frame);
        if (sent > 0) {
          if (sent < frame.length) socket.write(frame.subarray(sent));
          return;
        }
      }
      // The supervisor has not read yet; there is no event for room on a socket that Node is not writing to.
      await delay(pauseMs);
    }
  };

  return {
    start: () => {
      socket.write(encodeStart());
    },
    attach: (attached, frame) => {
      let sent: Promise<void> = Promise.resolve();
      const done = expectReply('attach', (requestId) => {
        sent = sendWithDescriptor(attached, encodeAttach({ ...frame, requestId }));
        return sent;
      }).then(() => undefined);
      return { sent, done };
    },
    signal: async (signal) => {
      await expectReply(
        'signal',
        (requestId) => void socket.write(encodeSignal({ requestId, signal, wholeGroup: false })),
      );
    },
    resize: async (rows, columns) => {
      await expectReply('resize', (requestId) => void socket.write(encodeResize({ requestId, rows, columns })));
    },
    status: () => expectReply('status', (requestId) => void socket.write(encodeStatus({ requestId }))),
    close: () => socket.destroy(),
  };
}
