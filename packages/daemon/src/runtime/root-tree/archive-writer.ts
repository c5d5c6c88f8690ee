/**
 * Writes the files of a container into a tar. They may change under our hands: a header says what a file was when it was
 * opened, and exactly that many bytes follow.
 */
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { TsdError } from '@tsd/shared/errors';
import { type DataExtent, dataExtents } from '../../os/data-extents.ts';
import { listXattrs, type Xattr } from '../../os/list-xattrs.ts';
import { readLink } from '../../os/read-link.ts';
import { allowedXattrs } from '../../storage/erofs/layer-xattrs.ts';
import { encodeMember, extentBytes, paddingBytes, type TarMember } from '../../storage/tar/encode-member.ts';
import { TAR_BLOCK_BYTES } from '../../storage/tar/tar-header.ts';
import type { SlotWriter } from './byte-slots.ts';
import type { ContainerIds } from './container-ids.ts';
import { fileKind } from './file-kind.ts';
import type { TreeEntry } from './walk-root.ts';

const PERMISSIONS = 0o7777;
/**
 * Holes that an archive has as zeros, as Docker writes all of them. Beyond that files are written as sparse ones, so that a
 * hole of some terabytes fills no disk: dockerd loads and runs such a layer, but cannot save or push it again (its tar-split
 * loses the map).
 */
const MAX_ZEROED_BYTES = 1024 ** 3;
/** Smaller files are not asked for holes. */
const SPARSE_FROM_BYTES = 1024 * 1024;
/** A map of so many pieces is well below what readers accept for one (1 MiB). */
const MAX_EXTENTS = 16_384;
/** Attributes that say that a file's content, or a directory's, is elsewhere: the overlay's options forbid both. */
const REDIRECTS: ReadonlySet<string> = new Set(['trusted.overlay.metacopy', 'trusted.overlay.redirect']);

export class ArchiveWriter {
  private readonly output: SlotWriter;
  /** Where the first name of a file with several is. */
  private readonly linked = new Map<string, string>();
  private zeroedBytes = 0;

  constructor(output: SlotWriter) {
    this.output = output;
  }

  /**
   * Adds what the entry is, content included; a socket is left out, as in Docker.
   * @param ids of the tree that it is in
   */
  add(entry: TreeEntry, ids: ContainerIds): void {
    const { path, handle, status, root } = entry;
    const kind = fileKind(status);
    if (kind === 'socket') return;
    const member: TarMember = {
      type: kind,
      path,
      linkPath: kind === 'symlink' ? readLink(handle).toString('latin1') : '',
      mode: status.mode & PERMISSIONS,
      uid: ids.unmap(status.uid),
      gid: ids.unmap(status.gid),
      mtimeSeconds: status.mtimeSeconds,
      mtimeNanoseconds: status.mtimeNanoseconds,
      deviceMajor: status.deviceMajor,
      deviceMinor: status.deviceMinor,
      sizeBytes: 0,
      xattrs: [],
      extents: null,
    };
    if (kind !== 'directory' && status.links > 1) {
      const key = `${root}:${status.inode}`;
      const first = this.linked.get(key);
      if (first !== undefined) {
        this.output.write(encodeMember({ ...member, type: 'hardlink', linkPath: first }));
        return;
      }
      this.linked.set(key, path);
    }
    const xattrs = ids.unmapXattrs(containerXattrs(entry));
    if (kind === 'file') this.addFile({ ...member, sizeBytes: status.sizeBytes, xattrs }, handle);
    else this.output.write(encodeMember({ ...member, xattrs }));
  }

  /** Hides a name of the layers below (OCI image-spec, "Whiteouts"). */
  addWhiteout(path: string, { status }: TreeEntry, ids: ContainerIds): void {
    const { mtimeSeconds, mtimeNanoseconds } = status;
    const [uid, gid] = [ids.unmap(status.uid), ids.unmap(status.gid)];
    const empty = { type: 'file', linkPath: '', mode: 0o600, deviceMajor: 0, deviceMinor: 0, sizeBytes: 0 } as const;
    this.output.write(
      encodeMember({ ...empty, path, uid, gid, mtimeSeconds, mtimeNanoseconds, xattrs: [], extents: null }),
    );
  }

  /** The archive's end mark. */
  end(): void {
    this.output.zeros(2 * TAR_BLOCK_BYTES);
    this.output.flush();
  }

  private addFile(member: TarMember, handle: number): void {
    // Only now: to open a device or a pipe could have effects or wait. The descriptor stays the same file, whatever is
    // renamed to its name meanwhile.
    const fd = openSync(`/proc/self/fd/${handle}`, constants.O_RDONLY);
    try {
      const extents = this.sparseExtents(fd, member.sizeBytes);
      const pieces = extents ?? [{ offset: 0, length: member.sizeBytes }];
      this.output.write(encodeMember({ ...member, extents }));
      for (const piece of pieces) this.copy(fd, piece);
      this.output.zeros(paddingBytes(extentBytes(pieces)));
    } finally {
      closeSync(fd);
    }
  }

  /** Null for a file that is written as a whole. */
  private sparseExtents(fd: number, sizeBytes: number): readonly DataExtent[] | null {
    if (sizeBytes < SPARSE_FROM_BYTES) return null;
    const extents = dataExtents(fd, sizeBytes, MAX_EXTENTS);
    const holeBytes = sizeBytes - extentBytes(extents);
    if (this.zeroedBytes + holeBytes > MAX_ZEROED_BYTES) return extents;
    this.zeroedBytes += holeBytes;
    return null;
  }

  /** Exactly the piece; zeros stand for what was cut off meanwhile. */
  private copy(fd: number, { offset, length }: DataExtent): void {
    for (let done = 0; done < length; ) {
      const room = this.output.reserve(length - done);
      const bytes = readSync(fd, room, 0, room.length, offset + done);
      if (bytes === 0) {
        this.output.zeros(length - done);
        return;
      }
      this.output.commit(bytes);
      done += bytes;
    }
  }
}

/** Those that a layer may hold. @throws TsdError internal: the file's content is somewhere else */
export function containerXattrs({ path, handle, status }: TreeEntry): readonly Xattr[] {
  const xattrs = listXattrs(handle);
  if (xattrs.length === 0) return xattrs;
  const redirect = xattrs.find(({ name }) => REDIRECTS.has(name));
  if (redirect !== undefined) {
    throw new TsdError('internal', `/${path} in the container cannot be archived: it is marked ${redirect.name}`);
  }
  // A PAX record ends its key at the first '='.
  return allowedXattrs(xattrs, status.mode, path).filter(({ name }) => !name.includes('='));
}
