/**
 * Docker's multiplexed stream (API description, ContainerAttach "Stream format"): frames of an 8-byte header
 * `[stream, 0, 0, 0, length as big-endian u32]` and the payload.
 */
import { TsdError } from './errors.ts';

export const STREAM_STDIN = 0;
export const STREAM_STDOUT = 1;
export const STREAM_STDERR = 2;
/** An error of the daemon in the middle of a stream (moby pkg/stdcopy, Systemerr). */
export const STREAM_SYSTEM_ERROR = 3;

const HEADER_BYTES = 8;

export type StreamId = 0 | 1 | 2 | 3;

export interface StreamFrame {
  readonly stream: StreamId;
  readonly payload: Uint8Array;
}

/** The 8-byte header of a frame with `payloadBytes` bytes. */
export function encodeFrameHeader(stream: StreamId, payloadBytes: number): Uint8Array {
  const header = new Uint8Array(HEADER_BYTES);
  header[0] = stream;
  new DataView(header.buffer).setUint32(4, payloadBytes);
  return header;
}

/** One whole frame. */
export function encodeFrame(stream: StreamId, payload: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  frame[0] = stream;
  new DataView(frame.buffer).setUint32(4, payload.length);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

export interface FrameDecoder {
  /** Calls `onPayload` for every piece of payload in the chunk; the pieces are views of the chunk, not whole frames. */
  push(chunk: Uint8Array, onPayload: (stream: StreamId, payload: Uint8Array) => void): void;
  /** Throws internal if the stream ended inside a frame. */
  end(): void;
}

/**
 * Decodes a stream that arrives in any pieces without buffering payloads. Throws internal for a stream number that
 * Docker does not have (the stream is then not multiplexed: a tty).
 */
export function createFrameDecoder(): FrameDecoder {
  const header = new Uint8Array(HEADER_BYTES);
  const view = new DataView(header.buffer);
  let headerBytes = 0;
  let payloadBytes = 0;
  return {
    push(chunk, onPayload) {
      let position = 0;
      while (position < chunk.length) {
        if (payloadBytes === 0) {
          const take = Math.min(HEADER_BYTES - headerBytes, chunk.length - position);
          header.set(chunk.subarray(position, position + take), headerBytes);
          headerBytes += take;
          position += take;
          if (headerBytes < HEADER_BYTES) return;
          if ((header[0] ?? 0) > STREAM_SYSTEM_ERROR) {
            throw new TsdError('internal', `unrecognized stream: ${header[0]}`);
          }
          payloadBytes = view.getUint32(4);
          if (payloadBytes === 0) headerBytes = 0;
          continue;
        }
        const take = Math.min(payloadBytes, chunk.length - position);
        onPayload(header[0] as StreamId, chunk.subarray(position, position + take));
        position += take;
        payloadBytes -= take;
        if (payloadBytes === 0) headerBytes = 0;
      }
    },
    end() {
      if (headerBytes !== 0) throw new TsdError('internal', 'the stream ended in the middle of a frame');
    },
  };
}
