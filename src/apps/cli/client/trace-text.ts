import type { Io } from "#apps/cli/options";
import { LIMIT_MAX } from "#core/topology";
import { type ApiClient, type Json, textOf } from "./api-client.ts";
import { conditionText } from "./condition-text.ts";
import { devices } from "./refs.ts";
import { table } from "./table.ts";

/** Trace requests as a table, devices by name. */
export async function printRequests(client: ApiClient, requests: readonly Json[], io: Io): Promise<void> {
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
    conditionText(r["condition"]),
  ]);
  io.out(table([["ID", "NAME", "DEVICE", "STATE", "LIMIT", "MATCH"], ...rows]));
}

/** Exact, and in a word where it means "no limit". */
function limitText(limit: unknown): string {
  if (typeof limit !== "bigint" && typeof limit !== "number") return "-";
  return BigInt(limit) === LIMIT_MAX ? `${LIMIT_MAX} (all)` : String(limit);
}
