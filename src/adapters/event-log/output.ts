import { type FileHandle, open, rename, rm } from "node:fs/promises";

/** Where lines go. Each line ends with a line feed. A rejected `write` means: none of these lines is there for sure. */
export interface LogOutput {
  open(): Promise<void>;
  write(lines: readonly string[]): Promise<void>;
  close(): Promise<void>;
}

export interface RotatedFileOptions {
  readonly path: string;
  /** A file is closed before it grows beyond this; a longer single line is written whole. Default 64 MiB. */
  readonly maxBytes?: number;
  /** Closed files that are kept: `path.1` is the newest. Default 5. */
  readonly keep?: number;
}

export class RotatedFile implements LogOutput {
  private readonly path: string;
  private readonly maxBytes: number;
  private readonly keep: number;
  private file: FileHandle | null = null;
  private sizeBytes = 0;

  constructor(options: RotatedFileOptions) {
    this.path = options.path;
    this.maxBytes = options.maxBytes ?? 64 * 1024 * 1024;
    this.keep = options.keep ?? 5;
  }

  /** @throws the error of the file system. */
  async open(): Promise<void> {
    await this.handle();
  }

  async write(lines: readonly string[]): Promise<void> {
    let chunk = "";
    let chunkBytes = 0;
    for (const line of lines) {
      const lengthBytes = Buffer.byteLength(line);
      await this.handle();
      if (this.sizeBytes + chunkBytes > 0 && this.sizeBytes + chunkBytes + lengthBytes > this.maxBytes) {
        await this.append(chunk, chunkBytes);
        chunk = "";
        chunkBytes = 0;
        await this.rotate();
      }
      chunk += line;
      chunkBytes += lengthBytes;
    }
    await this.append(chunk, chunkBytes);
  }

  async close(): Promise<void> {
    const file = this.file;
    this.file = null;
    await file?.close();
  }

  private async handle(): Promise<FileHandle> {
    if (this.file !== null) return this.file;
    this.file = await open(this.path, "a", 0o640);
    this.sizeBytes = (await this.file.stat()).size;
    return this.file;
  }

  private async append(text: string, lengthBytes: number): Promise<void> {
    if (text === "") return;
    const file = await this.handle();
    await file.appendFile(text);
    this.sizeBytes += lengthBytes;
  }

  private async rotate(): Promise<void> {
    await this.close();
    await rm(`${this.path}.${this.keep}`, { force: true });
    for (let n = this.keep - 1; n >= 1; n--) await renameIfThere(`${this.path}.${n}`, `${this.path}.${n + 1}`);
    if (this.keep > 0) await rename(this.path, `${this.path}.1`);
    else await rm(this.path, { force: true });
  }
}

async function renameIfThere(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** Standard output, or any other stream. */
export class StreamOutput implements LogOutput {
  private readonly stream: NodeJS.WritableStream;

  constructor(stream: NodeJS.WritableStream = process.stdout) {
    this.stream = stream;
  }

  async open(): Promise<void> {
    // A closed pipe (`| head`) must not end the process: the failed write is counted instead.
    this.stream.on("error", ignore);
  }

  write(lines: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.stream.write(lines.join(""), (error) => {
        if (error == null) resolve();
        else reject(error);
      });
    });
  }

  async close(): Promise<void> {
    this.stream.off("error", ignore);
  }
}

function ignore(): void {}
