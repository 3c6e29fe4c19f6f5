import type {
  Completeness,
  FlowTrace,
  PlacedSegment,
  PublicFlowTrace,
  PublicSegment,
  PublicStep,
  ShownStep,
} from "./flow-trace.ts";
import { headerLine } from "./header.ts";
import { renderStep } from "./render.ts";
import type { Step, StepKind } from "./step.ts";
import type { DropReason } from "./verdict.ts";
import { culpritOf, type NamesHost, reached, type SeesStep, whyOf } from "./why.ts";

export interface Viewer {
  readonly admin: boolean;
  /** From the token, never from a parameter. The empty tenant owns nothing. */
  readonly tenantId: string;
  /** `admin`, `tenant_admin`, `tenant_user`; default none. */
  readonly roles?: readonly string[];
  /** Whether the viewer may know of a trace request; default: of those that matched on the viewer's devices. */
  readonly seesRequest?: (requestId: string) => boolean;
}

/** Infrastructure: never a tenant's, whoever owns the device that the step stands on. */
const INFRASTRUCTURE: ReadonlySet<StepKind> = new Set<StepKind>([
  "flow",
  "state-sent",
  "tunnel-sent",
  "tunnel-received",
  "verdict",
  "steps-lost",
]);

/** Drop reasons whose detail speaks of hosts, tunnels and defects. */
const INFRASTRUCTURE_DETAIL: ReadonlySet<DropReason> = new Set<DropReason>([
  "unbound-interface",
  "port-unplugged",
  "port-inactive",
  "no-tunnel",
  "topology-timeout",
  "waiting-room-full",
  "unknown-tunnel-key",
  "simulation-error",
]);

/** Everything but the owner. */
export function toPublic(trace: FlowTrace): PublicFlowTrace {
  return redactFlowTrace(trace, { admin: true, tenantId: "" });
}

/**
 * What this viewer may see. Tenants see the steps on their own devices; runs of others' steps become one
 * `{seq, withheld}` each, hosts become aliases (`host-1`, the ingress first), and nothing else (sequence numbers,
 * sentences, drop reasons, request ids) says what stood in a withheld step.
 */
export function redactFlowTrace(trace: FlowTrace, viewer: Viewer): PublicFlowTrace {
  if (viewer.admin) return { ...trace, segments: trace.segments.map((s) => adminSegment(s)) };
  const sees = seesOf(viewer);
  const alias = aliases(trace);
  const hostName: NamesHost = (id) => `host ${alias(id)}`;
  const segments = trace.segments.map((s) => ({ ...s, steps: s.steps.map(withoutHostDetail) }));
  const counted = segments.filter((s) => !s.duplicate);
  const blind = !counted.some((s) => s.role === "ingress");
  const completeness: Completeness = {
    state: trace.completeness.state,
    missing: trace.completeness.missing.map((m) =>
      m.hostId === null || m.reason === "ingress-missing" || (blind && m.reason === "awaited")
        ? { hostId: null, hostName: null, reason: m.reason }
        : { hostId: `host-${alias(m.hostId)}`, hostName: hostName(m.hostId, ""), reason: m.reason },
    ),
  };
  const asked = new Set(
    trace.segments.flatMap((s) => s.steps.flatMap((x) => (x.kind === "trace-matched" && sees(x) ? [x.requestId] : []))),
  );
  const culprit = culpritOf(counted);
  return {
    flowTraceId: trace.flowTraceId,
    traceRequestIds: trace.traceRequestIds.filter((id) => viewer.seesRequest?.(id) ?? asked.has(id)),
    startedAtMs: trace.startedAtMs,
    key: entrySeen(counted, viewer) ? trace.key : null,
    verdict: trace.verdict,
    dropReason: culprit === null || reached({ verdict: trace.verdict }) ? null : seenDropReason(culprit, sees),
    why: whyOf({ verdict: trace.verdict, segments: counted, missing: trace.completeness.missing }, sees, hostName),
    completeness,
    segments: segments.map((s) => tenantSegment(s, sees, alias)),
  };
}

function withoutHostDetail(x: Step): Step {
  return x.kind === "drop" && INFRASTRUCTURE_DETAIL.has(x.reason) ? { ...x, detail: "" } : x;
}

function seesOf(viewer: Viewer): SeesStep {
  return (step) =>
    viewer.tenantId !== "" &&
    step.owner === viewer.tenantId &&
    step.device.type !== "host" &&
    !INFRASTRUCTURE.has(step.kind) &&
    (step.kind !== "trace-matched" || (viewer.seesRequest?.(step.requestId) ?? true));
}

/** The packet entered through a port, or was made by a device, of the viewer: the first step that is not the switch's. */
function entrySeen(counted: readonly PlacedSegment[], viewer: Viewer): boolean {
  const ingress = counted.find((s) => s.role === "ingress");
  const entry = ingress?.steps.find((s) => s.device.type !== "host");
  return entry !== undefined && viewer.tenantId !== "" && entry.owner === viewer.tenantId;
}

/** Number 1 is kept for the ingress host even before it reports, so that an alias never changes its meaning. */
function aliases(trace: FlowTrace): (hostId: string) => number {
  const numbers = new Map<string, number>();
  const ingress = trace.segments.filter((s) => s.role === "ingress");
  let next = ingress.length === 0 ? 2 : 1;
  const name = (id: string): void => {
    if (!numbers.has(id)) numbers.set(id, next++);
  };
  for (const s of ingress) name(s.hostId);
  for (const e of ingress.flatMap((s) => s.expects)) name(e.hostId);
  for (const s of trace.segments) name(s.hostId);
  return (id) => numbers.get(id) ?? 0;
}

/** Read from the steps that are seen, never from the verdict of the segment: that knows the others. */
function seenDropReason(s: PlacedSegment, sees: SeesStep): DropReason | null {
  if (reached(s)) return null;
  const drop = s.steps.findLast((x) => x.kind === "drop" && sees(x));
  return drop?.kind === "drop" ? drop.reason : null;
}

function adminSegment(s: PlacedSegment): PublicSegment {
  const own = segment(s, s.hostId, s.hostName, s.cookie, s.dropReason, s.steps.map(shown));
  return { ...own, detail: s.detail ?? "full", clockOffsetMs: s.clockOffsetMs ?? null };
}

function tenantSegment(s: PlacedSegment, sees: SeesStep, alias: (id: string) => number): PublicSegment {
  const steps: PublicStep[] = [];
  for (const x of s.steps) {
    const seq = steps.length + 1;
    if (sees(x)) steps.push({ ...tenantStep(x), seq });
    else if (steps.at(-1)?.withheld !== true) steps.push({ seq, withheld: true });
  }
  const number = alias(s.hostId);
  return segment(s, `host-${number}`, `host ${number}`, null, seenDropReason(s, sees), steps);
}

function segment(
  s: PlacedSegment,
  hostId: string,
  hostName: string,
  cookie: number | null,
  dropReason: PublicSegment["dropReason"],
  steps: readonly PublicStep[],
): PublicSegment {
  const { role, startedAtMs, verdict, duplicate, joinedBy } = s;
  const place = { hostId, hostName, role, cookie, startedAtMs };
  return { ...place, verdict, dropReason, duplicate, joinedBy, detail: null, clockOffsetMs: null, steps };
}

/** A step with its sentence and without its owner. */
export function shown(step: Step): ShownStep {
  const { owner: _, ...rest } = step;
  return { ...rest, text: renderStep(step) };
}

/** Without what belongs to the host: interfaces, switch ports, host names. */
function tenantStep(x: Step): ShownStep {
  const { seq, atMs, kind, device } = x;
  if (x.kind === "packet-received")
    return { seq, atMs, kind, device, header: x.header, text: `Received: ${headerLine(x.header)}` };
  if (x.kind === "emit") {
    const text = `To leave on ${x.where === "local" ? "this" : "another"} host`;
    return { seq, atMs, kind, device, where: x.where, text };
  }
  if (x.kind === "waited") {
    // What was waited for may be somebody else's: a device further on, its neighbour.
    const text = `Waited ${x.waitedMs} ms for ${x.waitedFor === "arp" ? "an ARP answer" : "topology to be loaded"}`;
    return { seq, atMs, kind, device, waitedFor: x.waitedFor, waitedMs: x.waitedMs, text };
  }
  if (x.kind === "delivered") return { seq, atMs, kind, device, text: "Delivered" };
  return shown(x);
}
