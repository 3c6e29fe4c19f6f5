const DAY_MS = 86_400_000;
/** From 0000-03-01, where 400 years begin, to 1970-01-01. */
const DAYS_TO_1970 = 719_468;
const DAYS_OF_400_YEARS = 146_097;
/** 9999-12-31T23:59:59.999Z */
const LAST_MS = 253_402_300_799_999;

/**
 * RFC 3339 in UTC with milliseconds, without the platform's Date, which the core cannot name. What is no time between 1970
 * and 9999 is the nearest one. The calendar by Howard Hinnant, "chrono-compatible low-level date algorithms".
 */
export function isoTime(atMs: number): string {
  const ms = Number.isFinite(atMs) ? Math.min(LAST_MS, Math.max(0, Math.floor(atMs))) : 0;
  const days = Math.floor(ms / DAY_MS) + DAYS_TO_1970;
  const era = Math.floor(days / DAYS_OF_400_YEARS);
  const dayOfEra = days - era * DAYS_OF_400_YEARS;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  // Years begin in March here, so that the leap day is the last.
  const monthFromMarch = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * monthFromMarch + 2) / 5) + 1;
  const month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const rest = ms % DAY_MS;
  const [hours, minutes, seconds] = [
    Math.floor(rest / 3_600_000),
    Math.floor(rest / 60_000) % 60,
    Math.floor(rest / 1_000) % 60,
  ];
  return `${pad(year, 4)}-${pad(month)}-${pad(day)}T${pad(hours)}:${pad(minutes)}:${pad(seconds)}.${pad(rest % 1_000, 3)}Z`;
}

const pad = (n: number, width = 2): string => String(n).padStart(width, "0");
