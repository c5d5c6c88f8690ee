/** A file written from its beginning to its end, of which the disk takes its part alongside. */
import { type FileHandle, open } from 'node:fs/promises';
import { startWriteback } from '../os/start-writeback.ts';

const WRITEBACK_BYTES = 8 * 1024 * 1024;

export class StreamedFile {
  private readonly file: FileHandle;
  private writeback: Promise<void> = Promise.resolve();
  private handedOverBytes = 0;
  sizeBytes = 0;

  private constructor(file: FileHandle) {
    this.file = file;
  }

  /** Makes a file that must not be there yet, mode 0600. */
  static async create(path: string): Promise<StreamedFile> {
    return new StreamedFile(await open(path, 'wx', 0o600));
  }

  /** Resolves when the piece may be reused. One at a time. */
  async append(piece: Buffer): Promise<void> {
    for (let done = 0; done < piece.length; ) {
      const { bytesWritten } = await this.file.write(piece, done, piece.length - done, this.sizeBytes + done);
      done += bytesWritten;
    }
    this.sizeBytes += piece.length;
    // Little is left to wait for at the end.
    if (this.sizeBytes - this.handedOverBytes >= WRITEBACK_BYTES) {
      const [start, end] = [this.handedOverBytes, this.sizeBytes];
      this.writeback = this.writeback.then(() => startWriteback(this.file.fd, start, end - start));
      this.handedOverBytes = end;
    }
  }

  /** Makes the content durable. */
  sync(): Promise<void> {
    return this.file.datasync();
  }

  async close(): Promise<void> {
    await this.writeback;
    await this.file.close();
  }
}
