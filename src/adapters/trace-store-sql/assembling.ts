import type { TraceRequestId } from "#core/base";
import {
  type AssembleContext,
  assembleFlowTrace,
  copyName,
  type FlowTrace,
  type LossAbout,
  type LossNote,
  REPORTED_REASONS,
  TRACE_STATE_TTL_MS,
} from "#core/tracing";
import type { TraceSegment } from "#core/tracing";
import { decodeSegment } from "./codec.ts";
import type { Sql, SqlRow } from "./sql.ts";

/** What is kept of one flow trace: its segments as they came; it is put together when it is written and when it is read. */
export interface FlowParts {
  /** When the first segment came, by the collector's clock. */
  readonly sinceMs: number;
  readonly segments: readonly TraceSegment[];
  readonly requestIds: readonly TraceRequestId[];
}

export interface Surroundings {
  readonly nowMs: number;
  readonly hostDown?: (hostId: string) => boolean;
  /** As `AssembleContext` has it. */
  readonly caughtUpMs?: (hostId: string) => number | null;
}

/** The flow traces of these parts, in their order. What is missing is explained by losses and orphans that are stored. */
export async function assembleAll(
  sql: Sql,
  flows: readonly FlowParts[],
  around: Surroundings,
): Promise<(FlowTrace | null)[]> {
  const plain = flows.map((f) => assemble(f, around, {}));
  const lacking = flows.filter(
    (_, i) => plain[i]?.completeness.missing.some((m) => !REPORTED_REASONS.has(m.reason)) === true,
  );
  if (lacking.length === 0) return plain;
  const notes = (await sql.all("SELECT host, count, because, at_ms, about FROM loss")).map(lossNote);
  const orphans = await orphansNamed(sql, lacking.flatMap(copiesOf));
  if (notes.length === 0 && orphans.size === 0) return plain;
  const explained = new Set(lacking);
  return flows.map((f, i) => {
    if (!explained.has(f)) return plain[i] ?? null;
    const lost = notes.filter(
      (n) => n.atMs >= f.sinceMs - TRACE_STATE_TTL_MS || (n.about?.flowTraceIds.length ?? 0) > 0,
    );
    return assemble(f, around, { lost, orphans: copiesOf(f).flatMap((name) => orphans.get(name) ?? []) });
  });
}

function assemble(
  { sinceMs, segments, requestIds }: FlowParts,
  around: Surroundings,
  more: Pick<AssembleContext, "lost" | "orphans">,
): FlowTrace | null {
  const trace = assembleFlowTrace(segments, { ...around, sinceMs, ...more });
  return trace === null ? null : { ...trace, traceRequestIds: requestIds };
}

function lossNote(n: SqlRow): LossNote & { readonly atMs: number } {
  const about = n["about"] === null ? {} : { about: JSON.parse(String(n["about"])) as LossAbout };
  const count = Number(n["count"]);
  return { hostId: String(n["host"]), count, because: String(n["because"]), atMs: Number(n["at_ms"]), ...about };
}

/** Names of the copies that the ingress host sent. */
export function copiesOf({ segments }: Pick<FlowParts, "segments">): string[] {
  const names = segments.flatMap((s) => s.expects.map((e) => copyName(e.hostId, e.tunnelKey, e.token)));
  return names.length < 2 ? names : [...new Set(names)];
}

/** Stored orphans by the copy that they report. */
export async function orphansNamed(sql: Sql, names: readonly string[]): Promise<Map<string, TraceSegment[]>> {
  if (names.length === 0 || (await sql.all("SELECT no FROM orphan LIMIT 1")).length === 0) return new Map();
  const rows = await sql.all("SELECT name, body FROM orphan WHERE name IN (??) ORDER BY no", [...new Set(names)]);
  const found = new Map<string, TraceSegment[]>();
  for (const row of rows) {
    const name = String(row["name"]);
    found.set(name, [...(found.get(name) ?? []), decodeSegment(row["body"] as Uint8Array)]);
  }
  return found;
}
