import type { DeviceRef, PublicSegment, PublicStep, TraceKey } from "#core/tracing";
import { hasPorts, outcomeOf, TRANSPORTS } from "./ecs.ts";
import { hash64 } from "./hash.ts";
import { type FlowRecord, type LossRecord, lossText, recordText, type StepRecord } from "./records.ts";

export type Attributes = Record<string, string | number | boolean | string[]>;

/** A span of a distributed trace, in OpenTelemetry's words; ids are hex digits. */
export interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string | null;
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  /** The message of an error status; null: no error. */
  readonly error: string | null;
  readonly events: readonly { readonly atMs: number; readonly name: string; readonly attributes: Attributes }[];
  /** Null: not of one host. */
  readonly host: { readonly id: string; readonly name: string } | null;
}

/** A log record, in OpenTelemetry's words. */
export interface LogEntry {
  readonly atMs: number;
  readonly severity: "INFO" | "WARN" | "ERROR";
  readonly eventName: string;
  readonly body: string;
  readonly traceId: string | null;
  readonly spanId: string | null;
  readonly attributes: Attributes;
  readonly host: { readonly id: string; readonly name: string } | null;
}

/** The 128 bits of the UUID: a flow trace has one id everywhere. */
export const traceIdOf = (flowTraceId: string): string => flowTraceId.replaceAll("-", "");
const spanIdOf = (flowTraceId: string, place: string): string => hash64(`${flowTraceId} ${place}`);

/**
 * One flow trace as one distributed trace: a root span, below it a span for each host's part, below that a span for each
 * device on the way, with the steps as its events. Ids depend on the place alone, so that a flow that is told again
 * replaces itself where the target can do that.
 */
export function flowSpans(record: FlowRecord): Span[] {
  const { flow, revision } = record;
  const { flowTraceId, completeness, key } = flow;
  const traceId = traceIdOf(flowTraceId);
  const root = spanIdOf(flowTraceId, "flow");
  const below = flow.segments.flatMap((s, i) => segmentSpans(s, traceId, root, `${flowTraceId} ${i}`));
  const startMs = Math.min(...below.map((s) => s.startMs));
  const endMs = Math.max(...below.map((s) => s.endMs));
  const missing = completeness.missing.map((m) => `${m.hostName ?? m.hostId ?? "a host"}: ${m.reason}`);
  const attributes: Attributes = {
    ...contextOf(flowTraceId, flow.traceRequestIds),
    ...keyAttributes(key),
    "midotrace.verdict": flow.verdict,
    "midotrace.why": flow.why,
    "midotrace.completeness": completeness.state,
    "midotrace.revision": revision,
    ...(flow.dropReason === null ? {} : { "midotrace.drop_reason": flow.dropReason }),
    ...(missing.length === 0 ? {} : { "midotrace.missing": missing }),
  };
  const error = outcomeOf(flow.verdict) === "failure" ? flow.why : null;
  const span = { traceId, spanId: root, parentSpanId: null, name: flowName(key), startMs, endMs, attributes, error };
  return [{ ...span, events: [], host: null }, ...below];
}

/** In the collector's time, as far as it is known how far the host's clock is ahead. */
function segmentSpans(s: PublicSegment, traceId: string, parent: string, place: string): Span[] {
  const aheadMs = s.clockOffsetMs ?? 0;
  const host = { id: s.hostId, name: s.hostName };
  const spanId = hash64(place);
  const devices = visits(s).map((visit, i): Span => {
    const drop = visit.steps.find((x) => x.withheld !== true && x.kind === "drop");
    return {
      traceId,
      spanId: hash64(`${place} ${i}`),
      parentSpanId: spanId,
      name: visit.device === null ? "withheld" : deviceName(visit.device),
      startMs: visit.startMs - aheadMs,
      endMs: visit.endMs - aheadMs,
      attributes: visit.device === null ? { "midotrace.withheld": true } : deviceAttributes(visit.device),
      error: drop === undefined || drop.withheld === true ? null : drop.text,
      events: visit.steps.flatMap((x) => (x.withheld === true ? [] : [eventOf(x, aheadMs)])),
      host,
    };
  });
  const startMs = Math.min(s.startedAtMs - aheadMs, ...devices.map((d) => d.startMs));
  const endMs = Math.max(s.startedAtMs - aheadMs, ...devices.map((d) => d.endMs));
  const error = devices.find((d) => d.error !== null)?.error ?? null;
  const failed = outcomeOf(s.verdict) === "failure";
  const attributes: Attributes = {
    "midotrace.role": s.role,
    "midotrace.verdict": s.verdict,
    "midotrace.duplicate": s.duplicate,
    ...(s.detail === null ? {} : { "midotrace.detail": s.detail }),
    ...(s.clockOffsetMs === null ? {} : { "midotrace.clock_offset_ms": s.clockOffsetMs }),
    ...(s.cookie === null ? {} : { "midotrace.cookie": s.cookie }),
    ...(s.dropReason === null ? {} : { "midotrace.drop_reason": s.dropReason }),
  };
  const name = `${s.role} at ${s.hostName === "" ? s.hostId : s.hostName}`;
  const span = { traceId, spanId, parentSpanId: parent, name, startMs, endMs, attributes, events: [], host };
  return [{ ...span, error: failed ? (error ?? s.verdict) : null }, ...devices];
}

interface Visit {
  /** Null: somebody else's. */
  readonly device: DeviceRef | null;
  readonly steps: PublicStep[];
  readonly startMs: number;
  endMs: number;
}

/** The devices of a segment in the order of the way, each as often as the packet came there. */
function visits(s: PublicSegment): Visit[] {
  const out: Visit[] = [];
  let nowMs = s.startedAtMs;
  for (const step of s.steps) {
    const device = step.withheld === true ? null : step.device;
    if (step.withheld !== true) nowMs = step.atMs;
    const last = out.at(-1);
    if (last !== undefined) last.endMs = Math.max(last.endMs, nowMs);
    if (last !== undefined && last.device?.id === device?.id && last.device?.type === device?.type)
      last.steps.push(step);
    else out.push({ device, steps: [step], startMs: nowMs, endMs: nowMs });
  }
  return out;
}

function eventOf(step: Exclude<PublicStep, { readonly withheld: true }>, aheadMs: number): Span["events"][number] {
  return {
    atMs: step.atMs - aheadMs,
    name: step.kind,
    attributes: { "midotrace.seq": step.seq, "midotrace.text": step.text },
  };
}

/** A step as a log record that stands beside the spans of its flow trace. */
export function stepLog(record: StepRecord): LogEntry {
  const { step, flowTraceId, hostId, hostName, cookie } = record;
  const drop = step.withheld !== true && step.kind === "drop";
  return {
    atMs: record.atMs,
    severity: drop ? "WARN" : "INFO",
    eventName: "midotrace.step",
    body: recordText(record),
    traceId: flowTraceId === null ? null : traceIdOf(flowTraceId),
    // Of the root: which part of the flow trace this one is, is not known before they are joined.
    spanId: flowTraceId === null ? null : spanIdOf(flowTraceId, "flow"),
    attributes: {
      "midotrace.id": record.id,
      ...(flowTraceId === null ? {} : contextOf(flowTraceId, record.traceRequestIds)),
      ...keyAttributes(record.key),
      "midotrace.role": record.role,
      "midotrace.seq": step.seq,
      "midotrace.steps_version": record.stepsVersion,
      ...(cookie === null ? {} : { "midotrace.cookie": cookie }),
      ...(step.withheld === true
        ? { "midotrace.withheld": true }
        : { "midotrace.kind": step.kind, ...deviceAttributes(step.device) }),
      ...(drop ? { "midotrace.drop_reason": String(step["reason"]) } : {}),
    },
    host: hostId === null ? null : { id: hostId, name: hostName ?? "" },
  };
}

export function lossLog(record: LossRecord): LogEntry {
  const body = lossText(record);
  const common = { atMs: record.atMs, severity: "ERROR", eventName: "midotrace.loss", body } as const;
  return { ...common, traceId: null, spanId: null, attributes: lossAttributes(record), host: null };
}

/** Where only spans are taken: a trace of its own. */
export function lossSpan(record: LossRecord): Span {
  const traceId = hash64(record.id) + hash64(`${record.id} trace`);
  const at = { startMs: record.atMs, endMs: record.atMs, events: [], host: null };
  const attributes = lossAttributes(record);
  const ids = { traceId, spanId: hash64(`${record.id} span`), parentSpanId: null };
  return { ...ids, name: "midotrace.loss", attributes, error: lossText(record), ...at };
}

function lossAttributes(record: LossRecord): Attributes {
  return {
    "midotrace.id": record.id,
    "midotrace.lost.count": record.count,
    "midotrace.lost.of": record.of,
    "midotrace.lost.cause": record.cause,
    ...(record.hostId === null ? {} : { "host.id": record.hostId }),
  };
}

const contextOf = (flowTraceId: string, requestIds: readonly string[]): Attributes => {
  return { "midotrace.flow_trace_id": flowTraceId, "midotrace.trace_request_ids": [...requestIds] };
};

const deviceName = (d: DeviceRef): string => `${d.type} ${d.name === "" ? d.id : d.name}`;
const deviceAttributes = (d: DeviceRef): Attributes => {
  return { "midotrace.device.type": d.type, "midotrace.device.id": d.id, "midotrace.device.name": d.name };
};

/** Names of OpenTelemetry's semantic conventions. */
function keyAttributes(key: TraceKey | null): Attributes {
  if (key === null) return {};
  const attributes: Attributes = {};
  if (key.networkSrc !== null) attributes["source.address"] = key.networkSrc;
  if (key.networkDst !== null) attributes["destination.address"] = key.networkDst;
  const transport = TRANSPORTS[key.networkProto ?? -1];
  if (transport !== undefined) attributes["network.transport"] = transport;
  if (hasPorts(key)) {
    attributes["source.port"] = key.srcPort ?? 0;
    attributes["destination.port"] = key.dstPort ?? 0;
  }
  return attributes;
}

function flowName(key: TraceKey | null): string {
  if (key === null) return "flow";
  return `${TRANSPORTS[key.networkProto ?? -1] ?? "flow"} ${key.networkSrc ?? key.ethSrc} > ${key.networkDst ?? key.ethDst}`;
}
