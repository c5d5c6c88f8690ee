/**
 * Reads the outer archive of an image, member by member, in one pass. Members are never written anywhere under their
 * names; a name is only a key. (Layers, which are archives inside, go through the layer store's own parser.)
 */
import { TsdError } from '@tsd/shared/errors';
import { NO_PAX_RECORDS, type PaxRecords, parsePaxRecords, paxInteger, paxValue } from '../storage/tar/pax-records.ts';
import { DEFAULT_TAR_LIMITS } from '../storage/tar/tar-entry.ts';
import { shownName } from '../storage/tar/tar-error.ts';
import { isZeroBlock, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from '../storage/tar/tar-header.ts';
import type { ByteStream } from './byte-stream.ts';

/** Members of an outer archive, an image of 127 layers in the oldest layout has about 400. */
const MAX_MEMBERS = 100_000;

const TYPE = {
  oldFile: 0,
  file: 0x30,
  hardLink: 0x31,
  symbolicLink: 0x32,
  pipe: 0x36,
  contiguousFile: 0x37,
  paxGlobal: 0x67,
  paxLocal: 0x78,
  gnuLongLink: 0x4b,
  gnuLongName: 0x4c,
} as const;

export interface ArchiveMember {
  /** Relative, without `.` and `..`. */
  readonly path: string;
  readonly kind: 'file' | 'symlink' | 'hardlink';
  /** The member that a link leads to, null where it leads out of the archive; empty for files. */
  readonly linkPath: string | null;
  /** To be read before the next member is asked for; what is left is skipped then. */
  readonly content: MemberContent;
}

/**
 * Yields the files and links of a tar. Directories and devices are passed over: nothing refers to them.
 *
 * @throws TsdError `bad_parameter`: damaged, truncated, too many members, a name that is absolute or leads out.
 */
export async function* readArchive(stream: ByteStream): AsyncGenerator<ArchiveMember, void, void> {
  let global: PaxRecords = NO_PAX_RECORDS;
  let local: PaxRecords = NO_PAX_RECORDS;
  let longName: string | undefined;
  let longLink: string | undefined;
  for (let members = 0; ; ) {
    const block = await stream.peek(TAR_BLOCK_BYTES);
    // Like GNU tar and Go: an archive may end without its mark, but not within a block.
    if (block.length === 0) return;
    if (block.length < TAR_BLOCK_BYTES) throw new TsdError('bad_parameter', 'the archive is truncated');
    if (isZeroBlock(block, 0)) {
      for await (const _padding of stream.rest());
      return;
    }
    const header = parseTarHeader(await stream.take(TAR_BLOCK_BYTES), 0);
    if (++members > MAX_MEMBERS)
      throw new TsdError('bad_parameter', `the archive has more than ${MAX_MEMBERS} members`);
    switch (header.typeFlag) {
      case TYPE.paxGlobal:
        global = parsePaxRecords(await takeExtension(stream, header));
        continue;
      case TYPE.paxLocal:
        local = parsePaxRecords(await takeExtension(stream, header));
        continue;
      case TYPE.gnuLongName:
        longName = untilNul(await takeExtension(stream, header));
        continue;
      case TYPE.gnuLongLink:
        longLink = untilNul(await takeExtension(stream, header));
        continue;
    }
    const kind = kindOf(header);
    const rawPath = paxValue(local, global, 'path') ?? longName ?? header.name;
    const rawLink = paxValue(local, global, 'linkpath') ?? longLink ?? header.linkName;
    const sizeBytes = hasNoContent(header) ? 0 : (paxInteger(local, global, 'size') ?? header.sizeBytes);
    if (sizeBytes < 0)
      throw new TsdError('bad_parameter', `the archive is damaged: ${shownName(rawPath)} has a negative size`);
    local = NO_PAX_RECORDS;
    longName = undefined;
    longLink = undefined;
    const content = new MemberContent(stream, sizeBytes);
    if (kind !== null && !rawPath.endsWith('/')) {
      const path = memberPath(rawPath);
      yield { path, kind, linkPath: kind === 'file' ? '' : linkTarget(kind, rawLink, path), content };
    }
    await content.skip();
  }
}

/** The bytes of one member, to be read before the next member is asked for. */
export class MemberContent {
  readonly #stream: ByteStream;
  readonly #paddedBytes: number;
  readonly sizeBytes: number;
  #takenBytes = 0;
  readonly #allTaken = Promise.withResolvers<void>();

  constructor(stream: ByteStream, sizeBytes: number) {
    this.#stream = stream;
    this.sizeBytes = sizeBytes;
    this.#paddedBytes = Math.ceil(sizeBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES;
  }

  /** The beginning of the content, not consumed. */
  async peek(length: number): Promise<Buffer> {
    return await this.#stream.peek(Math.min(length, this.sizeBytes - this.#takenBytes));
  }

  /** The content as it arrives; `onBytes` hears how much has passed in all. */
  chunks(onBytes?: (passedBytes: number) => void): AsyncGenerator<Buffer, void, void> {
    return this.#stream.chunks(this.sizeBytes - this.#takenBytes, (bytes) => {
      this.#takenBytes += bytes;
      onBytes?.(this.#takenBytes);
      if (this.#takenBytes === this.sizeBytes) this.#allTaken.resolve();
    });
  }

  /** Resolves when {@link chunks} has handed out its last one: the stream may then be read on. */
  allTaken(): Promise<void> {
    return this.#allTaken.promise;
  }

  async take(): Promise<Buffer> {
    const bytes = await this.#stream.take(this.sizeBytes - this.#takenBytes);
    this.#takenBytes = this.sizeBytes;
    return bytes;
  }

  /** Passes over what has not been read, and the padding. */
  async skip(): Promise<void> {
    const rest = this.#paddedBytes - this.#takenBytes;
    this.#takenBytes = this.#paddedBytes;
    for await (const _skipped of this.#stream.chunks(rest));
  }
}

/** A member's own name: relative, and never upwards. */
function memberPath(name: string): string {
  if (name.startsWith('/')) {
    throw new TsdError('bad_parameter', `the archive holds the absolute path ${shownName(name)}`);
  }
  const parts = pathParts(name);
  if (parts.includes('..')) {
    throw new TsdError('bad_parameter', `the archive holds the path ${shownName(name)}, which leads out of it`);
  }
  return parts.join('/');
}

/** Where a link leads: symbolic ones start beside the link, hard ones at the root. Null where that is outside. */
function linkTarget(kind: 'symlink' | 'hardlink', target: string, from: string): string | null {
  if (target.startsWith('/')) return null;
  const parts = kind === 'symlink' ? from.split('/').slice(0, -1) : [];
  for (const part of pathParts(target)) {
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return null;
  }
  return parts.join('/');
}

function pathParts(byteString: string): string[] {
  const text = Buffer.from(byteString, 'latin1').toString('utf8');
  return text.split('/').filter((part) => part !== '' && part !== '.');
}

function kindOf(header: TarHeader): ArchiveMember['kind'] | null {
  switch (header.typeFlag) {
    case TYPE.file:
    case TYPE.oldFile:
    case TYPE.contiguousFile:
      return 'file';
    case TYPE.symbolicLink:
      return 'symlink';
    case TYPE.hardLink:
      return 'hardlink';
    default:
      return null;
  }
}

/** Links, devices, directories and pipes: nothing follows their header, whatever its size field says. */
function hasNoContent({ typeFlag }: TarHeader): boolean {
  return typeFlag >= TYPE.hardLink && typeFlag <= TYPE.pipe;
}

async function takeExtension(stream: ByteStream, header: TarHeader): Promise<Buffer> {
  if (header.sizeBytes < 0 || header.sizeBytes > DEFAULT_TAR_LIMITS.maxHeaderBytes) {
    throw new TsdError('bad_parameter', `the archive has an extension header of ${header.sizeBytes} bytes`);
  }
  const content = new MemberContent(stream, header.sizeBytes);
  const bytes = await content.take();
  await content.skip();
  return bytes;
}

function untilNul(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  return bytes.toString('latin1', 0, end === -1 ? bytes.length : end);
}
