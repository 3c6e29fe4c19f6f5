import { readFile } from "node:fs/promises";
import { gunzipSync } from "node:zlib";
import { type Cancel, MidotraceError, type Scheduler } from "#core/base";
import { type Capture, type CapturedFrame, decodeCapture } from "#core/packets";

/** `--replay PORT=FILE`. */
export interface ReplaySpec {
  /** Id of a port, or "device/port". */
  readonly port: string;
  readonly file: string;
}

/** "recorded": the gaps between frames as captured. "max": as fast as the switch takes them. */
export type ReplaySpeed = "recorded" | "max";

/** A gap longer than this (a capture left running over night) is cut to it. */
export const LONGEST_GAP_MS = 10_000;
/** Frames in one turn at full speed: other work gets its turn in between. */
const BATCH = 64;

/** @throws MidotraceError USAGE when the text is not PORT=FILE. */
export function parseReplaySpec(text: string): ReplaySpec {
  const at = text.indexOf("=");
  if (at <= 0 || at === text.length - 1) {
    throw new MidotraceError(
      "USAGE",
      `--replay takes PORT=FILE, as in red-web/red-1=capture.pcap, not ${JSON.stringify(text)}`,
    );
  }
  return { port: text.slice(0, at), file: text.slice(at + 1) };
}

const PROBLEMS: Readonly<Record<NonNullable<Capture["problem"]>["reason"], string>> = {
  "not-a-capture": "is neither a pcap nor a pcapng file",
  truncated: "ends in the middle of a frame",
  "bad-length": "has a block whose length cannot be right",
  "unsupported-linktype": "was not captured on Ethernet",
  "unsupported-version": "has a format version that is not known here",
};

/** What a capture file holds, and what is wrong with it (null: nothing). */
export interface LoadedCapture {
  readonly frames: readonly CapturedFrame[];
  readonly warning: string | null;
}

/**
 * Reads a pcap or pcapng file, compressed by gzip or not. A file that breaks off is used as far as it goes.
 * @throws MidotraceError NOT_FOUND when it cannot be read, VALIDATION when it holds no frame.
 */
export async function loadCapture(file: string): Promise<LoadedCapture> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    throw new MidotraceError("NOT_FOUND", `cannot read ${file}: ${(cause as Error).message}`, [], { cause });
  }
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) {
    try {
      bytes = gunzipSync(bytes);
    } catch (cause) {
      throw new MidotraceError("VALIDATION", `${file} is not a whole gzip file`, [], { cause });
    }
  }
  const { frames, problem } = decodeCapture(bytes);
  const warning = problem === null ? null : `${file} ${PROBLEMS[problem.reason]} (at byte ${problem.offset})`;
  if (frames.length === 0) throw new MidotraceError("VALIDATION", warning ?? `${file} holds no frames`);
  return { frames, warning };
}

export interface ReplayOptions {
  readonly frames: readonly CapturedFrame[];
  readonly speed: ReplaySpeed;
  readonly scheduler: Scheduler;
  /** Puts one frame into the port. */
  readonly send: (frame: Uint8Array) => void;
}

/** Injects the frames of a capture, each at its time; frames before the first or out of order go at once. */
export class Replay {
  private readonly options: ReplayOptions;
  private timer: Cancel | null = null;
  private next = 0;
  private finish: (() => void) | null = null;

  constructor(options: ReplayOptions) {
    this.options = options;
  }

  /** Frames injected so far. */
  get injected(): number {
    return this.next;
  }

  /** Resolves when the last frame was injected, or `stop` was called. */
  run(): Promise<void> {
    return new Promise((resolve) => {
      this.finish = resolve;
      this.timer = this.options.scheduler.after(0, () => this.step());
    });
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = null;
    this.finish?.();
    this.finish = null;
  }

  private step(): void {
    const { frames, speed, scheduler, send } = this.options;
    for (let n = 0; n < BATCH; n++) {
      const frame = frames[this.next];
      if (frame === undefined) break;
      this.next++;
      send(frame.bytes.slice());
      const gapMs = speed === "max" ? 0 : gap(frame, frames[this.next]);
      if (gapMs > 0) {
        this.timer = scheduler.after(gapMs, () => this.step());
        return;
      }
    }
    if (this.next < frames.length) this.timer = scheduler.after(0, () => this.step());
    else this.stop();
  }
}

/** Milliseconds with fractions; 0 when the file has no times or they go back. */
function gap(a: CapturedFrame, b: CapturedFrame | undefined): number {
  if (b === undefined || a.timestampNs === 0n || b.timestampNs <= a.timestampNs) return 0;
  return Math.min(LONGEST_GAP_MS, Number(b.timestampNs - a.timestampNs) / 1e6);
}
