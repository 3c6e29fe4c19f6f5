import type { Clock } from "#core/base";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type Log = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void;

const SAME_AGAIN_MS = 10_000;
/** Texts that are remembered. */
const MOST_TEXTS = 256;

/** Lines that a switch can cause at any rate: each text at most once in ten seconds, with how often it was meanwhile. */
export class RareLog {
  private readonly log: Log;
  private readonly clock: Clock;
  private readonly last = new Map<string, { atMs: number; held: number }>();

  constructor(log: Log, clock: Clock) {
    this.log = log;
    this.clock = clock;
  }

  say(level: LogLevel, message: string, about: string, fields: Readonly<Record<string, unknown>> = {}): void {
    const now = this.clock.monotonicMs();
    const key = `${message} ${about}`;
    const before = this.last.get(key);
    if (before !== undefined && now - before.atMs < SAME_AGAIN_MS) {
      before.held++;
      return;
    }
    if (this.last.size >= MOST_TEXTS) this.last.clear();
    this.last.set(key, { atMs: now, held: 0 });
    this.log(level, message, { reason: about, ...fields, ...(before?.held ? { timesBefore: before.held } : {}) });
  }
}
