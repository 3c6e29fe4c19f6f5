import {
  assembleFlowTrace,
  type FlowTrace,
  type PublicFlowTrace,
  type PublicStep,
  redactFlowTrace,
  shown,
  STEPS_VERSION,
  type TraceKey,
  type TraceSegment,
  type Viewer,
} from "#core/tracing";
import { hash64 } from "./hash.ts";

/** A step as a host saw it. Null where the viewer may not know. */
export interface StepRecord {
  readonly type: "step";
  /** The same step has the same id, however often it is sent. */
  readonly id: string;
  /** By the host's clock. */
  readonly atMs: number;
  readonly flowTraceId: string | null;
  readonly traceRequestIds: readonly string[];
  readonly hostId: string | null;
  readonly hostName: string | null;
  readonly cookie: number | null;
  readonly role: "ingress" | "egress";
  readonly key: TraceKey | null;
  readonly stepsVersion: number;
  readonly step: PublicStep;
}

/** A joined flow, as REST shows it. */
export interface FlowRecord {
  readonly type: "flow";
  /** The same flow trace with the same content has the same id. */
  readonly id: string;
  readonly atMs: number;
  /** From 1; one more each time that the flow trace has changed. */
  readonly revision: number;
  readonly flow: PublicFlowTrace;
}

/** Loss is an event: this record stands where the lost ones would have stood. */
export interface LossRecord {
  readonly type: "loss";
  readonly id: string;
  readonly atMs: number;
  readonly count: number;
  readonly of: "steps" | "flows" | "segments";
  readonly cause: string;
  /** The host that lost them; null: this exporter did. */
  readonly hostId: string | null;
}

/** What leaves the house by an exporter. */
export type ExportRecord = StepRecord | FlowRecord | LossRecord;

/** A record for each step that the viewer may see, and for each row of withheld ones between them; none if all are. */
export function stepRecords(segment: TraceSegment, viewer: Viewer): StepRecord[] {
  if (!viewer.admin) return tenantStepRecords(segment, viewer);
  const { segmentId, flowTraceId, requestIds: traceRequestIds, hostId, hostName, cookie, role, key } = segment;
  const id = hash64(segmentId);
  const common = { flowTraceId, traceRequestIds, hostId, hostName, cookie, role, key, stepsVersion: STEPS_VERSION };
  return segment.steps.map((step) => {
    return { type: "step", id: `${id}-${step.seq}`, atMs: step.atMs, ...common, step: shown(step) };
  });
}

/** Decided by what decides of flow traces: one that is made of this segment alone. */
function tenantStepRecords(segment: TraceSegment, viewer: Viewer): StepRecord[] {
  const alone = assembleFlowTrace([segment], { nowMs: segment.startedAtMs });
  if (alone === null) return [];
  const flow = shownFlow(alone, viewer);
  if (flow === null) return [];
  return flow.segments.flatMap((s) =>
    s.steps.map((step): StepRecord => {
      const record = {
        type: "step",
        atMs: step.withheld === true ? s.startedAtMs : step.atMs,
        flowTraceId: flow.flowTraceId,
        // A host that only delivers does not know them: one that also let the packet in must not say so by knowing more.
        traceRequestIds: s.role === "egress" ? [] : flow.traceRequestIds,
        hostId: null,
        hostName: null,
        cookie: null,
        role: s.role,
        key: flow.key,
        stepsVersion: STEPS_VERSION,
        step,
      } as const;
      // By what is shown: whoever sees it learns nothing of what is not.
      return { ...record, id: hash64(JSON.stringify(record)) };
    }),
  );
}

/** The flow trace as the viewer may see it; null when that is nothing. */
export function shownFlow(trace: FlowTrace, viewer: Viewer): PublicFlowTrace | null {
  const flow = redactFlowTrace(trace, viewer);
  return viewer.admin || flow.segments.some((s) => s.steps.some((x) => x.withheld !== true)) ? flow : null;
}

export function flowRecord(flow: PublicFlowTrace, revision: number): FlowRecord {
  const id = `${flow.flowTraceId}-${hash64(JSON.stringify(flow))}`;
  return { type: "flow", id, atMs: flow.startedAtMs, revision, flow };
}

export function lossRecord(loss: Omit<LossRecord, "type" | "id">, serial: string): LossRecord {
  return { type: "loss", id: hash64(`${serial} ${loss.atMs} ${loss.cause} ${loss.count}`), ...loss };
}

/** `12 steps were not exported: the queue was full` */
export function lossText({ count, of, cause, hostId }: LossRecord): string {
  return hostId === null
    ? `${count} ${of} were not exported: ${cause}`
    : `${count} ${of} of host ${hostId} were lost: ${cause}`;
}

/** One sentence for each record. */
export function recordText(record: ExportRecord): string {
  if (record.type === "loss") return lossText(record);
  if (record.type === "flow") return record.flow.why;
  return record.step.withheld === true ? "Withheld: steps on devices of others" : record.step.text;
}
