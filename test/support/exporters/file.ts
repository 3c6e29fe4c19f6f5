import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Got, type Mood, nothingYet, type Receiver } from "./receiver.ts";

type Json = Readonly<Record<string, unknown>>;

/** A file that is read as JSON lines. It is down while its folder is not there. */
export class FileReceiver implements Receiver {
  readonly moods: readonly Mood[] = ["well"];
  mood: Mood = "well";
  private readonly root = mkdtempSync(join(tmpdir(), "midotrace-export-"));
  private readonly folder = join(this.root, "there");

  async start(): Promise<void> {
    mkdirSync(this.folder, { recursive: true });
  }

  async stop(): Promise<void> {
    if (this.read() === "") rmSync(this.folder, { recursive: true, force: true });
  }

  url = (): string => `file:${this.path}`;
  remove = (): void => rmSync(this.root, { recursive: true, force: true });

  get path(): string {
    return join(this.folder, "records.jsonl");
  }

  get got(): Got {
    const got = nothingYet();
    const text = this.read();
    if (text !== "" && !text.endsWith("\n")) got.faults.push("the last line has no end");
    for (const line of text.split("\n").slice(0, -1)) {
      const record = JSON.parse(line) as Json;
      got.texts.push(line);
      if (typeof record["time"] !== "string" || typeof record["text"] !== "string") got.faults.push(line);
      if (record["type"] === "loss")
        got.losses.push({ count: Number(record["count"]), cause: String(record["cause"]) });
      else got.ids.push(String(record["id"]));
    }
    return got;
  }

  private read(): string {
    return existsSync(this.path) ? readFileSync(this.path, "utf8") : "";
  }
}
