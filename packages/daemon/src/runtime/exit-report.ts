/** How a container's process ended, as the supervisor tells it: packages/launcher/PROTOCOL.md, sections 3 and 6. */
import { crc32 } from 'node:zlib';

export interface ExitReport {
  readonly kind: 'exited' | 'signalled';
  /** The exit code, or the number of the signal. */
  readonly code: number;
  /** The kernel's out-of-memory killer struck in the container's cgroup during its life. */
  readonly oomKilled: boolean;
  readonly startedAtNs: bigint;
  readonly finishedAtNs: bigint;
}

export const EXIT_REPORT_BYTES = 22;
export const EXIT_FILE_BYTES = 38;
const EXIT_FILE_MAGIC = 'TSDX';
const EXIT_FILE_VERSION = 1;

/** Decodes the 22 bytes of a report. Throws RangeError where they are fewer, or the kind is unknown. */
export function decodeExitReport(bytes: Uint8Array): ExitReport {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const kind = buffer.readUInt8(0);
  if (kind > 1) throw new RangeError(`exit report of unknown kind ${kind}`);
  return {
    kind: kind === 0 ? 'exited' : 'signalled',
    code: buffer.readUInt32LE(1),
    oomKilled: buffer.readUInt8(5) === 1,
    startedAtNs: buffer.readBigUInt64LE(6),
    finishedAtNs: buffer.readBigUInt64LE(14),
  };
}

/** Decodes the contents of an exit file; null where it is incomplete or damaged (a power failure while it was written). */
export function decodeExitFile(bytes: Uint8Array): (ExitReport & { readonly pid: number }) | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length !== EXIT_FILE_BYTES || buffer.toString('latin1', 0, 4) !== EXIT_FILE_MAGIC) return null;
  if (buffer.readUInt32LE(4) !== EXIT_FILE_VERSION) return null;
  if (crc32(buffer.subarray(0, EXIT_FILE_BYTES - 4)) !== buffer.readUInt32LE(EXIT_FILE_BYTES - 4)) return null;
  return { pid: buffer.readUInt32LE(8), ...decodeExitReport(buffer.subarray(12, 12 + EXIT_REPORT_BYTES)) };
}

/** The exit status as shells and Docker give it: the code, or 128 + signal. */
export function exitStatus(report: Pick<ExitReport, 'kind' | 'code'>): number {
  return report.kind === 'exited' ? report.code : 128 + report.code;
}
