/** Passes descriptors over a Unix socket, sendmsg(2) with SCM_RIGHTS (unix(7)). */
import koffi from 'koffi';
import { errnoName, libc, SystemCallError } from './libc.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
/** struct cmsghdr on 64-bit machines; what follows is padded to its alignment (CMSG_LEN, CMSG_SPACE). */
const CONTROL_HEADER_BYTES = 16;
const CONTROL_ALIGNMENT = 8;

const vector = koffi.struct({ base: 'void *', length: 'size_t' });
const messageHeader = koffi.struct({
  name: 'void *',
  nameLength: 'uint32_t',
  vectors: koffi.pointer(vector),
  vectorCount: 'size_t',
  control: 'void *',
  controlLength: 'size_t',
  flags: 'int',
});
const sendmsg = libc.func('sendmsg', 'long', ['int', koffi.pointer(messageHeader), 'int']);

/** sendmsg(2) without waiting. Returns the number of bytes taken, 0 where the socket's buffer is full. */
function send(socket: number, bytes: Uint8Array, control: Buffer | null): number {
  const header = {
    name: null,
    nameLength: 0,
    vectors: [{ base: bytes, length: bytes.length }],
    vectorCount: 1,
    control,
    controlLength: control?.length ?? 0,
    flags: 0,
  };
  const sent: number = sendmsg(socket, header, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) return sent;
  const errno = koffi.errno();
  if (errnoName(errno) === 'EAGAIN') return 0;
  throw new SystemCallError('sendmsg', errno);
}

/**
 * Sends bytes with descriptors (at most 253, SCM_MAX_FD) on the first of them, without waiting. Returns how many bytes were
 * taken; the descriptors went along if that is not 0. Returns 0 where the socket's buffer is full.
 * @throws SystemCallError where the peer is gone.
 */
export function sendDescriptors(socket: number, descriptors: readonly number[], bytes: Uint8Array): number {
  if (bytes.length === 0) throw new RangeError('descriptors need at least one byte to travel with');
  const length = CONTROL_HEADER_BYTES + 4 * descriptors.length;
  const control = Buffer.alloc(Math.ceil(length / CONTROL_ALIGNMENT) * CONTROL_ALIGNMENT);
  control.writeBigUInt64LE(BigInt(length), 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  for (const [i, descriptor] of descriptors.entries()) control.writeInt32LE(descriptor, CONTROL_HEADER_BYTES + 4 * i);
  return send(socket, bytes, control);
}

/** Sends bytes without waiting. Returns how many were taken, 0 where the socket's buffer is full. Throws as above. */
export function sendBytes(socket: number, bytes: Uint8Array): number {
  return send(socket, bytes, null);
}
