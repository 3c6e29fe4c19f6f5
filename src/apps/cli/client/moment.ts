import { usage } from "#apps/cli/options";

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const AGO = /^(\d{1,9})([smhd])$/;
const CLOCK = /^([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;

/**
 * A moment as people say it, in ms since the epoch: `10m` (ago), `14:05` (today, local time), a date and time of ISO 8601,
 * or whole milliseconds since the epoch.
 * @throws MidotraceError USAGE
 */
export function momentMs(option: string, text: string, nowMs: number): number {
  const ago = AGO.exec(text);
  if (ago !== null) return nowMs - Number(ago[1]) * UNIT_MS[ago[2] as keyof typeof UNIT_MS];
  const clock = CLOCK.exec(text);
  if (clock !== null) return new Date(nowMs).setHours(Number(clock[1]), Number(clock[2]), Number(clock[3] ?? 0), 0);
  if (/^\d{12,14}$/.test(text)) return Number(text);
  const date = /^\d{4}-\d\d-\d\d(?:[T ]|$)/.test(text) ? Date.parse(text.replace(" ", "T")) : Number.NaN;
  if (Number.isNaN(date))
    throw usage(`${option} is a time such as 10m, 2h, 14:05 or 2026-01-31T14:05, not ${JSON.stringify(text)}`);
  return date;
}
