import type { FlowTrace, PlacedSegment, PublicFlowTrace, PublicSegment } from "./flow-trace.ts";
import { redactForTenant } from "./redact-tenant.ts";
import { shown } from "./shown.ts";

export interface Viewer {
  readonly admin: boolean;
  /** From the token, never from a parameter. The empty tenant owns nothing. */
  readonly tenantId: string;
  /** `admin`, `tenant_admin`, `tenant_user`; default none. */
  readonly roles?: readonly string[];
  /** Whether the viewer may know of a trace request; default: of those that matched on the viewer's devices. */
  readonly seesRequest?: (requestId: string) => boolean;
}

/** A flow trace as a viewer sees it, and what its parts were made from: for who needs more of those than is shown. */
export interface FlowTraceView {
  readonly shown: PublicFlowTrace;
  /** In the order of `shown.segments`. A host's part that is not shown is not here either. */
  readonly segments: readonly { readonly of: PlacedSegment; readonly shown: PublicSegment }[];
}

/** Everything but the owners. */
export function toPublic(trace: FlowTrace): PublicFlowTrace {
  return adminView(trace).shown;
}

/**
 * What this viewer may see: everything for an administrator. A tenant's view is made from the steps on the tenant's own
 * devices and from what became of the packet, and from nothing else: whatever changes on devices of others, the view is
 * the same to the byte (docs/reference/what-tenants-see.md).
 */
export function redactFlowTrace(trace: FlowTrace, viewer: Viewer): PublicFlowTrace {
  return viewOf(trace, viewer).shown;
}

/** `redactFlowTrace`, with the segments that are shown. */
export function viewOf(trace: FlowTrace, viewer: Viewer): FlowTraceView {
  return viewer.admin ? adminView(trace) : redactForTenant(trace, viewer);
}

function adminView(trace: FlowTrace): FlowTraceView {
  const segments = trace.segments.map((of) => ({ of, shown: adminSegment(of) }));
  return { shown: { ...trace, segments: segments.map((s) => s.shown) }, segments };
}

function adminSegment(s: PlacedSegment): PublicSegment {
  const { hostId, hostName, role, cookie, startedAtMs, verdict, dropReason, duplicate, joinedBy } = s;
  const place = { hostId, hostName, role, cookie, startedAtMs };
  const known = { detail: s.detail ?? "full", clockOffsetMs: s.clockOffsetMs ?? null };
  return { ...place, verdict, dropReason, duplicate, joinedBy, ...known, steps: s.steps.map(shown) };
}
