/**
 * A layer as a tree of inodes, built from tar members the way that Docker applies a layer: the last member of a name wins,
 * directories merge, names are taken lexically beneath the layer's root, whiteouts become what overlayfs understands.
 * Nothing here touches the host's file system: a symlink in a path is followed inside the tree only.
 */
import type { ByteString, TarEntry } from '../tar/tar-entry.ts';
import { shownName, tarError } from '../tar/tar-error.ts';
import { isWhiteout, LayerInode, newInode, S_IFCHR, S_IFDIR, S_IFLNK, S_IFMT } from './layer-inode.ts';
import {
  cleanComponents,
  isIgnoredMeta,
  OPAQUE_MARKER,
  trimSlashes,
  WHITEOUT_META_PREFIX,
  WHITEOUT_PREFIX,
} from './layer-path.ts';
import { allowedXattrs, OPAQUE_XATTR } from './layer-xattrs.ts';

const MAX_NAME_BYTES = 255;
/** As the kernel's limit on one path lookup, path_resolution(7). */
const MAX_SYMLINK_HOPS = 40;
export interface LayerTreeLimits {
  /** Inodes and names, missing parents included. */
  readonly maxNodes: number;
  /** Names, link targets and extended attributes together: bounds memory and the image's size. */
  readonly maxMetadataBytes: number;
  /** Path components looked up, symlinks' targets included: bounds the time. Real layers need a few for each member. */
  readonly maxLookups: number;
}

export const DEFAULT_LAYER_TREE_LIMITS: LayerTreeLimits = {
  maxNodes: 2_500_000,
  maxMetadataBytes: 1024 ** 3,
  maxLookups: 200_000_000,
};

export class LayerTree {
  readonly root = new LayerInode(S_IFDIR | 0o755, 0, 0, 0, 0);
  private readonly limits: LayerTreeLimits;
  private nodes = 1;
  private metadataBytes = 0;
  private lookups = 0;
  /** Archives list a directory's members one after another: remember where the last one went. */
  private lastParentPath: ByteString | null = null;
  private lastParent: LayerInode = this.root;

  constructor(limits: LayerTreeLimits = DEFAULT_LAYER_TREE_LIMITS) {
    this.limits = limits;
  }

  /** Names in the tree, the root included: at least as many as there are inodes. */
  get nodeCount(): number {
    return this.nodes;
  }

  /** @throws TsdError bad_parameter: the member cannot be part of a layer, or a limit is exceeded. */
  add(entry: TarEntry): void {
    const path = entry.path.endsWith('/') ? trimSlashes(entry.path) : entry.path;
    const slash = path.lastIndexOf('/');
    const name = path.slice(slash + 1);
    if (name === '' || name === '.' || name === '..') {
      this.addAtCleanedPath(entry);
      return;
    }
    // Metadata of aufs, of no meaning here; the one exception is the opaque marker.
    if (entry.path.includes(WHITEOUT_META_PREFIX) && isIgnoredMeta(path)) return;
    const parentPath = slash < 0 ? '' : path.slice(0, slash);
    let parent = this.lastParent;
    if (parentPath !== this.lastParentPath) {
      parent = this.directoryAt(cleanComponents(parentPath, entry.path), entry);
      this.lastParentPath = parentPath;
      this.lastParent = parent;
    }
    this.addChild(parent, name, entry);
  }

  /** The rare path that ends in `.` or `..`, or names the root. */
  private addAtCleanedPath(entry: TarEntry): void {
    const components = cleanComponents(entry.path, entry.path);
    const name = components.pop();
    this.lastParentPath = null;
    if (name !== undefined) this.addChild(this.directoryAt(components, entry), name, entry);
    else if (entry.type === 'directory') this.describe(this.root, entry);
    else throw tarError(`the root of the layer is not a directory: ${shownName(entry.path)}`);
  }

  private addChild(parent: LayerInode, name: ByteString, entry: TarEntry): void {
    if (name.length > MAX_NAME_BYTES)
      throw tarError(`a name is longer than ${MAX_NAME_BYTES} bytes: ${shownName(entry.path)}`);
    if (name.includes('\0')) throw tarError(`a name holds a NUL byte: ${shownName(entry.path)}`);
    if (name === OPAQUE_MARKER) this.makeOpaque(parent);
    else if (name.startsWith(WHITEOUT_PREFIX)) this.addWhiteout(parent, name.slice(WHITEOUT_PREFIX.length), entry);
    else if (entry.type === 'hardlink') this.addHardLink(parent, name, entry);
    else this.addInode(parent, name, entry);
  }

  private addInode(parent: LayerInode, name: ByteString, entry: TarEntry): void {
    const existing = parent.children?.get(name);
    if (entry.type === 'directory' && existing?.children) {
      this.describe(existing, entry);
      return;
    }
    const inode = newInode(entry);
    this.describe(inode, entry);
    // A layer that deletes a lower name and makes it anew as a directory: nothing of the lower one shows through.
    if (inode.children !== null && existing !== undefined && isWhiteout(existing)) this.makeOpaque(inode);
    this.put(parent, name, inode, existing);
  }

  /** Gives the inode what the member says, content apart. */
  private describe(inode: LayerInode, entry: TarEntry): void {
    const type = inode.mode & S_IFMT;
    // A symlink's permissions are always these on Linux, whatever an archive says.
    inode.mode = type | (type === S_IFLNK ? 0o777 : entry.mode);
    inode.uid = entry.uid;
    inode.gid = entry.gid;
    inode.mtimeSeconds = entry.mtimeSeconds;
    inode.mtimeNanoseconds = entry.mtimeNanoseconds;
    const opaque = inode.xattrs.includes(OPAQUE_XATTR);
    if (entry.xattrs.length === 0 && inode.xattrs.length === 0) return;
    inode.xattrs = allowedXattrs(entry.xattrs, inode.mode, entry.path);
    if (opaque) this.makeOpaque(inode);
    for (const { name, value } of inode.xattrs) this.count(name.length + value.length);
  }

  private put(parent: LayerInode, name: ByteString, inode: LayerInode, existing: LayerInode | undefined): void {
    if (existing === undefined) {
      this.nodes++;
      if (this.nodes > this.limits.maxNodes) throw tarError(`more than ${this.limits.maxNodes} files and directories`);
      this.count(name.length + inode.target.length);
    } else {
      this.count(inode.target.length);
      // The directory remembered may be within what is replaced, or lie behind a symlink that is.
      this.lastParentPath = null;
    }
    (parent.children as Map<ByteString, LayerInode>).set(name, inode);
  }

  private count(bytes: number): void {
    this.metadataBytes += bytes;
    if (this.metadataBytes > this.limits.maxMetadataBytes)
      throw tarError(`names and attributes exceed ${this.limits.maxMetadataBytes} bytes`);
  }

  private addHardLink(parent: LayerInode, name: ByteString, entry: TarEntry): void {
    const target = this.find(cleanComponents(entry.linkPath, entry.linkPath), entry);
    if (target === undefined || isWhiteout(target)) {
      throw tarError(
        `the hard link ${shownName(entry.path)} points to ${shownName(entry.linkPath)}, which is not in this layer`,
      );
    }
    if (target.children !== null)
      throw tarError(`the hard link ${shownName(entry.path)} points to a directory, ${shownName(entry.linkPath)}`);
    const existing = parent.children?.get(name);
    if (target === existing) return;
    this.put(parent, name, target, existing);
  }

  /** Hides a name of the layers below. What this layer itself holds under that name stays (OCI image layers, Whiteouts). */
  private addWhiteout(parent: LayerInode, name: ByteString, entry: TarEntry): void {
    if (name === '' || name === '.' || name === '..')
      throw tarError(`the whiteout ${shownName(entry.path)} names no file`);
    const existing = parent.children?.get(name);
    if (existing === undefined) {
      this.put(parent, name, new LayerInode(S_IFCHR, 0, 0, entry.mtimeSeconds, entry.mtimeNanoseconds), undefined);
    } else if (existing.children !== null) {
      this.makeOpaque(existing);
    }
  }

  private makeOpaque(directory: LayerInode): void {
    if (!directory.xattrs.includes(OPAQUE_XATTR)) directory.xattrs = [...directory.xattrs, OPAQUE_XATTR];
  }

  /** The directory at a path; parents that no member listed (yet) are made, root's with mode 0755. */
  private directoryAt(components: readonly ByteString[], entry: TarEntry): LayerInode {
    return this.walk(components, entry, true) as LayerInode;
  }

  /** The inode at a path, its last component not followed; undefined where there is none. */
  private find(components: readonly ByteString[], entry: TarEntry): LayerInode | undefined {
    const name = components.at(-1);
    if (name === undefined) return this.root;
    return this.walk(components.slice(0, -1), entry, false)?.children?.get(name);
  }

  private walk(components: readonly ByteString[], entry: TarEntry, create: boolean): LayerInode | undefined {
    const trail: LayerInode[] = [this.root];
    const pending = components.toReversed();
    let hops = 0;
    for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
      if (++this.lookups > this.limits.maxLookups) throw tarError('its paths and symbolic links are too tangled');
      if (name === '' || name === '.') continue;
      if (name === '..') {
        if (trail.length > 1) trail.pop();
        continue;
      }
      const directory = trail.at(-1) as LayerInode;
      const child = directory.children?.get(name);
      if (child?.children) {
        trail.push(child);
      } else if (child !== undefined && (child.mode & S_IFMT) === S_IFLNK) {
        if (++hops > MAX_SYMLINK_HOPS) throw tarError(`too many symbolic links in ${shownName(entry.path)}`);
        if (child.target.startsWith('/')) trail.length = 1;
        pending.push(...child.target.split('/').reverse());
      } else if (!create) {
        return undefined;
      } else if (child === undefined || isWhiteout(child)) {
        trail.push(this.addMissingParent(directory, name, child, entry));
      } else {
        throw tarError(`a parent of ${shownName(entry.path)} is not a directory`);
      }
    }
    return trail.at(-1);
  }

  private addMissingParent(
    parent: LayerInode,
    name: ByteString,
    existing: LayerInode | undefined,
    entry: TarEntry,
  ): LayerInode {
    if (name.length > MAX_NAME_BYTES)
      throw tarError(`a name is longer than ${MAX_NAME_BYTES} bytes: ${shownName(entry.path)}`);
    if (name.includes('\0')) throw tarError(`a name holds a NUL byte: ${shownName(entry.path)}`);
    const directory = new LayerInode(S_IFDIR | 0o755, 0, 0, entry.mtimeSeconds, entry.mtimeNanoseconds);
    if (existing !== undefined) this.makeOpaque(directory);
    this.put(parent, name, directory, existing);
    return directory;
  }
}
