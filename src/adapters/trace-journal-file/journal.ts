import { mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import type { RuleId } from "#core/base";
import type { BegunReport, JournalContents, TraceJournal } from "#core/tracing";
import { AppendFile, replaceFile } from "./append-file.ts";
import { JOURNAL_VERSION, type JournalRecord, type ParsedJournal, parseJournal, recordLine } from "./records.ts";
import { JournalState } from "./state.ts";

export interface FileTraceJournalOptions {
  /** Made if it is not there; the journal is its file `trace-journal`. One agent at a time. */
  readonly directory: string;
  /** What an operator should hear: once when the journal fails, once when it is whole again. Must not throw. */
  readonly log: (level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>) => void;
  /** Living flows that are kept, default 20 000: the one traced first goes first. Counts of limits are always kept. */
  readonly maxFlows?: number;
  /** The file is written anew when it is longer than this and than twice its contents. Default 1 MiB. */
  readonly compactBytes?: number;
}

const FILE_NAME = "trace-journal";
const DEFAULT_MAX_FLOWS = 20_000;
const DEFAULT_COMPACT_BYTES = 1024 * 1024;
/** `compactBytes` and `maxFlows` keep it far below this, unless it cannot be written anew. */
const MAX_FILE_BYTES = 64 * 1024 * 1024;
const NOTHING: ParsedJournal = { records: [], damaged: 0, tornBytes: 0 };

/**
 * The journal as a file of checksummed lines, appended to synchronously and written anew (beside, then renamed) when it
 * grows. While the disk refuses, the agent goes on with what it has in memory; `tend` writes the whole contents anew
 * as soon as there is room, for an append would leave a hole.
 */
export class FileTraceJournal implements TraceJournal {
  unwritten = 0;
  private readonly options: FileTraceJournalOptions;
  private readonly path: string;
  private state: JournalState;
  private file: AppendFile | null = null;
  /** Length at which the file is written anew. */
  private compactAt = 0;
  private opened = false;
  private failing = false;

  constructor(options: FileTraceJournalOptions) {
    this.options = options;
    this.path = join(options.directory, FILE_NAME);
    this.state = this.emptyState();
  }

  get crowdedOut(): number {
    return this.state.crowdedOut;
  }

  open(): JournalContents {
    if (this.opened) return this.state.contents();
    this.opened = true;
    this.unwritten = 0;
    this.failing = false;
    this.state = this.emptyState();
    this.attempt(() => void mkdirSync(this.options.directory, { recursive: true, mode: 0o750 }));
    const { records, tornBytes } = this.read();
    for (const record of records) this.state.apply(record);
    this.compact();
    // No room for the contents a second time may still leave room for a line.
    if (this.file === null) this.appendToOld(tornBytes > 0);
    return this.state.contents();
  }

  counted(rule: RuleId, count: number, key: string, atMs: number): void {
    this.write(["traced", rule, count, key, atMs]);
  }

  held(rule: RuleId, key: string): void {
    this.write(["held", rule, key]);
  }

  seen(rule: RuleId, key: string, atMs: number): void {
    this.write(["seen", rule, key, atMs]);
  }

  ended(rule: RuleId, key: string): void {
    this.write(["ended", rule, key]);
  }

  forgotten(rule: RuleId): void {
    this.write(["forgotten", rule]);
  }

  begun({ id, flowTraceId, requestIds }: BegunReport): void {
    this.write(["begun", id, flowTraceId, requestIds]);
  }

  reported(ids: readonly string[]): void {
    if (ids.length > 0) this.write(["reported", ids]);
  }

  /** Writing anew takes some milliseconds, so it is done here and not where a packet waits. */
  tend(): void {
    if (!this.opened) return;
    if (this.unwritten > 0 || this.file === null || this.file.sizeBytes >= this.compactAt) this.compact();
  }

  close(): void {
    if (!this.opened) return;
    if (this.unwritten > 0) this.compact();
    this.opened = false;
    this.file?.close("last");
    this.file = null;
  }

  private emptyState(): JournalState {
    return new JournalState(this.options.maxFlows ?? DEFAULT_MAX_FLOWS);
  }

  private write(record: JournalRecord): void {
    this.state.apply(record);
    if (!this.opened) return;
    // Behind a record that is missing, a later one would tell a false story.
    if (this.unwritten > 0 || this.file === null) {
      this.unwritten++;
      return;
    }
    if (!this.append(this.file, recordLine(record))) this.unwritten++;
  }

  private append(file: AppendFile, text: string): boolean {
    return this.attempt(() => {
      if (file.sizeBytes + text.length > MAX_FILE_BYTES) throw new Error("it is full, and cannot be written anew");
      file.append(text);
    });
  }

  private appendToOld(torn: boolean): void {
    this.attempt(() => this.openFile());
    // The half line becomes a line of its own, which the checksum refuses.
    if (torn && this.file !== null && !this.append(this.file, "\n")) this.unwritten++;
  }

  private read(): ParsedJournal {
    try {
      const stat = statSync(this.path, { throwIfNoEntry: false });
      // A device or a pipe has no end that reading would find.
      if (stat === undefined || !stat.isFile()) return NOTHING;
      if (stat.size > MAX_FILE_BYTES) throw new Error(`${stat.size} bytes are more than any journal has`);
      const parsed = parseJournal(readFileSync(this.path));
      const { records, damaged, tornBytes } = parsed;
      const [first] = records;
      if (first?.[0] === "version" && first[1] > JOURNAL_VERSION)
        throw new Error(`it is of version ${first[1]}, and this program knows ${JOURNAL_VERSION}`);
      if (damaged > 0) this.say("warn", "the trace journal has damaged lines; what they said is lost", { damaged });
      if (tornBytes > 0) this.say("info", "the last write to the trace journal was cut off", { tornBytes });
      return parsed;
    } catch (error) {
      this.setAside(error);
      return NOTHING;
    }
  }

  /** What cannot be read is kept for people to look at; limits begin anew. */
  private setAside(error: unknown): void {
    const aside = `${this.path}.unreadable`;
    this.say("warn", "the trace journal cannot be read: the limits of enabled traces begin anew on this host", {
      error: String(error),
      aside,
    });
    try {
      renameSync(this.path, aside);
    } catch {
      // Nothing there, or no right to: the next attempt to write says so.
    }
  }

  private compact(): void {
    const done = this.attempt(() => {
      const text = this.state.snapshot();
      replaceFile(this.path, text);
      this.openFile();
      this.compactAt = Math.max(this.options.compactBytes ?? DEFAULT_COMPACT_BYTES, 2 * Buffer.byteLength(text));
    });
    if (!done) {
      // The old file is still there and whole: try again when it has grown once more by as much.
      if (this.file !== null && this.unwritten === 0) this.compactAt = 2 * this.file.sizeBytes;
      return;
    }
    this.unwritten = 0;
    if (!this.failing) return;
    this.failing = false;
    this.say("info", "the trace journal is written again", {});
  }

  private openFile(): void {
    const opened = AppendFile.open(this.path, (error) => {
      this.unwritten++;
      this.failed(error);
    });
    this.file?.close("replaced");
    this.file = opened;
  }

  private attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      this.failed(error as Error);
      return false;
    }
  }

  /** Said once until it works again: a full disk would fill the log too. */
  private failed(error: Error): void {
    if (this.failing) return;
    this.failing = true;
    this.say("warn", "the trace journal cannot be written: a restart now would forget flows that were counted", {
      error: error.message,
    });
  }

  private say(level: "info" | "warn", message: string, fields: Readonly<Record<string, unknown>>): void {
    this.options.log(level, message, { path: this.path, ...fields });
  }
}
