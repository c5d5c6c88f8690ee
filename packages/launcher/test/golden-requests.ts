/** One stream of control frames with every request in it, and how the launcher's test describes each. */
import {
  encodeAttach,
  encodePlanFrame,
  encodePrepare,
  encodeRelease,
  encodeResize,
  encodeSignal,
  encodeSlots,
  encodeStart,
  encodeStatus,
} from '../../daemon/src/runtime/launcher-protocol.ts';

export const GOLDEN_REQUESTS: readonly (readonly [frame: Buffer, text: string])[] = [
  [encodePrepare(['user', 'pid', 'ipc', 'uts', 'net']), 'prepare 122'],
  [encodeSlots(0, 253), 'slots 0 253'],
  [encodeSlots(1023, 1), 'slots 1023 1'],
  [encodePlanFrame(), 'plan'],
  [
    encodeAttach({
      requestId: 1,
      stdin: true,
      stdout: true,
      stderr: false,
      detachKeys: Buffer.from([16, 17]),
      initialInput: Buffer.from('hello\n'),
    }),
    'attach 1 stdin,stdout keys=1011 input=68656c6c6f0a',
  ],
  [
    encodeAttach({
      requestId: 0xffff_ffff,
      stdin: false,
      stdout: false,
      stderr: true,
      detachKeys: Buffer.alloc(0),
      initialInput: Buffer.alloc(0),
    }),
    'attach 4294967295 stderr keys= input=',
  ],
  [
    encodeAttach({
      requestId: 6,
      stdin: true,
      stdout: true,
      stderr: true,
      behindLog: true,
      detachKeys: Buffer.alloc(0),
      initialInput: Buffer.alloc(0),
    }),
    'attach 6 stdin,stdout,stderr,behind-log keys= input=',
  ],
  [encodeStart(), 'start'],
  [encodeSignal({ requestId: 2, signal: 15, wholeGroup: false }), 'signal 2 15 process'],
  [encodeSignal({ requestId: 3, signal: 64, wholeGroup: true }), 'signal 3 64 group'],
  [encodeResize({ requestId: 4, rows: 24, columns: 65_535 }), 'resize 4 24 65535'],
  [encodeStatus({ requestId: 5 }), 'status 5'],
  [encodeRelease({ requestId: 7, attachId: 6 }), 'release 7 6'],
];
