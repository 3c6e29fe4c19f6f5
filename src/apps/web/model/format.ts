/** "just now", "12 s ago", "5 min ago", "3 h ago", "2 d ago". */
export function ago(atMs: number, nowMs: number): string {
  const seconds = Math.floor((nowMs - atMs) / 1000);
  if (seconds < 2) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ago` : `${Math.floor(hours / 24)} d ago`;
}

/** "14:03:22.117", in the reader's time zone. */
export function clockTime(atMs: number): string {
  const d = new Date(atMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** "2026-11-30 14:03:22.117" */
export function fullTime(atMs: number): string {
  const d = new Date(atMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clockTime(atMs)}`;
}

/** "+3 ms", "+1.25 s", "−40 ms". */
export function offsetText(ms: number): string {
  const sign = ms < 0 ? "−" : "+";
  const size = Math.abs(ms);
  if (size < 1000) return `${sign}${size} ms`;
  return size < 120_000
    ? `${sign}${Number((size / 1000).toFixed(2))} s`
    : `${sign}${Number((size / 60_000).toFixed(1))} min`;
}

/** "1,234,567" with thin spaces, as the sciences do: 1 234 567. */
export function countText(n: number | bigint): string {
  return String(n).replaceAll(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** "1 flow", "2 flows". */
export const plural = (n: number, noun: string): string => `${countText(n)} ${noun}${n === 1 ? "" : "s"}`;

/** "640 B", "1.2 KiB", "3.4 MiB". */
export function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const kib = bytes / 1024;
  return kib < 1024 ? `${Number(kib.toFixed(1))} KiB` : `${Number((kib / 1024).toFixed(1))} MiB`;
}

/** The largest limit there is means none. */
const NO_LIMIT = 2 ** 53;

export function limitText(limit: number | bigint): string {
  return limit >= NO_LIMIT ? "no limit" : countText(limit);
}
