import type { Io } from "#apps/cli/options";
import { LIMIT_MAX } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { conditionText } from "./condition-text.ts";
import { dateText } from "./flow-text.ts";
import { devices } from "./refs.ts";
import { table } from "./table.ts";

/** What was traced by each request, by its id; null: it is not shown. */
export type Counts = ReadonlyMap<string, Json> | null;
export const NO_COUNTS: Counts = null;

/** Trace requests as a table, devices by name. */
export async function printRequests(
  client: ApiClient,
  requests: readonly Json[],
  io: Io,
  counts: Counts = NO_COUNTS,
): Promise<void> {
  if (requests.length === 0) {
    io.out("there are no trace requests\n");
    return;
  }
  const names = new Map((await devices(client)).map((d) => [d.id, d.name]));
  const rows = requests.map((r) => [
    textOf(r, "id"),
    textOf(r, "name") || "-",
    `${textOf(r, "deviceType").toLowerCase()} ${names.get(textOf(r, "deviceId")) ?? textOf(r, "deviceId")}`,
    r["enabled"] === true ? "enabled" : "disabled",
    limitText(r["limit"]),
    ...(counts === null ? [] : countTexts(counts.get(textOf(r, "id")))),
    conditionText(r["condition"]),
  ]);
  const counted = counts === null ? [] : ["FLOWS", "LAST"];
  io.out(table([["ID", "NAME", "DEVICE", "STATE", "LIMIT", ...counted, "MATCH"], ...rows]));
}

/** `?`: nobody knows, which is not "none". */
function countTexts(summary: Json | undefined): [flows: string, last: string] {
  if (summary === undefined) return ["?", "?"];
  const last = summary["lastFlowAtMs"];
  return [String(summary["flows"]), typeof last === "number" ? dateText(last) : "-"];
}

/** Exact, and in a word where it means "no limit". */
function limitText(limit: unknown): string {
  if (typeof limit !== "bigint" && typeof limit !== "number") return "-";
  return BigInt(limit) === LIMIT_MAX ? `${LIMIT_MAX} (all)` : String(limit);
}
