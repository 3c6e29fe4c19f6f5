import { mkdirSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";

/** One file of the spool, open at its end. */
export interface SpoolFile {
  /** Resolves when the kernel has the bytes: a process that is killed does not lose them. */
  append(bytes: Buffer): Promise<void>;
  /** Resolves when the disk has them. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** What the spool does to the disk; every change goes through here, so that a test can stop it after any. */
export interface SpoolFiles {
  /** Names, in order. Makes the directory. @throws the error of the file system. */
  list(): string[];
  /** @throws the error of the file system. */
  readWhole(name: string): Buffer;
  create(name: string): Promise<SpoolFile>;
  read(name: string, offset: number, lengthBytes: number): Promise<Buffer>;
  remove(name: string): Promise<void>;
  /** Kept for people to look at. @throws the error of the file system. */
  setAside(name: string): void;
}

const NAME = /^spool-\d{15}$/;

export const fileName = (firstSerial: number): string => `spool-${String(firstSerial).padStart(15, "0")}`;

/** A directory of the file system. */
export function spoolDirectory(path: string): SpoolFiles {
  const at = (name: string): string => join(path, name);
  return {
    list: () => {
      mkdirSync(path, { recursive: true, mode: 0o750 });
      return readdirSync(path)
        .filter((name) => NAME.test(name))
        .sort();
    },
    readWhole: (name) => readFileSync(at(name)),
    create: async (name) => {
      // Exclusive: what another run has written is never written over.
      const handle = await open(at(name), "wx", 0o640);
      return {
        append: (bytes) => writeAll(handle, bytes),
        sync: () => handle.datasync(),
        close: () => handle.close(),
      };
    },
    read: async (name, offset, lengthBytes) => {
      const handle = await open(at(name), "r");
      try {
        const bytes = Buffer.alloc(lengthBytes);
        const { bytesRead } = await handle.read(bytes, 0, lengthBytes, offset);
        return bytes.subarray(0, bytesRead);
      } finally {
        await handle.close();
      }
    },
    remove: (name) => unlink(at(name)),
    setAside: (name) => renameSync(at(name), at(`${name}.unreadable`)),
  };
}

async function writeAll(handle: FileHandle, bytes: Buffer): Promise<void> {
  for (let written = 0; written < bytes.length; )
    written += (await handle.write(bytes, written, bytes.length - written)).bytesWritten;
}
