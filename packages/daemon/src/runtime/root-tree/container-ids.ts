/** From the host's ids, which the files of an upper directory carry, back to the container's own. */
import type { Xattr } from '../../os/list-xattrs.ts';

/** What a container shows of an owner that its user namespace does not know, user_namespaces(7). */
const OVERFLOW_ID = 65_534;

/** linux/capability.h: struct vfs_ns_cap_data is vfs_cap_data with the user that is root in the namespace. */
const CAP_V2_BYTES = 20;
const CAP_V3_BYTES = 24;
const CAP_REVISION_BYTE = 3;
const CAP_ROOT_OFFSET = 20;
/** linux/posix_acl_xattr.h: a header and entries of a tag, permissions and an id, which counts for these tags. */
const ACL_HEADER_BYTES = 4;
const ACL_ENTRY_BYTES = 8;
const ACL_ID_OFFSET = 4;
const ACL_TAGS_WITH_ID: ReadonlySet<number> = new Set([0x02, 0x08]);

export interface IdRange {
  /** The host's id that is 0 in the container. */
  readonly first: number;
  readonly size: number;
}

export interface ContainerIds {
  /** The container's id for one of the host's; nobody's where it has none. */
  unmap(hostId: number): number;
  /** Attributes as a process in the container would write them: ids within them are mapped too. */
  unmapXattrs(xattrs: readonly Xattr[]): readonly Xattr[];
}

/** @param range null for a container without a user namespace: its ids are the host's */
export function createContainerIds(range: IdRange | null): ContainerIds {
  if (range === null) return { unmap: (id) => id, unmapXattrs: (xattrs) => xattrs };
  const { first, size } = range;
  const unmap = (id: number): number => (id >= first && id < first + size ? id - first : OVERFLOW_ID);
  return {
    unmap,
    unmapXattrs: (xattrs) =>
      xattrs.map(({ name, value }) => {
        if (name === 'security.capability') return { name, value: unmapCapability(value, unmap) };
        if (name.startsWith('system.posix_acl_')) return { name, value: unmapAcl(value, unmap) };
        return { name, value };
      }),
  };
}

/**
 * File capabilities that a process in a user namespace sets hold for that namespace's root (revision 3). Those of the
 * container's own root become revision 2, which belongs to the root of whoever runs the image.
 */
function unmapCapability(value: Buffer, unmap: (id: number) => number): Buffer {
  if (value.length !== CAP_V3_BYTES || value[CAP_REVISION_BYTE] !== 3) return value;
  const root = unmap(value.readUInt32LE(CAP_ROOT_OFFSET));
  const unmapped = Buffer.from(root === 0 ? value.subarray(0, CAP_V2_BYTES) : value);
  if (root === 0) unmapped[CAP_REVISION_BYTE] = 2;
  else unmapped.writeUInt32LE(root, CAP_ROOT_OFFSET);
  return unmapped;
}

function unmapAcl(value: Buffer, unmap: (id: number) => number): Buffer {
  const unmapped = Buffer.from(value);
  for (let at = ACL_HEADER_BYTES; at + ACL_ENTRY_BYTES <= value.length; at += ACL_ENTRY_BYTES) {
    if (!ACL_TAGS_WITH_ID.has(value.readUInt16LE(at))) continue;
    unmapped.writeUInt32LE(unmap(value.readUInt32LE(at + ACL_ID_OFFSET)), at + ACL_ID_OFFSET);
  }
  return unmapped;
}
