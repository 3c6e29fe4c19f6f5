import { createHash } from "node:crypto";
import { type FlowEventDto, stringifyExactJson } from "#core/api-contract";
import { type FlowEvent, type FlowTrace, redactFlowTrace, type Viewer } from "#core/tracing";

/** Flow traces of one stream whose last view is remembered. */
const REMEMBERED = 1_000;

/**
 * What a tenant's stream tells of changes of flow traces: only those that change what the tenant sees, and none while a
 * host is awaited (at most 5 s). That a host reported steps on devices of others, and when, is not the tenant's.
 */
export class TenantEvents {
  private readonly viewer: Viewer;
  private readonly resumed: boolean;
  private readonly told = new Map<string, string>();

  /** @param resumed the client has seen events before: what is new to it is not known. */
  constructor(viewer: Viewer, resumed: boolean) {
    this.viewer = viewer;
    this.resumed = resumed;
  }

  /** Null: nothing to tell. */
  dtoOf(change: FlowEvent["change"], trace: FlowTrace): FlowEventDto | null {
    const flow = redactFlowTrace(trace, this.viewer);
    if (this.viewer.admin) return { change, flow };
    const before = this.told.get(trace.flowTraceId);
    // Which hosts report after which says where others' devices are: told is what stands when nothing is awaited.
    if (flow.completeness.missing.some((m) => m.reason === "awaited")) return null;
    const now = createHash("sha256").update(stringifyExactJson(flow)).digest("base64");
    this.told.delete(trace.flowTraceId);
    this.told.set(trace.flowTraceId, now);
    for (const oldest of this.told.keys()) {
      if (this.told.size <= REMEMBERED) break;
      this.told.delete(oldest);
    }
    if (before === now) return null;
    if (before !== undefined) return { change: "changed", flow };
    return { change: this.resumed ? change : "new", flow };
  }
}
