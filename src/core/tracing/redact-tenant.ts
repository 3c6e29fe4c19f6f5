import { arrivedName, copyName } from "./assemble.ts";
import {
  type Completeness,
  type FlowTrace,
  type MissingPart,
  type MissingReason,
  type PlacedSegment,
  type PublicFlowTrace,
  type PublicSegment,
  type PublicStep,
  REPORTED_REASONS,
} from "./flow-trace.ts";
import { outline, seesOf } from "./outline.ts";
import type { FlowTraceView, Viewer } from "./redact.ts";
import type { ExpectedEgress } from "./segment.ts";
import { shownToTenant, toldToTenant } from "./shown.ts";
import type { Step } from "./step.ts";
import { tenantOutcome } from "./tenant-outcome.ts";
import { reached } from "./why.ts";

/** One host's part as a tenant may know it. */
export interface SeenSegment {
  readonly of: PlacedSegment;
  /** The tenant's name for the host. */
  readonly host: number;
  readonly role: "ingress" | "egress";
  /** Null: somebody else's. */
  readonly steps: readonly (Step | null)[];
}

/** What a tenant's view is made from: nothing else of the flow trace is looked at afterwards. */
export interface SeenTrace {
  readonly segments: readonly SeenSegment[];
  readonly completeness: Completeness;
}

/** See `viewOf`. */
export function redactForTenant(trace: FlowTrace, viewer: Viewer): FlowTraceView {
  const { tenantId } = viewer;
  const seen = seenTrace(trace, viewer);
  const entry = entrySeen(trace, tenantId);
  const ingress = seen.segments.find((s) => s.role === "ingress");
  const startedAtMs = (ingress ?? seen.segments[0])?.of.startedAtMs ?? trace.startedAtMs;
  const asked = new Set(
    seen.segments.flatMap((s) => s.steps.flatMap((x) => (x?.kind === "trace-matched" ? [x.requestId] : []))),
  );
  const segments = seen.segments.map((s) => ({ of: s.of, shown: tenantSegment(s, tenantId, startedAtMs, entry) }));
  const shown: PublicFlowTrace = {
    flowTraceId: trace.flowTraceId,
    traceRequestIds: trace.traceRequestIds.filter((id) => viewer.seesRequest?.(id) ?? asked.has(id)),
    startedAtMs,
    key: entry ? trace.key : null,
    ...tenantOutcome(trace.verdict, seen),
    completeness: seen.completeness,
    segments: segments.map((s) => s.shown),
  };
  return { shown, segments };
}

/** The packet entered through a port, or was made by a device, of the viewer: the first step that is not the switch's. */
function entrySeen(trace: FlowTrace, tenantId: string): boolean {
  const ingress = trace.segments.find((s) => s.role === "ingress" && !s.duplicate);
  const entry = ingress?.steps.find((s) => s.device.type !== "host");
  return entry !== undefined && tenantId !== "" && entry.owner === tenantId;
}

function seenTrace(trace: FlowTrace, viewer: Viewer): SeenTrace {
  const sees = seesOf(viewer);
  const entry = entrySeen(trace, viewer.tenantId);
  const hosts = new Map<string, number>();
  // Number 1 is kept for the ingress host even before it reports, so that a name never changes its meaning.
  const hostOf = (id: string): number => hosts.get(id) ?? hosts.set(id, hosts.size + (entry ? 1 : 2)).get(id) ?? 0;
  const told = (s: PlacedSegment): (Step | null)[] =>
    outline(s.steps, sees).map((x) => (x === null ? null : toldToTenant(x, viewer.tenantId)));
  const ingress = trace.segments.filter((s) => s.role === "ingress");
  const egress = trace.segments
    .filter((s) => s.role === "egress")
    .map((of) => ({ of, role: "egress" as const, steps: told(of) }))
    .filter((s) => s.steps.length > 0);
  const first = ingress.map((of) => ({ of, role: "ingress" as const, steps: told(of) }));
  if (entry) for (const s of first) hostOf(s.of.hostId);
  const copies = ownCopies(ingress, viewer.tenantId);
  for (const place of places(first)) hostOf(place);
  for (const s of egress) hostOf(s.of.hostId);
  const arriving = egress.map((s) => ({ ...s, host: hostOf(s.of.hostId) }));
  const segments = entry
    ? [...first.map((s) => ({ ...s, host: hostOf(s.of.hostId) })), ...arriving]
    : [...first.flatMap((s) => apart(s, hostOf)), ...arriving].sort(byPlace(places(first)));
  return { segments, completeness: completenessFor(trace, copies, segments, hostOf) };
}

/** Hosts of the tenant's own ports that the packet left by, in that order. */
function places(segments: readonly { readonly steps: readonly (Step | null)[] }[]): string[] {
  return segments.flatMap((s) => s.steps.flatMap((x) => (x?.kind === "emit" ? [x.hostId] : [])));
}

const byPlace =
  (order: readonly string[]) =>
  (a: SeenSegment, b: SeenSegment): number =>
    rank(order, a) - rank(order, b);
const rank = (order: readonly string[], s: SeenSegment): number =>
  s.role === "ingress" ? -1 : (order.indexOf(s.of.hostId) + order.length + 1) % (order.length + 1);

/**
 * The packet came from somebody else, whose host is not the tenant's to know: what this host delivered to the tenant's
 * ports looks as if it had been another host.
 */
function apart(s: Omit<SeenSegment, "host">, hostOf: (id: string) => number): SeenSegment[] {
  const delivered = s.steps.filter((x) => x?.kind === "delivered");
  const rest = s.steps.filter((x) => x?.kind !== "delivered");
  return [
    { ...s, host: 1, steps: rest },
    ...delivered.map((x) => ({ of: s.of, role: "egress" as const, host: hostOf(s.of.hostId), steps: [x] })),
  ];
}

/** Copies that were sent to ports of the tenant on other hosts. */
function ownCopies(ingress: readonly PlacedSegment[], tenantId: string): ExpectedEgress[] {
  if (tenantId === "") return [];
  return ingress.flatMap((s) => {
    const own = new Set(
      s.steps.flatMap((x) => (x.kind === "tunnel-sent" && x.owner === tenantId ? [`${x.hostId} ${x.tunnelKey}`] : [])),
    );
    return s.expects.filter((e) => own.has(`${e.hostId} ${e.tunnelKey}`));
  });
}

/** What others' hosts did not report is one missing part that names nobody. */
function completenessFor(
  trace: FlowTrace,
  copies: readonly ExpectedEgress[],
  segments: readonly SeenSegment[],
  hostOf: (id: string) => number,
): Completeness {
  const { missing } = trace.completeness;
  const named = (host: number, reason: MissingReason): MissingPart => ({
    hostId: `host-${host}`,
    hostName: `host ${host}`,
    reason,
  });
  const nameless = (reason: MissingReason): MissingPart => ({ hostId: null, hostName: null, reason });
  const parts: MissingPart[] = [];
  const blind = !trace.segments.some((s) => s.role === "ingress" && !s.duplicate);
  if (blind) parts.push(nameless(missing.some((m) => m.reason === "awaited") ? "awaited" : "ingress-missing"));
  const reported = new Set(segments.map((s) => arrivedName(s.of)));
  const silent = new Set(
    copies.filter((e) => !reported.has(copyName(e.hostId, e.tunnelKey, e.token))).map((e) => e.hostId),
  );
  const of = (host: string): MissingReason[] =>
    missing.filter((m) => m.hostId === host && !REPORTED_REASONS.has(m.reason)).map((m) => reasonTold(m.reason));
  for (const host of silent) parts.push(named(hostOf(host), of(host).toSorted()[0] ?? "awaited"));
  for (const s of segments) {
    if (s.of.role !== s.role) continue;
    if (s.of.stepsLost > 0) parts.push(named(s.host, "steps-lost"));
    if ((s.of.detail ?? "full") !== "full") parts.push(named(s.host, "truncated"));
  }
  const others = missing.filter((m) => !REPORTED_REASONS.has(m.reason) && !blind && !silent.has(m.hostId ?? ""));
  if (others.length > 0)
    parts.push(nameless(others.every((m) => m.reason === "awaited") ? "awaited" : "segment-missing"));
  if (parts.length === 0) return { state: "complete", missing: parts };
  const undecided = blind || parts.every((m) => m.reason === "awaited");
  return { state: undecided ? "unknown" : "partial", missing: parts };
}

/** How a trace's state travels between hosts is not the tenant's. */
const reasonTold = (reason: MissingReason): MissingReason => (reason === "state-lost" ? "segment-missing" : reason);

function tenantSegment(s: SeenSegment, tenantId: string, startedAtMs: number, where: boolean): PublicSegment {
  const outcome = tenantOutcome(s.of.verdict, { segments: [s], completeness: { state: "complete", missing: [] } });
  const steps = s.steps.map((x, i): PublicStep => {
    if (x === null) return { seq: i + 1, withheld: true };
    return { ...shownToTenant(x, tenantId, where), seq: i + 1, atMs: startedAtMs };
  });
  return {
    hostId: `host-${s.host}`,
    hostName: `host ${s.host}`,
    role: s.role,
    cookie: null,
    startedAtMs,
    verdict: outcome.verdict,
    dropReason: reached(outcome) ? null : outcome.dropReason,
    duplicate: s.of.duplicate,
    joinedBy: s.of.joinedBy,
    detail: null,
    clockOffsetMs: null,
    steps,
  };
}
