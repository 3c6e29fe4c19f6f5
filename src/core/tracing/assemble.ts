import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { Completeness, FlowTrace, MissingPart, MissingReason, PlacedSegment } from "./flow-trace.ts";
import type { ExpectedEgress, TraceSegment } from "./segment.ts";
import { TRACE_STATE_TTL_MS } from "./trace-table.ts";
import type { DropReason, Verdict } from "./verdict.ts";
import { reached, whyOf } from "./why.ts";

export interface AssembleContext {
  /** Wall clock of the reader, ms since the epoch. */
  readonly nowMs: number;
  /** Since when the reader knows of the flow trace, by the same clock as `nowMs`; default: when the packet entered. */
  readonly sinceMs?: number;
  readonly hostDown?: (hostId: string) => boolean;
  /** Reports that hosts say they lost, at about this time. */
  readonly lost?: readonly { readonly hostId: string; readonly count: number; readonly because: string }[];
  /** Egress segments whose state was lost and that could not be joined to one flow trace. */
  readonly orphans?: readonly TraceSegment[];
}

/** Names one copy of one packet, the same on both sides of the tunnel. */
export function copyName(hostId: string, tunnelKey: number, token: string): string {
  return `${hostId} ${tunnelKey} ${token}`;
}

const expectedName = (e: ExpectedEgress): string => copyName(e.hostId, e.tunnelKey, e.token);

/** The name of the copy that an egress segment reports; null for an ingress segment. */
export function arrivedName(s: TraceSegment): string | null {
  return s.arrival === null ? null : copyName(s.hostId, s.arrival.tunnelKey, s.arrival.token);
}

/**
 * Joins the segments of one flow trace, in whatever order they came, with whatever clocks; a segment without a flow-trace
 * id among them is an orphan that `joinOrphan` assigned. Null when there is none, or none that knows the flow-trace id.
 */
export function assembleFlowTrace(segments: readonly TraceSegment[], ctx: AssembleContext): FlowTrace | null {
  const flowTraceId = segments.find((s) => s.flowTraceId !== null)?.flowTraceId ?? null;
  if (flowTraceId === null) return null;
  const placed = place(segments);
  const counted = placed.filter((s) => !s.duplicate);
  const first = counted[0] ?? placed[0];
  if (first === undefined) return null;
  const missing = missingParts(counted, first, ctx);
  const outcome = outcomeOf(counted, missing);
  return {
    flowTraceId,
    traceRequestIds: [...new Set(placed.flatMap((s): readonly TraceRequestId[] => s.requestIds))],
    startedAtMs: first.startedAtMs,
    key: first.key,
    ...outcome,
    why: whyOf({ verdict: outcome.verdict, segments: counted, missing }, everything, plainName),
    completeness: completenessOf(counted, missing),
    segments: placed,
  };
}

const everything = (): boolean => true;
const plainName = (hostId: string, hostName: string): string => `host ${hostName === "" ? hostId : hostName}`;

/** Ingress first, then the copies in the order in which they were sent, each followed by its duplicates. */
function place(segments: readonly TraceSegment[]): PlacedSegment[] {
  const unique = [...new Map(segments.toReversed().map((s) => [s.segmentId, s])).values()].sort(byAge);
  const ingress = unique.filter((s) => s.role === "ingress");
  const rank = new Map<string, number>();
  for (const e of ingress.flatMap((s) => s.expects))
    if (!rank.has(expectedName(e))) rank.set(expectedName(e), rank.size);
  const rankOf = (s: TraceSegment): number => rank.get(arrivedName(s) ?? "") ?? rank.size;
  const egress = unique
    .filter((s) => s.role === "egress")
    .sort((a, b) => rankOf(a) - rankOf(b) || compare(arrivedName(a) ?? "", arrivedName(b) ?? "") || byAge(a, b));
  const seen = new Set<string>();
  return [...ingress, ...egress].map((s): PlacedSegment => {
    const name = arrivedName(s);
    const duplicate = name !== null && seen.has(name);
    if (name !== null) seen.add(name);
    return { ...s, duplicate, joinedBy: s.flowTraceId === null ? "token" : "state" };
  });
}

/** The first arrival of a copy before its duplicates, then by host clock; total, so that the order never depends on luck. */
function byAge(a: TraceSegment, b: TraceSegment): number {
  const marked = Number(a.arrival?.duplicate ?? false) - Number(b.arrival?.duplicate ?? false);
  return marked || a.startedAtMs - b.startedAtMs || compare(a.segmentId, b.segmentId);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

function missingParts(counted: readonly PlacedSegment[], first: PlacedSegment, ctx: AssembleContext): MissingPart[] {
  const missing: MissingPart[] = [];
  const ingress = counted.filter((s) => s.role === "ingress");
  const young = ctx.nowMs - (ctx.sinceMs ?? first.startedAtMs) < TRACE_STATE_TTL_MS;
  // Hosts report by ways of their own: the one where the packet entered need not be the first.
  if (ingress.length === 0) missing.push(missingIngress(first, young));
  const reported = new Set(counted.map(arrivedName));
  for (const e of ingress.flatMap((s) => s.expects)) {
    if (reported.has(expectedName(e))) continue;
    reported.add(expectedName(e));
    missing.push({ hostId: e.hostId, hostName: e.hostName, reason: reasonFor(e, young, ctx) });
  }
  for (const s of counted)
    if (s.stepsLost > 0) missing.push({ hostId: s.hostId, hostName: s.hostName, reason: "steps-lost" });
  return missing;
}

function missingIngress(egress: TraceSegment, young: boolean): MissingPart {
  const came = egress.steps.find((s) => s.kind === "tunnel-received");
  const known = came?.kind === "tunnel-received" ? came : null;
  const reason = young ? "awaited" : "ingress-missing";
  return { hostId: known?.hostId ?? null, hostName: known?.hostName ?? null, reason };
}

function reasonFor(e: ExpectedEgress, young: boolean, ctx: AssembleContext): MissingReason {
  if (ctx.orphans?.some((o) => arrivedName(o) === expectedName(e)) === true) return "state-lost";
  if (ctx.hostDown?.(e.hostId) === true) return "host-down";
  if (young) return "awaited";
  return ctx.lost?.some((l) => l.hostId === e.hostId && l.count > 0) === true ? "segments-lost" : "segment-missing";
}

function completenessOf(counted: readonly PlacedSegment[], missing: readonly MissingPart[]): Completeness {
  if (missing.length === 0) return { state: "complete", missing };
  const blind = !counted.some((s) => s.role === "ingress");
  const undecided = missing.every((m) => m.reason === "awaited");
  return { state: blind || undecided ? "unknown" : "partial", missing };
}

function outcomeOf(
  counted: readonly PlacedSegment[],
  missing: readonly MissingPart[],
): { verdict: Verdict; dropReason: DropReason | null } {
  const ingress = counted.find((s) => s.role === "ingress");
  if (ingress === undefined) return { verdict: "unknown", dropReason: null };
  if (!reached(ingress)) return { verdict: ingress.verdict, dropReason: ingress.dropReason };
  if (missing.some((m) => m.reason !== "steps-lost")) return { verdict: "unknown", dropReason: null };
  const egress = counted.filter((s) => s.role === "egress");
  const here = ingress.steps.some((s) => s.kind === "delivered");
  const failed = egress.find((s) => !reached(s));
  if (failed === undefined || here || egress.some(reached)) return { verdict: ingress.verdict, dropReason: null };
  return { verdict: failed.verdict, dropReason: failed.dropReason };
}

/**
 * The flow trace that an egress segment without trace state belongs to: exactly one ingress segment sent a copy with the
 * same 64-bit token of the same bytes, to the same host and tunnel key, and nobody has reported that copy yet. Null
 * otherwise: it stays an orphan, for an id is never made up. `candidates`: the segments of each flow trace in question;
 * `hostOfTunnelIp` (where known) excludes those that another host sent.
 */
export function joinOrphan(
  orphan: TraceSegment,
  candidates: readonly (readonly TraceSegment[])[],
  hostOfTunnelIp: (ip: string) => string | null = () => null,
): FlowTraceId | null {
  const name = arrivedName(orphan);
  if (name === null || orphan.flowTraceId !== null) return null;
  const sender = hostOfTunnelIp(orphan.arrival?.fromIp ?? "");
  const senders = candidates.flatMap((segments) =>
    segments
      .filter((s) => s.role === "ingress" && (sender === null || s.hostId === sender))
      .filter((s) => s.expects.some((e) => expectedName(e) === name))
      .map((ingress) => ({ ingress, segments })),
  );
  const ids = new Set(senders.map((s) => s.ingress.flowTraceId));
  const only = senders[0];
  if (ids.size !== 1 || only === undefined) return null;
  return only.segments.some((s) => arrivedName(s) === name) ? null : only.ingress.flowTraceId;
}
