import { flowRecord, type FlowRecord } from "#core/exporting";
import type { PublicFlowTrace } from "#core/tracing";

/** Flow traces whose last telling is remembered: one that was told before these begins anew with 1. */
const MAX_REMEMBERED = 100_000;

/** Which telling of a flow trace comes next. */
export class Revisions {
  /** The one told longest ago first. */
  private readonly told = new Map<string, { readonly revision: number; readonly id: string }>();

  /** Null: nothing that is shown has changed. */
  next(flow: PublicFlowTrace): FlowRecord | null {
    const before = this.told.get(flow.flowTraceId);
    const record = flowRecord(flow, (before?.revision ?? 0) + 1);
    if (before?.id === record.id) return null;
    this.told.delete(flow.flowTraceId);
    this.told.set(flow.flowTraceId, { revision: record.revision, id: record.id });
    if (this.told.size > MAX_REMEMBERED)
      for (const oldest of this.told.keys()) {
        this.told.delete(oldest);
        break;
      }
    return record;
  }
}
