const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** `EEE, dd-MM-yyyy HH:mm:ss z` as MidoNet writes it, in UTC: "Mon, 23-11-2026 08:10:53 UTC". */
export function tokenDate(ms: number): string {
  const at = new Date(ms);
  const [date = "", time = ""] = at.toISOString().split("T");
  const [year, month, day] = date.split("-");
  return `${DAYS[at.getUTCDay()]}, ${day}-${month}-${year} ${time.slice(0, 8)} UTC`;
}
