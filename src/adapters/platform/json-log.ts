import type { Clock } from "#core/base";

const LEVELS = ["debug", "info", "warn", "error"] as const;

export type ProcessLogLevel = (typeof LEVELS)[number];

export type ProcessLog = (level: ProcessLogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;

/**
 * A daemon's log: one JSON object per line with `time` (RFC 3339, UTC), `level`, `message` and the fields. Lines below
 * `least` are left out. Errors among the fields become their message and stack.
 */
export function jsonLog(clock: Clock, least: ProcessLogLevel, write: (line: string) => void): ProcessLog {
  const from = LEVELS.indexOf(least);
  return (level, message, fields = {}) => {
    if (LEVELS.indexOf(level) < from) return;
    const time = new Date(clock.nowMs()).toISOString();
    write(`${JSON.stringify({ time, level, message, ...fields }, readable)}\n`);
  };
}

function readable(_key: string, value: unknown): unknown {
  if (value instanceof Error) return value.stack ?? value.message;
  return typeof value === "bigint" ? value.toString() : value;
}
