import type { FlowTraceId, TraceRequestId } from "#core/base";
import {
  type Completeness,
  type FlowTrace,
  type MissingPart,
  type MissingReason,
  type PlacedSegment,
  REPORTED_REASONS,
} from "./flow-trace.ts";
import type { LossAbout } from "./loss.ts";
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
  /**
   * When, by the same clock, the host had last handed over everything it had; null: never. What it has not reported by
   * then does not come. Default: nobody knows.
   */
  readonly caughtUpMs?: (hostId: string) => number | null;
  /** Reports that hosts say they lost, at about this time, or those that name this flow trace. */
  readonly lost?: readonly LossNote[];
  /** Egress segments whose state was lost and that could not be joined to one flow trace. */
  readonly orphans?: readonly TraceSegment[];
}

/** A host's word that reports never come. */
export interface LossNote {
  readonly hostId: string;
  readonly count: number;
  readonly because: string;
  readonly about?: LossAbout;
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
    why: whyOf({ verdict: outcome.verdict, segments: counted, missing }, plainName),
    completeness: completenessOf(counted, missing),
    segments: placed,
  };
}

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
  const sinceMs = ctx.sinceMs ?? first.startedAtMs;
  const young = ctx.nowMs - sinceMs < TRACE_STATE_TTL_MS;
  const flow = { id: counted.find((s) => s.flowTraceId !== null)?.flowTraceId ?? null, sinceMs, young };
  // Hosts report by ways of their own: the one where the packet entered need not be the first.
  if (ingress.length === 0) missing.push(missingIngress(first, flow, ctx));
  const reported = new Set(counted.map(arrivedName));
  for (const e of ingress.flatMap((s) => s.expects)) {
    if (reported.has(expectedName(e))) continue;
    reported.add(expectedName(e));
    missing.push({ hostId: e.hostId, hostName: e.hostName, reason: reasonFor(e, flow, ctx) });
  }
  for (const s of counted) {
    const lacks = (reason: MissingReason): unknown => missing.push({ hostId: s.hostId, hostName: s.hostName, reason });
    if (s.stepsLost > 0) lacks("steps-lost");
    if ((s.detail ?? "full") !== "full") lacks("truncated");
    if (s.storeAway === true) lacks("store-unreachable");
  }
  return missing;
}

interface InQuestion {
  readonly id: string | null;
  readonly sinceMs: number;
  readonly young: boolean;
}

function missingIngress(egress: TraceSegment, flow: InQuestion, ctx: AssembleContext): MissingPart {
  const came = egress.steps.find((s) => s.kind === "tunnel-received");
  const known = came?.kind === "tunnel-received" ? came : null;
  const hostId = known?.hostId ?? null;
  const part = (reason: MissingReason): MissingPart => ({ hostId, hostName: known?.hostName ?? null, reason });
  if (hostId !== null && saysLost(hostId, flow, ctx)) return part("segments-lost");
  return part(flow.young ? "awaited" : "ingress-missing");
}

function reasonFor(e: ExpectedEgress, flow: InQuestion, ctx: AssembleContext): MissingReason {
  if (ctx.orphans?.some((o) => arrivedName(o) === expectedName(e)) === true) return "state-lost";
  if (saysLost(e.hostId, flow, ctx)) return "segments-lost";
  if (ctx.hostDown?.(e.hostId) === true) return "host-down";
  if (flow.young) return "awaited";
  // Somebody's part is lost there, and it is not said whose.
  if (ctx.lost?.some((l) => l.hostId === e.hostId && l.count > 0 && !namesAll(l)) === true) return "segments-lost";
  if (ctx.caughtUpMs === undefined) return "segment-missing";
  const heardMs = ctx.caughtUpMs(e.hostId);
  return heardMs === null || heardMs < flow.sinceMs + TRACE_STATE_TTL_MS ? "late" : "segment-missing";
}

/** The host names this flow trace among those whose part it lost. */
function saysLost(hostId: string, flow: InQuestion, ctx: AssembleContext): boolean {
  return (
    ctx.lost?.some((l) => l.hostId === hostId && l.about?.flowTraceIds.some((id) => id === flow.id) === true) === true
  );
}

/** Nobody else's part can be meant. Flows that were only counted have no flow trace that could miss something. */
function namesAll(l: LossNote): boolean {
  return l.about !== undefined && (l.about.cause === "budget" || l.about.flowTraceIds.length >= l.count);
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
  if (missing.some((m) => !REPORTED_REASONS.has(m.reason))) return { verdict: "unknown", dropReason: null };
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
