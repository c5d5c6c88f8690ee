/** A small reader of EROFS images, written from the format's description and independent of the writer. */

export interface ReadInode {
  readonly number: number;
  readonly mode: number;
  readonly size: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeSeconds: number;
  readonly mtimeNanoseconds: number;
  readonly links: number;
  readonly device: number;
  readonly layout: number;
  readonly xattrs: Record<string, string>;
  /** Files: content; symlinks: target. */
  readonly data: Buffer;
  readonly children: Map<string, ReadInode>;
}

const PREFIXES: Record<number, string> = {
  1: 'user.',
  2: 'system.posix_acl_access',
  3: 'system.posix_acl_default',
  4: 'trusted.',
  6: 'security.',
};

/** Reads the whole tree, checking what the kernel relies on: order of names, one inode for one number, bounds. */
export function readErofs(image: Buffer, devices: readonly Buffer[]): ReadInode {
  if (image.readUInt32LE(1024) !== 0xe0f5e1e2) throw new Error('magic');
  const blockBytes = 1 << (image[1036] as number);
  const imageBytes = image.readUInt32LE(1060) * blockBytes;
  if (image.length < imageBytes || image.length >= imageBytes + 4096)
    throw new Error('size is not the number of blocks');
  if (image.subarray(imageBytes).some((byte) => byte !== 0)) throw new Error('the last page is not filled with zeros');
  if (image.readUInt32LE(1064) !== 0) throw new Error('metadata block');
  const seen = new Map<number, ReadInode>();
  /** Directories to be read: not by recursion, for trees can be deep. */
  const pending: { directory: ReadInode; parent: number }[] = [];

  const content = (at: number, size: number, layout: number, bodyEnd: number): Buffer => {
    const union = image.readUInt32LE(at + 16);
    if (layout === 4) {
      const chunkBytes = blockBytes * 2 ** (union & 0x1f);
      if ((union & ~0x1f) !== 0x20) throw new Error('chunk format');
      const first = Math.ceil(bodyEnd / 8) * 8;
      const result = Buffer.alloc(size);
      for (let i = 0; i * chunkBytes < size; i++) {
        const device = image.readUInt16LE(first + i * 8 + 2);
        const block = image.readUInt32LE(first + i * 8 + 4);
        if (block === 0xffffffff) continue;
        const source = device === 0 ? image : (devices[device - 1] as Buffer);
        const length = Math.min(chunkBytes, size - i * chunkBytes);
        if (block * blockBytes + length > source.length) throw new Error('chunk beyond its device');
        source.copy(result, i * chunkBytes, block * blockBytes, block * blockBytes + length);
      }
      return result;
    }
    const whole = layout === 2 ? Math.floor(size / blockBytes) * blockBytes : size;
    const tail = size - whole;
    if (tail > 0 && Math.floor(at / blockBytes) !== Math.floor((bodyEnd + tail - 1) / blockBytes))
      throw new Error('inline data crosses a block');
    return Buffer.concat([
      image.subarray(union * blockBytes, union * blockBytes + whole),
      image.subarray(bodyEnd, bodyEnd + tail),
    ]);
  };

  const xattrs = (at: number, count: number): Record<string, string> => {
    const found: Record<string, string> = {};
    if (count === 0) return found;
    const end = at + 12 + (count - 1) * 4;
    for (let entry = at + 12; entry < end; ) {
      const nameLength = image[entry] as number;
      const valueLength = image.readUInt16LE(entry + 2);
      const name = image.toString('latin1', entry + 4, entry + 4 + nameLength);
      const value = image.toString('latin1', entry + 4 + nameLength, entry + 4 + nameLength + valueLength);
      found[`${PREFIXES[image[entry + 1] as number]}${name}`] = value;
      entry += Math.ceil((4 + nameLength + valueLength) / 4) * 4;
    }
    return found;
  };

  const children = (data: Buffer, self: number, parent: number): Map<string, ReadInode> => {
    const found = new Map<string, ReadInode>();
    let last = '';
    const dots: number[] = [];
    for (let block = 0; block < data.length; block += blockBytes) {
      const used = data.subarray(block, block + blockBytes);
      const count = used.readUInt16LE(8) / 12;
      for (let i = 0; i < count; i++) {
        const start = used.readUInt16LE(i * 12 + 8);
        const end = i + 1 < count ? used.readUInt16LE((i + 1) * 12 + 8) : used.length;
        const name = used.toString('latin1', start, end).replace(/\0+$/, '');
        if (name <= last) throw new Error(`names out of order: ${last} ${name}`);
        last = name;
        const number = Number(used.readBigUInt64LE(i * 12));
        if (name === '.' || name === '..') {
          dots.push(number);
          continue;
        }
        const child = inode(number, self);
        const types: Record<number, number> = { 8: 1, 4: 2, 2: 3, 6: 4, 1: 5, 10: 7 };
        if (types[child.mode >> 12] !== used[i * 12 + 10]) throw new Error(`file type of ${name}`);
        found.set(name, child);
      }
    }
    if (dots.length !== 2 || dots[0] !== self || dots[1] !== parent) throw new Error('. and ..');
    return found;
  };

  const inode = (number: number, parent: number): ReadInode => {
    const known = seen.get(number);
    if (known !== undefined) return known;
    const at = number * 32;
    const format = image.readUInt16LE(at);
    if ((format & 1) !== 1) throw new Error('not an extended inode');
    const layout = format >> 1;
    const count = image.readUInt16LE(at + 2);
    const bodyEnd = at + 64 + (count === 0 ? 0 : 12 + (count - 1) * 4);
    const mode = image.readUInt16LE(at + 4);
    const size = Number(image.readBigUInt64LE(at + 8));
    const type = mode >> 12;
    const data = [4, 8, 10].includes(type) ? content(at, size, layout, bodyEnd) : Buffer.alloc(0);
    const result: ReadInode = {
      number,
      mode,
      size,
      uid: image.readUInt32LE(at + 24),
      gid: image.readUInt32LE(at + 28),
      mtimeSeconds: Number(image.readBigInt64LE(at + 32)),
      mtimeNanoseconds: image.readUInt32LE(at + 40),
      links: image.readUInt32LE(at + 44),
      device: type === 2 || type === 6 ? image.readUInt32LE(at + 16) : 0,
      layout,
      xattrs: xattrs(at + 64, count),
      data,
      children: new Map(),
    };
    seen.set(number, result);
    if (type === 4) pending.push({ directory: result, parent });
    return result;
  };

  const root = image.readUInt16LE(1038);
  const tree = inode(root, root);
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const { directory, parent } = next;
    for (const [name, child] of children(directory.data, directory.number, parent)) directory.children.set(name, child);
  }
  if (Number(image.readBigUInt64LE(1040)) !== seen.size) throw new Error('number of inodes');
  return tree;
}
