/**
 * The daemon's side of the launcher's protocol: packages/launcher/PROTOCOL.md. Everything that passes between the two is
 * encoded and decoded by what this file exports, and checked against packages/launcher/test/golden.
 */
// biome-ignore lint/performance/noBarrelFile: the protocol is one seam with three ideas behind it
export {
  type AttachFrame,
  DESCRIPTORS_PER_MESSAGE,
  decodeLogPosition,
  decodeStatus,
  encodeAttach,
  encodePlanFrame,
  encodePrepare,
  encodeRelease,
  encodeResize,
  encodeSignal,
  encodeSlots,
  encodeStart,
  encodeStatus,
  type LogPosition,
  type SupervisorMessage,
  SupervisorMessageDecoder,
  type SupervisorStatus,
} from './control-frames.ts';
export { encodePlan, PlanEncodingError } from './encode-plan.ts';
export { decodeExitFile, decodeExitReport, EXIT_FILE_BYTES, type ExitReport, exitStatus } from './exit-report.ts';

/** Where the launcher expects its end of the control stream. */
export const CONTROL_DESCRIPTOR = 3;
