/** The frames between daemon and supervisor: packages/launcher/PROTOCOL.md, section 3. */
import { writeNamespaces } from './encode-plan.ts';
import { decodeExitReport, EXIT_REPORT_BYTES, type ExitReport } from './exit-report.ts';
import type { Namespace, Slot } from './launch-plan.ts';
import { WireWriter } from './wire-writer.ts';

const FRAME_LIMIT_BYTES = 1024 * 1024;
const NO_STEP = 0xffff_ffff;

const REQUEST = {
  start: 0x01,
  attach: 0x02,
  signal: 0x03,
  resize: 0x04,
  status: 0x05,
  prepare: 0x06,
  slots: 0x07,
  plan: 0x08,
  release: 0x09,
} as const;
const MESSAGE = { reply: 0x81, warning: 0x82, started: 0x83, failed: 0x84, exited: 0x85 } as const;

export interface AttachFrame {
  readonly requestId: number;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /**
   * The reply is the log's position (decodeLogPosition), and all output behind it is kept until RELEASE. Not before the process
   * runs. The client is disconnected if the connection ends before.
   */
  readonly behindLog?: boolean;
  /** At most 16 bytes; empty for none. */
  readonly detachKeys: Uint8Array;
  /** Input that came with the request, before the client's socket was handed over. */
  readonly initialInput: Uint8Array;
}

export type SupervisorMessage =
  /** `payload` is what follows the errno: the status for STATUS (decodeStatus), the position for an ATTACH behind the log. */
  | { readonly type: 'reply'; readonly requestId: number; readonly errno: number; readonly payload: Buffer }
  | { readonly type: 'warning'; readonly step: number | null; readonly errno: number; readonly detail: string }
  | { readonly type: 'started'; readonly pid: number; readonly startedAtNs: bigint }
  | { readonly type: 'failed'; readonly step: number | null; readonly errno: number; readonly detail: string }
  | { readonly type: 'exited'; readonly report: ExitReport };

export interface SupervisorStatus {
  readonly state: 'starting' | 'running' | 'exited';
  readonly pid: number;
  readonly startedAtNs: bigint;
  readonly exit: ExitReport | null;
}

/** SCM_MAX_FD, unix(7): so many descriptors go with one message, and so many slots with one SLOTS frame. */
export const DESCRIPTORS_PER_MESSAGE = 253;

/** Makes the process ahead, for a plan whose `clone` step has these namespaces and no cgroup. Sent first, if at all. */
export function encodePrepare(namespaces: readonly Namespace[]): Buffer {
  return frame(REQUEST.prepare, (writer) => writeNamespaces(writer, namespaces));
}

/** Fills consecutive slots with the descriptors that go with the first byte (SCM_RIGHTS). */
export function encodeSlots(first: Slot, count: number): Buffer {
  if (count < 1 || count > DESCRIPTORS_PER_MESSAGE) throw new RangeError(`${count} descriptors in one message`);
  return frame(REQUEST.slots, (writer) => writer.u32(first).u32(count));
}

/** The plan, a file whose descriptor goes with the first byte. Sent once, before START and all ATTACHs. */
export function encodePlanFrame(): Buffer {
  return frame(REQUEST.plan, () => undefined);
}

/** Executes the plan. Sent once, on the inherited stream. */
export function encodeStart(): Buffer {
  return frame(REQUEST.start, () => undefined);
}

/** Attaches the client whose socket goes with the first byte (SCM_RIGHTS). */
export function encodeAttach(request: AttachFrame): Buffer {
  const { stdin, stdout, stderr, behindLog = false } = request;
  const flags = Number(stdin) | (Number(stdout) << 1) | (Number(stderr) << 2) | (Number(behindLog) << 3);
  return frame(REQUEST.attach, (writer) =>
    writer.u32(request.requestId).u8(flags).bytes(request.detachKeys).bytes(request.initialInput),
  );
}

/** Sends a signal to the process, or with `wholeGroup` to its process group. */
export function encodeSignal(request: { requestId: number; signal: number; wholeGroup: boolean }): Buffer {
  return frame(REQUEST.signal, (writer) =>
    writer.u32(request.requestId).u32(request.signal).u8(Number(request.wholeGroup)),
  );
}

/** Sets the terminal's size in characters. */
export function encodeResize(request: { requestId: number; rows: number; columns: number }): Buffer {
  return frame(REQUEST.resize, (writer) => writer.u32(request.requestId).u16(request.rows).u16(request.columns));
}

/** Asks for the status, which comes as the payload of the reply. */
export function encodeStatus(request: { requestId: number }): Buffer {
  return frame(REQUEST.status, (writer) => writer.u32(request.requestId));
}

/** Sends what was kept for a client that attached behind the log, on this connection, and goes on with it. */
export function encodeRelease(request: { requestId: number; attachId: number }): Buffer {
  return frame(REQUEST.release, (writer) => writer.u32(request.requestId).u32(request.attachId));
}

/** How far a container's log is written. */
export interface LogPosition {
  /** Of the newest file: how many were made before it. */
  readonly sequence: number;
  /** Where that file ends, behind a record. */
  readonly offset: number;
}

/** Decodes the payload of the reply to an ATTACH behind the log. Throws RangeError where it is malformed. */
export function decodeLogPosition(payload: Buffer): LogPosition {
  return { sequence: Number(payload.readBigUInt64LE(0)), offset: Number(payload.readBigUInt64LE(8)) };
}

/** Decodes the payload of the reply to STATUS. Throws RangeError where it is malformed. */
export function decodeStatus(payload: Buffer): SupervisorStatus {
  const state = (['starting', 'running', 'exited'] as const)[payload.readUInt8(0)];
  if (state === undefined) throw new RangeError(`supervisor status with unknown state ${payload.readUInt8(0)}`);
  return {
    state,
    pid: payload.readUInt32LE(1),
    startedAtNs: payload.readBigUInt64LE(5),
    exit: state === 'exited' ? decodeExitReport(payload.subarray(13, 13 + EXIT_REPORT_BYTES)) : null,
  };
}

/**
 * Takes the supervisor's messages out of a byte stream, however it is cut. `push` returns the messages that are complete
 * now; it throws RangeError on a stream that is no control stream, which then must be closed.
 */
export class SupervisorMessageDecoder {
  #pending: Buffer = Buffer.alloc(0);

  push(chunk: Uint8Array): SupervisorMessage[] {
    this.#pending = this.#pending.length === 0 ? Buffer.from(chunk) : Buffer.concat([this.#pending, chunk]);
    const messages: SupervisorMessage[] = [];
    let offset = 0;
    while (this.#pending.length - offset >= 4) {
      const length = this.#pending.readUInt32LE(offset);
      if (length < 1 || length > FRAME_LIMIT_BYTES) throw new RangeError(`supervisor frame of ${length} bytes`);
      if (this.#pending.length - offset < 4 + length) break;
      messages.push(decodeMessage(this.#pending.subarray(offset + 4, offset + 4 + length)));
      offset += 4 + length;
    }
    this.#pending = Buffer.from(this.#pending.subarray(offset));
    return messages;
  }
}

function decodeMessage(body: Buffer): SupervisorMessage {
  const type = body.readUInt8(0);
  switch (type) {
    case MESSAGE.reply: {
      const payload = Buffer.from(body.subarray(9));
      return { type: 'reply', requestId: body.readUInt32LE(1), errno: body.readUInt32LE(5), payload };
    }
    case MESSAGE.warning:
      return { type: 'warning', ...decodeFailure(body) };
    case MESSAGE.started:
      return { type: 'started', pid: body.readUInt32LE(1), startedAtNs: body.readBigUInt64LE(5) };
    case MESSAGE.failed:
      return { type: 'failed', ...decodeFailure(body) };
    case MESSAGE.exited:
      return { type: 'exited', report: decodeExitReport(body.subarray(1)) };
    default:
      throw new RangeError(`supervisor frame of unknown type 0x${type.toString(16)}`);
  }
}

function decodeFailure(body: Buffer): { step: number | null; errno: number; detail: string } {
  const step = body.readUInt32LE(1);
  const length = body.readUInt32LE(9);
  if (body.length !== 13 + length) throw new RangeError('supervisor frame with a wrong detail length');
  return {
    step: step === NO_STEP ? null : step,
    errno: body.readUInt32LE(5),
    detail: body.toString('utf8', 13),
  };
}

function frame(type: number, write: (writer: WireWriter) => unknown): Buffer {
  const writer = new WireWriter().u32(0).u8(type);
  write(writer);
  if (writer.length - 4 > FRAME_LIMIT_BYTES) throw new RangeError(`control frame of ${writer.length - 4} bytes`);
  return writer.patchU32(0, writer.length - 4).finish();
}
