import type { OptionTable, OptionValues } from "#apps/cli/options";
import { COMPLETENESS_STATES, DROP_REASONS, VERDICTS } from "#core/tracing";
import { momentMs } from "./moment.ts";

/** Which flows: the words of the REST API. Several hold at once. */
export const FLOW_FILTERS = {
  verdict: {
    kind: "text",
    placeholder: "VERDICT",
    default: null,
    choices: Object.keys(VERDICTS),
    description: "only flows that ended so",
  },
  "drop-reason": {
    kind: "text",
    placeholder: "REASON",
    default: null,
    choices: Object.keys(DROP_REASONS),
    description: "only flows that were dropped for this reason",
  },
  completeness: {
    kind: "text",
    placeholder: "STATE",
    default: null,
    choices: Object.keys(COMPLETENESS_STATES),
    description: "only flows whose answer is so",
  },
  host: {
    kind: "text",
    placeholder: "HOST",
    default: null,
    completes: "host",
    description: "only flows that this host reported a part of, by id or name",
  },
  device: {
    kind: "text",
    placeholder: "REF",
    default: null,
    completes: "device",
    description: "only flows that met this bridge, router or port, by id or name",
  },
  address: {
    kind: "text",
    placeholder: "IP",
    default: null,
    description: "only flows from or to this address, before or after a device changed it",
  },
  "l4-port": {
    kind: "integer",
    placeholder: "N",
    default: null,
    min: 0n,
    max: 65_535n,
    description: "only flows from or to this port of TCP or UDP",
  },
  since: {
    kind: "text",
    placeholder: "TIME",
    default: null,
    description: "only flows that began then or later: 10m (ago), 2h, 14:05, 2026-01-31T14:05",
  },
  until: { kind: "text", placeholder: "TIME", default: null, description: "only flows that began before then" },
} as const satisfies OptionTable;

/** @throws MidotraceError USAGE for a time that is none. */
export function filterQuery(o: OptionValues<typeof FLOW_FILTERS>, nowMs: number): URLSearchParams {
  const query = new URLSearchParams();
  const set = (name: string, value: string | bigint | number | null): void => {
    if (value !== null) query.set(name, String(value));
  };
  set("verdict", o.verdict);
  set("dropReason", o["drop-reason"]);
  set("completeness", o.completeness);
  set("host", o.host);
  set("device", o.device);
  set("address", o.address);
  set("l4Port", o["l4-port"]);
  set("since", o.since === null ? null : momentMs("--since", o.since, nowMs));
  set("until", o.until === null ? null : momentMs("--until", o.until, nowMs));
  return query;
}
