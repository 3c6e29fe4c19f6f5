import type { PublicStep, TraceKey, Verdict } from "#core/tracing";
import { ECS_VERSION, type EcsField } from "./ecs-fields.ts";
import { isoTime } from "./iso-time.ts";
import { type ExportRecord, type FlowRecord, type LossRecord, recordText, type StepRecord } from "./records.ts";

type Json = { [name: string]: unknown };
type Fields = Partial<Record<EcsField, unknown>>;

/** A record under the names of the Elastic Common Schema, as a document: fields that have no value are left out. */
export function ecsDocument(record: ExportRecord): Json {
  const fields: Fields = {
    "@timestamp": isoTime(record.atMs),
    "ecs.version": ECS_VERSION,
    message: recordText(record),
    "event.module": "midotrace",
    "event.dataset": `midotrace.${record.type}`,
    "event.id": record.id,
    ...bodyOf(record),
  };
  const document: Json = {};
  for (const [path, value] of Object.entries(fields)) {
    if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) continue;
    const names = path.split(".");
    const leaf = names.pop() ?? "";
    let at = document;
    for (const name of names) at = (at[name] ??= {}) as Json;
    at[leaf] = value;
  }
  return document;
}

function bodyOf(record: ExportRecord): Fields {
  switch (record.type) {
    case "step":
      return stepFields(record);
    case "flow":
      return flowFields(record);
    case "loss":
      return lossFields(record);
  }
}

function stepFields(r: StepRecord): Fields {
  const { step } = r;
  const drop = step.withheld !== true && step.kind === "drop";
  return {
    "event.kind": "event",
    "event.category": ["network"],
    "event.type": [drop ? "denied" : "info"],
    "event.action": step.withheld === true ? "withheld" : step.kind,
    "event.sequence": step.seq,
    "event.outcome": drop ? "failure" : "success",
    ...(drop ? { "event.reason": step["reason"] } : {}),
    ...contextOf(r.flowTraceId, r.traceRequestIds),
    "labels.cookie": r.cookie === null ? null : String(r.cookie),
    "host.id": r.hostId,
    "host.name": r.hostName || null,
    ...keyFields(r.key),
    "midotrace.role": r.role,
    "midotrace.steps_version": r.stepsVersion,
    ...(step.withheld === true
      ? { "midotrace.withheld": true }
      : {
          "midotrace.device.type": step.device.type,
          "midotrace.device.id": step.device.id,
          "midotrace.device.name": step.device.name || null,
          "midotrace.step": step,
        }),
  };
}

function flowFields(r: FlowRecord): Fields {
  const { flow } = r;
  const steps = flow.segments.flatMap((s) => s.steps);
  const devices = steps.flatMap((x) => (x.withheld === true ? [] : [x.device]));
  const outcome = outcomeOf(flow.verdict);
  const denied = outcome === "failure" ? ["denied"] : outcome === "success" ? ["allowed"] : [];
  return {
    "event.kind": "event",
    "event.category": ["network"],
    "event.type": ["connection", ...denied],
    "event.action": "flow-traced",
    "event.sequence": r.revision,
    "event.outcome": outcome,
    "event.reason": flow.dropReason,
    ...contextOf(flow.flowTraceId, flow.traceRequestIds),
    "labels.cookie": unique(flow.segments.map((s) => s.cookie)).map(String),
    "host.id": unique(flow.segments.map((s) => s.hostId)),
    "host.name": unique(flow.segments.map((s) => s.hostName || null)),
    ...keyFields(flow.key),
    "midotrace.device.type": unique(devices.map((d) => d.type)),
    "midotrace.device.id": unique(devices.map((d) => d.id)),
    "midotrace.device.name": unique(devices.map((d) => d.name || null)),
    "midotrace.withheld": steps.some(isWithheld),
    "midotrace.verdict": flow.verdict,
    "midotrace.completeness": flow.completeness.state,
    "midotrace.missing.host_id": unique(flow.completeness.missing.map((m) => m.hostId)),
    "midotrace.missing.reason": unique(flow.completeness.missing.map((m) => m.reason)),
    "midotrace.revision": r.revision,
    "midotrace.flow": flow,
  };
}

function lossFields(r: LossRecord): Fields {
  return {
    "event.kind": "pipeline_error",
    "event.action": "records-lost",
    "event.outcome": "failure",
    "event.reason": r.cause,
    "host.id": r.hostId,
    "midotrace.lost.count": r.count,
    "midotrace.lost.of": r.of,
  };
}

function contextOf(flowTraceId: string | null, requestIds: readonly string[]): Fields {
  return {
    "trace.id": flowTraceId?.replaceAll("-", ""),
    "labels.flow_trace_id": flowTraceId,
    "labels.trace_request_ids": requestIds,
  };
}

const TYPES: Readonly<Record<number, string>> = { 0x0800: "ipv4", 0x86dd: "ipv6", 0x0806: "arp" };
export const TRANSPORTS: Readonly<Record<number, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp" };

/** Whether the ports of the key are ports: of ICMP, its identifier stands there. */
export const hasPorts = (key: TraceKey): boolean => key.networkProto === 6 || key.networkProto === 17;

function keyFields(key: TraceKey | null): Fields {
  if (key === null) return {};
  const ip = key.etherType === 0x0800 || key.etherType === 0x86dd;
  const ports = ip && hasPorts(key);
  const icmp = ip && (key.networkProto === 1 || key.networkProto === 58);
  return {
    "source.mac": ecsMac(key.ethSrc),
    "source.ip": key.networkSrc,
    "source.port": ports ? key.srcPort : null,
    "destination.mac": ecsMac(key.ethDst),
    "destination.ip": key.networkDst,
    "destination.port": ports ? key.dstPort : null,
    "network.type": TYPES[key.etherType],
    "network.transport": ip ? TRANSPORTS[key.networkProto ?? -1] : null,
    "network.iana_number": ip && key.networkProto !== null ? String(key.networkProto) : null,
    "midotrace.icmp_id": icmp ? key.srcPort : null,
  };
}

/** Of the verdict that a flow came to. */
export function outcomeOf(verdict: Verdict): "success" | "failure" | "unknown" {
  if (verdict === "unknown") return "unknown";
  return verdict === "dropped" || verdict === "rejected" || verdict === "error" ? "failure" : "success";
}

/** RFC 7042's notation, as ECS has it: `AC-CA-BA-00-00-01`. */
const ecsMac = (mac: string): string => mac.toUpperCase().replaceAll(":", "-");
const isWithheld = (step: PublicStep): boolean => step.withheld === true;
const unique = <T>(values: readonly (T | null)[]): T[] => [...new Set(values)].filter((v): v is T => v !== null);
