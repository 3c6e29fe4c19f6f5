import type { SpoolContents, SpoolEntry, TraceSpool } from "#core/tracing";
import { type Chunk, Contents, type Place } from "./contents.ts";
import { fileName, type SpoolFile, spoolDirectory, type SpoolFiles } from "./files.ts";
import { doneLine, reportLine, textOf, versionLine } from "./lines.ts";

export interface FileTraceSpoolOptions {
  /** Made if it is not there. One agent at a time. */
  readonly directory: string;
  /** Most bytes on the disk; whoever puts keeps them well below. Default 128 MiB. */
  readonly maxBytes?: number;
  /** Of one file; whole files are removed. Default 4 MiB. */
  readonly chunkBytes?: number;
  /** What an operator should hear: once when the spool fails, once when it works again. Must not throw. */
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** For tests: default the directory. */
  readonly files?: SpoolFiles;
}

const DEFAULT_MAX_BYTES = 128 * 1024 * 1024;
const DEFAULT_CHUNK_BYTES = 4 * 1024 * 1024;
/** Bytes that may wait for a slow disk; what comes beyond is not kept. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024;
/** Bytes of one write. */
const BATCH_BYTES = 1024 * 1024;
/** A file without anything that is needed is left when it is longer than this. */
const LEAVE_BYTES = 256 * 1024;

interface Waiting {
  readonly entry: SpoolEntry;
  readonly line: Buffer;
  readonly kept: (spooled: boolean) => void;
}

/**
 * The spool as files of checksummed lines, only ever appended to. They are written in the background, as many lines at once
 * as there are; removed are whole files, the oldest first, so that no line that takes another back goes before it. A run
 * begins with a file of its own: the torn end of the one before stays where it is.
 */
export class FileTraceSpool implements TraceSpool {
  unwritten = 0;
  private readonly options: FileTraceSpoolOptions;
  private readonly files: SpoolFiles;
  private readonly places = new Map<number, Place>();
  private chunks: Chunk[] = [];
  private active: { readonly chunk: Chunk; readonly file: SpoolFile } | null = null;
  private queue: Waiting[] = [];
  private waitingBytes = 0;
  private doneSerials: number[] = [];
  private lastSerial = 0;
  private opened = false;
  private failing = false;
  private working: Promise<void> | null = null;
  private syncing: Promise<void> | null = null;

  constructor(options: FileTraceSpoolOptions) {
    this.options = options;
    this.files = options.files ?? spoolDirectory(options.directory);
  }

  get segments(): number {
    return this.places.size;
  }

  get bytes(): number {
    return this.chunks.reduce((sum, c) => sum + c.sizeBytes, 0);
  }

  async open(): Promise<SpoolContents> {
    const contents = new Contents();
    for (const name of this.listed()) this.readFile(name, contents);
    for (const [serial, { place }] of contents.live) this.places.set(serial, place);
    this.lastSerial = contents.lastSerial;
    this.opened = true;
    const damaged = contents.damaged();
    if (contents.damagedLines > 0)
      this.say("warn", "the trace spool has damaged or cut lines", { lines: contents.damagedLines, reports: damaged });
    const reports = [...contents.live.values()].map((k) => k.report).sort((a, b) => a.serial - b.serial);
    return { reports, stoodFor: contents.stoodFor, damaged, nextSerial: contents.lastSerial + 1 };
  }

  put(entry: SpoolEntry, text: string, kept: (spooled: boolean) => void): void {
    const line = Buffer.from(reportLine(entry, text));
    const { maxBytes = DEFAULT_MAX_BYTES } = this.options;
    const room = this.waitingBytes + line.length <= MAX_WAITING_BYTES && this.bytes + line.length <= maxBytes;
    this.lastSerial = Math.max(this.lastSerial, entry.serial);
    if (!this.opened || !room) {
      this.unwritten++;
      queueMicrotask(() => kept(false));
      return;
    }
    this.queue.push({ entry, line, kept });
    this.waitingBytes += line.length;
    this.work();
  }

  async read(serial: number): Promise<string | null> {
    const place = this.places.get(serial);
    if (place === undefined) return null;
    try {
      return textOf(await this.files.read(place.chunk.name, place.offset, place.lengthBytes));
    } catch (error) {
      this.failed(error);
      return null;
    }
  }

  done(serial: number): void {
    if (!this.forget(serial)) return;
    this.doneSerials.push(serial);
    this.work();
  }

  async settled(): Promise<void> {
    while (this.working !== null) await this.working;
  }

  async close(): Promise<void> {
    await this.settled();
    this.opened = false;
    await this.syncing;
    const { active } = this;
    this.active = null;
    if (active === null) return;
    await this.quietly(() => active.file.sync());
    await this.quietly(() => active.file.close());
  }

  private listed(): string[] {
    try {
      return this.files.list();
    } catch (error) {
      this.failed(error);
      return [];
    }
  }

  private readFile(name: string, contents: Contents): void {
    try {
      const bytes = this.files.readWhole(name);
      const chunk: Chunk = { name, sizeBytes: bytes.length, live: 0 };
      contents.read(chunk, bytes);
      this.chunks.push(chunk);
    } catch (error) {
      this.say("warn", "a file of the trace spool cannot be read, and is set aside", { name, error: String(error) });
      try {
        this.files.setAside(name);
      } catch {
        // Nothing there, or no right to: a later write says so.
      }
    }
  }

  private forget(serial: number): boolean {
    const place = this.places.get(serial);
    if (place === undefined) return false;
    this.places.delete(serial);
    place.chunk.live--;
    return true;
  }

  private work(): void {
    if (this.working !== null || !this.opened) return;
    // Begun after this call, so that what is put in one go is written in one.
    this.working = Promise.resolve().then(() => this.drain());
  }

  /** Never rejects. */
  private async drain(): Promise<void> {
    while (this.queue.length > 0 || this.doneSerials.length > 0) await this.writeBatch();
    this.working = null;
  }

  private async writeBatch(): Promise<void> {
    const batch = this.nextBatch();
    const done = this.doneSerials.splice(0);
    try {
      const { chunk, file } = (this.active ??= await this.begin());
      const ends = done.length === 0 ? [] : [Buffer.from(doneLine(done))];
      let offset = chunk.sizeBytes;
      const bytes = Buffer.concat([...batch.map((w) => w.line), ...ends]);
      await file.append(bytes);
      chunk.sizeBytes += bytes.length;
      for (const { entry, line, kept } of batch) {
        this.written(entry, { chunk, offset, lengthBytes: line.length - 1 });
        offset += line.length;
        kept(true);
      }
      if (this.failing) this.say("info", "the trace spool is written again", {});
      this.failing = false;
      this.sync(file);
      await this.quietly(() => this.tidy(chunk));
    } catch (error) {
      this.failed(error);
      this.unwritten += batch.length;
      // What of it the file has, a later run may find: it was not said to be there, and its collector knows it again.
      await this.leave();
      for (const { kept } of batch) kept(false);
    }
  }

  private nextBatch(): Waiting[] {
    let count = 0;
    for (let bytes = 0; count < this.queue.length && (count === 0 || bytes < BATCH_BYTES); count++)
      bytes += this.queue[count]?.line.length ?? 0;
    const batch = this.queue.splice(0, count);
    for (const { line } of batch) this.waitingBytes -= line.length;
    return batch;
  }

  private written(entry: SpoolEntry, place: Place): void {
    this.forget(entry.serial);
    for (const serial of entry.replaces) this.forget(serial);
    this.places.set(entry.serial, place);
    place.chunk.live++;
  }

  private async begin(): Promise<{ readonly chunk: Chunk; readonly file: SpoolFile }> {
    const last = Number(this.chunks.at(-1)?.name.slice("spool-".length) ?? 0);
    // Names only need to be in order: a run that wrote nothing has used one too.
    const name = fileName(Math.max(last + 1, this.lastSerial));
    const file = await this.files.create(name);
    const head = Buffer.from(versionLine());
    const chunk: Chunk = { name, sizeBytes: head.length, live: 0 };
    this.chunks.push(chunk);
    try {
      await file.append(head);
    } catch (error) {
      await this.quietly(() => file.close());
      throw error;
    }
    return { chunk, file };
  }

  /** Ends a long file, and removes those that nobody needs. */
  private async tidy(chunk: Chunk): Promise<void> {
    const { chunkBytes = DEFAULT_CHUNK_BYTES } = this.options;
    if (chunk.sizeBytes >= chunkBytes || (chunk.live === 0 && chunk.sizeBytes >= Math.min(LEAVE_BYTES, chunkBytes)))
      await this.leave();
    for (let oldest = this.chunks[0]; oldest !== undefined; oldest = this.chunks[0]) {
      if (oldest.live > 0 || oldest === this.active?.chunk) return;
      this.chunks.shift();
      const { name } = oldest;
      await this.files.remove(name);
    }
  }

  private async leave(): Promise<void> {
    const { active } = this;
    this.active = null;
    if (active === null) return;
    await this.syncing;
    await this.quietly(() => active.file.sync());
    await this.quietly(() => active.file.close());
  }

  /** One at a time, in the background: for the case that the machine goes too. */
  private sync(file: SpoolFile): void {
    this.syncing ??= this.quietly(() => file.sync()).finally(() => {
      this.syncing = null;
    });
  }

  private async quietly(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.failed(error);
    }
  }

  /** Said once until it works again: a full disk would fill the log too. */
  private failed(error: unknown): void {
    if (this.failing) return;
    this.failing = true;
    this.say("warn", "the trace spool cannot be used: what waits for a collector would end with this process", {
      error: error instanceof Error ? error.message : String(error),
    });
  }

  private say(level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>): void {
    this.options.log(level, message, { directory: this.options.directory, ...fields });
  }
}
