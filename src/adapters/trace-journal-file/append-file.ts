import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  fsyncSync,
  ftruncateSync,
  openSync,
  renameSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/**
 * A file that grows at its end. `append` hands the bytes to the kernel before it returns, which is as far as they must
 * go to outlive the process; the disk gets them soon after, for the case that the machine goes too.
 */
export class AppendFile {
  sizeBytes: number;
  private readonly fd: number;
  private readonly onSyncError: (error: Error) => void;
  private syncing = false;
  private unsynced = false;
  private closed = false;

  private constructor(fd: number, sizeBytes: number, onSyncError: (error: Error) => void) {
    this.fd = fd;
    this.sizeBytes = sizeBytes;
    this.onSyncError = onSyncError;
  }

  /** @throws the error of the file system. */
  static open(path: string, onSyncError: (error: Error) => void): AppendFile {
    const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_APPEND, 0o640);
    try {
      return new AppendFile(fd, fstatSync(fd).size, onSyncError);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** All or, as far as the file system lets us take back what was half done, nothing. @throws the error of the file system. */
  append(text: string): void {
    const bytes = Buffer.from(text);
    let written = 0;
    try {
      while (written < bytes.length) written += writeSync(this.fd, bytes, written);
    } catch (error) {
      this.takeBack(written);
      throw error;
    }
    this.sizeBytes += written;
    this.sync();
  }

  /** `last`: what was appended is on the disk when this returns. `replaced`: nobody will read it any more. */
  close(as: "last" | "replaced"): void {
    if (this.closed) return;
    this.closed = true;
    if (as === "last" && this.syncing) this.syncNow();
    // A sync under way still has the descriptor; it closes it.
    if (!this.syncing) closeSync(this.fd);
  }

  private syncNow(): void {
    try {
      fsyncSync(this.fd);
    } catch (error) {
      this.onSyncError(error as Error);
    }
  }

  private takeBack(written: number): void {
    if (written === 0) return;
    try {
      ftruncateSync(this.fd, this.sizeBytes);
    } catch {
      // Then a half line stays, and the checksum tells.
      this.sizeBytes += written;
    }
  }

  /** One sync at a time; what is appended meanwhile gets the next. */
  private sync(): void {
    if (this.syncing) {
      this.unsynced = true;
      return;
    }
    this.syncing = true;
    this.unsynced = false;
    fsync(this.fd, (error) => {
      this.syncing = false;
      if (this.closed) {
        closeSync(this.fd);
        return;
      }
      if (error !== null) this.onSyncError(error);
      else if (this.unsynced) this.sync();
    });
  }
}

/** Puts a new file in the place of another: whoever opens the path finds the one or the other, whole. @throws the error of the file system. */
export function replaceFile(path: string, text: string): void {
  const next = `${path}.next`;
  const fd = openSync(next, "w", 0o640);
  try {
    const bytes = Buffer.from(text);
    for (let written = 0; written < bytes.length; ) written += writeSync(fd, bytes, written);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(next, path);
  const directory = openSync(dirname(path), "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
