/**
 * A streaming tar parser: bytes in, members out. It never copies or keeps content: a member says where its content lies
 * in the stream. Reads ustar, PAX, GNU (long names, both kinds of sparse files), star and v7.
 */
import { addGlobalRecords, NO_PAX_RECORDS, type PaxRecords, parsePaxRecords, paxInteger } from './pax-records.ts';
import {
  parseOldGnuSparseBlock,
  parseOldGnuSparseHeader,
  parseSparseMapPrefix,
  parseSparseMapRecord,
  type SparsePairs,
  sparseExtents,
} from './sparse-map.ts';
import type { ByteString, SparseExtent, TarEntry, TarEntryType, TarLimits } from './tar-entry.ts';
import { tarError } from './tar-error.ts';
import { isZeroBlock, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader } from './tar-header.ts';
import { describeMember, type MemberExtensions, memberPath, memberType } from './tar-member.ts';

/** A long name, a long link and a PAX header may precede a member. */
const MAX_HEADERS_PER_ENTRY = 4;

/** What the bytes at hand are. */
type State =
  | 'header'
  /** Content and padding that is passed over. */
  | 'payload'
  /** An extension header's payload, gathered in `collected`. */
  | 'extension'
  /** Map blocks of GNU's old sparse format. */
  | 'old-sparse-map'
  /** The map at the start of a sparse 1.0 member's data. */
  | 'sparse-map-prefix'
  /** After the end mark: whatever follows does not count. */
  | 'ended';

/** What was learnt about the next member before it is complete. */
interface PendingMember {
  readonly header: TarHeader;
  readonly storedBytes: number;
  readonly sizeBytes: number;
  readonly pairs: SparsePairs;
}

/**
 * Feed the stream with `write` and finish with `end`. Each member is given to `onEntry` as soon as its headers are
 * complete. `write` and `end` throw TsdError bad_parameter for a damaged archive or one beyond the limits, and whatever
 * `onEntry` throws; the parser is not to be used after that.
 */
export class TarParser {
  private readonly limits: TarLimits;
  private readonly onEntry: (entry: TarEntry) => void;
  private state: State = 'header';
  /** Bytes of the stream consumed so far. */
  private position = 0;
  private headerCount = 0;
  /** Members given to `onEntry`. */
  entryCount = 0;
  private payloadLeft = 0;
  private paddingLeft = 0;
  /** Gathers a block or an extension header that spans chunks. */
  private collected: Buffer = Buffer.allocUnsafe(TAR_BLOCK_BYTES);
  private collectedBytes = 0;
  private sawZeroBlock = false;
  private extensionFlag = '';
  private local: PaxRecords = NO_PAX_RECORDS;
  private readonly global = new Map<ByteString, ByteString>();
  private longName: ByteString | null = null;
  private longLink: ByteString | null = null;
  private pending: PendingMember | null = null;

  constructor(onEntry: (entry: TarEntry) => void, limits: TarLimits) {
    this.onEntry = onEntry;
    this.limits = limits;
  }

  write(chunk: Buffer): void {
    let at = 0;
    const start = this.position;
    if (start + chunk.length > this.limits.maxArchiveBytes)
      throw tarError(`larger than ${this.limits.maxArchiveBytes} bytes uncompressed`);
    while (at < chunk.length) {
      if (this.state === 'payload') at += this.skip(chunk.length - at);
      else if (this.state === 'ended') at = chunk.length;
      else if (this.state === 'header' && this.collectedBytes === 0 && chunk.length - at >= TAR_BLOCK_BYTES) {
        this.position = start + at + TAR_BLOCK_BYTES;
        this.readHeader(chunk, at);
        at += TAR_BLOCK_BYTES;
      } else {
        const taken = Math.min(this.collected.length - this.collectedBytes, chunk.length - at);
        chunk.copy(this.collected, this.collectedBytes, at, at + taken);
        this.collectedBytes += taken;
        at += taken;
        this.position = start + at;
        if (this.collectedBytes === this.collected.length) this.readCollected();
      }
    }
    this.position = start + at;
  }

  /** @throws TsdError bad_parameter: the archive stops in the middle of a member. */
  end(): void {
    // As Docker's reader: missing padding and a missing end mark are let pass, missing content is not.
    if (this.payloadLeft > 0 || (this.state !== 'ended' && this.state !== 'payload' && this.collectedBytes > 0))
      throw tarError(`truncated after ${this.position} bytes`);
    const extended = this.local !== NO_PAX_RECORDS || this.longName !== null || this.longLink !== null;
    if (this.state !== 'ended' && (extended || (this.state !== 'header' && this.state !== 'payload')))
      throw tarError(`truncated after ${this.position} bytes: an entry's headers are incomplete`);
  }

  private skip(available: number): number {
    const payload = Math.min(this.payloadLeft, available);
    const padding = Math.min(this.paddingLeft, available - payload);
    this.payloadLeft -= payload;
    this.paddingLeft -= padding;
    if (this.payloadLeft === 0 && this.paddingLeft === 0) this.state = 'header';
    return payload + padding;
  }

  private skipPayload(sizeBytes: number): void {
    this.payloadLeft = sizeBytes;
    this.paddingLeft = (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
    this.state = sizeBytes === 0 ? 'header' : 'payload';
  }

  private collect(bytes: number, state: State): void {
    if (this.collected.length !== bytes) this.collected = Buffer.allocUnsafe(bytes);
    this.collectedBytes = 0;
    this.state = state;
  }

  private readCollected(): void {
    const block = this.collected;
    this.collectedBytes = 0;
    if (this.state === 'header') {
      this.readHeader(block, 0);
    } else if (this.state === 'extension') {
      this.collect(TAR_BLOCK_BYTES, 'header');
      this.readExtension(block);
    } else if (this.state === 'old-sparse-map') {
      this.readOldSparseBlock(block);
    } else {
      this.readSparseMapPrefix(block);
    }
  }

  private readHeader(block: Buffer, offset: number): void {
    if (block[offset] === 0 && isZeroBlock(block, offset)) {
      if (this.sawZeroBlock) this.state = 'ended';
      this.sawZeroBlock = true;
      return;
    }
    if (this.sawZeroBlock) throw tarError('a zero block is followed by more entries');
    if (++this.headerCount > this.limits.maxEntries * MAX_HEADERS_PER_ENTRY)
      throw tarError(`more than ${this.limits.maxEntries * MAX_HEADERS_PER_ENTRY} headers`);
    const header = parseTarHeader(block, offset);
    if (header.sizeBytes < 0) throw tarError('an entry has a negative size');
    const flag = String.fromCharCode(header.typeFlag);
    switch (flag) {
      case 'x':
      case 'X': // Solaris' name for x
      case 'g':
      case 'L':
      case 'K':
        this.beginExtension(flag, header.sizeBytes);
        return;
      case 'V': // GNU volume label
        this.forgetExtensions();
        this.skipPayload(header.sizeBytes);
        return;
      case 'S':
        this.beginOldSparse(header, block, offset);
        return;
      default:
        this.readMember(header);
    }
  }

  private beginExtension(flag: string, sizeBytes: number): void {
    if (sizeBytes > this.limits.maxHeaderBytes)
      throw tarError(`an extension header of ${sizeBytes} bytes exceeds the limit of ${this.limits.maxHeaderBytes}`);
    this.extensionFlag = flag;
    if (sizeBytes === 0) this.readExtension(Buffer.alloc(0));
    else this.collect(sizeBytes, 'extension');
  }

  private readExtension(data: Buffer): void {
    this.paddingLeft = (TAR_BLOCK_BYTES - (data.length % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES;
    this.state = this.paddingLeft === 0 ? 'header' : 'payload';
    if (this.extensionFlag === 'x' || this.extensionFlag === 'X') this.local = parsePaxRecords(data);
    else if (this.extensionFlag === 'g') addGlobalRecords(this.global, parsePaxRecords(data));
    else {
      const nul = data.indexOf(0);
      const text = data.toString('latin1', 0, nul < 0 ? data.length : nul);
      if (this.extensionFlag === 'L') this.longName = text;
      else this.longLink = text;
    }
  }

  private forgetExtensions(): void {
    this.local = NO_PAX_RECORDS;
    this.longName = null;
    this.longLink = null;
  }

  private readMember(header: TarHeader): void {
    const type = memberType(header, memberPath(header, this.extensions()));
    // Only files have content: a size in the header of anything else is to be ignored (POSIX, and Docker's reader).
    if (type !== 'file') {
      this.emit(header, type, 0, null);
      this.state = 'header';
      return;
    }
    const storedBytes = paxInteger(this.local, this.global, 'size') ?? header.sizeBytes;
    const realSize =
      paxInteger(this.local, NO_PAX_RECORDS, 'GNU.sparse.realsize') ??
      paxInteger(this.local, NO_PAX_RECORDS, 'GNU.sparse.size');
    const map = this.local.get('GNU.sparse.map');
    if (this.local.get('GNU.sparse.major') === '1' && this.local.get('GNU.sparse.minor') === '0') {
      this.pending = { header, storedBytes, sizeBytes: this.sparseSize(realSize), pairs: [] };
      if (storedBytes < TAR_BLOCK_BYTES) throw tarError('a sparse file has no map');
      this.collect(TAR_BLOCK_BYTES, 'sparse-map-prefix');
    } else if (map !== undefined) {
      this.finishSparse(
        { header, storedBytes, sizeBytes: this.sparseSize(realSize), pairs: parseSparseMapRecord(map) },
        this.position,
      );
    } else {
      this.emit(header, 'file', storedBytes, null);
      this.skipPayload(storedBytes);
    }
  }

  private beginOldSparse(header: TarHeader, block: Buffer, offset: number): void {
    const { pairs, sizeBytes, extended } = parseOldGnuSparseHeader(block, offset);
    const pending = { header, storedBytes: header.sizeBytes, sizeBytes: this.sparseSize(sizeBytes), pairs };
    if (extended) {
      this.pending = pending;
      this.collect(TAR_BLOCK_BYTES, 'old-sparse-map');
    } else {
      this.finishSparse(pending, this.position);
    }
  }

  private readOldSparseBlock(block: Buffer): void {
    const pending = this.pending as PendingMember;
    const extended = parseOldGnuSparseBlock(block, pending.pairs);
    if (pending.pairs.length * 12 > this.limits.maxHeaderBytes) throw tarError('a sparse map is too long');
    if (!extended) this.finishSparse(pending, this.position);
  }

  private readSparseMapPrefix(data: Buffer): void {
    const pending = this.pending as PendingMember;
    const map = parseSparseMapPrefix(data);
    if (map === null) {
      // Doubling keeps the work linear in the map's length.
      const bytes = Math.min(data.length * 2, Math.floor(pending.storedBytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES);
      if (bytes <= data.length || bytes > this.limits.maxHeaderBytes)
        throw tarError('a sparse map is too long or cut off');
      const grown = Buffer.allocUnsafe(bytes);
      data.copy(grown);
      this.collected = grown;
      this.collectedBytes = data.length;
      return;
    }
    const mapStart = this.position - data.length;
    this.finishSparse(
      { ...pending, pairs: map.pairs, storedBytes: pending.storedBytes - map.mapBytes },
      mapStart + map.mapBytes,
    );
    // The map was read in steps that may have gone past its end, into the data.
    const ahead = data.length - map.mapBytes;
    if (ahead > 0) {
      if (this.state !== 'payload') throw tarError('a sparse map is malformed');
      this.skip(ahead);
    }
  }

  private finishSparse(member: PendingMember, dataOffset: number): void {
    const { header, pairs, sizeBytes, storedBytes } = member;
    this.pending = null;
    if (this.collected.length !== TAR_BLOCK_BYTES) this.collected = Buffer.allocUnsafe(TAR_BLOCK_BYTES);
    this.collectedBytes = 0;
    const extents = sparseExtents(pairs, sizeBytes, dataOffset, storedBytes);
    this.emit(header, 'file', sizeBytes, extents, dataOffset);
    this.skipPayload(storedBytes);
  }

  private sparseSize(sizeBytes: number | undefined): number {
    if (sizeBytes === undefined || sizeBytes < 0) throw tarError('a sparse file does not say how large it is');
    if (sizeBytes > this.limits.maxSparseFileBytes)
      throw tarError(`a sparse file of ${sizeBytes} bytes exceeds the limit of ${this.limits.maxSparseFileBytes}`);
    return sizeBytes;
  }

  private emit(
    header: TarHeader,
    type: TarEntryType,
    sizeBytes: number,
    extents: readonly SparseExtent[] | null,
    payloadOffset: number = this.position,
  ): void {
    if (++this.entryCount > this.limits.maxEntries) throw tarError(`more than ${this.limits.maxEntries} entries`);
    const described = describeMember(header, type, this.extensions(), this.limits);
    this.forgetExtensions();
    this.onEntry({ ...described, type, sizeBytes, payloadOffset, sparseExtents: extents });
  }

  private extensions(): MemberExtensions {
    const { local, global, longName, longLink } = this;
    return { local, global, longName, longLink };
  }
}
