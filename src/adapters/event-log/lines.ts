import { printable, renderStep, type Step, STEPS_VERSION, type TraceSegment } from "#core/tracing";

export type LogFormat = "json" | "text";

function isoTime(atMs: number): string {
  return Number.isFinite(atMs) && Math.abs(atMs) <= 8.64e15 ? new Date(atMs).toISOString() : "unknown";
}

/** One line per step, each ending with a line feed; the owner of a device is not in them. */
export function segmentLines(segment: TraceSegment, format: LogFormat): string[] {
  return segment.steps.map((step) => (format === "json" ? jsonLine(segment, step) : textLine(segment, step)));
}

function jsonLine(s: TraceSegment, step: Step): string {
  const { key } = s;
  const line = {
    time: isoTime(step.atMs),
    cookie: s.cookie,
    flowTraceId: s.flowTraceId,
    traceRequestIds: s.requestIds,
    hostId: s.hostId,
    hostName: s.hostName,
    role: s.role,
    seq: step.seq,
    kind: step.kind,
    stepsVersion: STEPS_VERSION,
    device: step.device,
    ethSrc: key.ethSrc,
    ethDst: key.ethDst,
    etherType: key.etherType,
    networkSrc: key.networkSrc,
    networkDst: key.networkDst,
    networkProto: key.networkProto,
    srcPort: key.srcPort,
    dstPort: key.dstPort,
    text: renderStep(step),
  };
  return `${JSON.stringify(line)}\n`;
}

function textLine(s: TraceSegment, step: Step): string {
  const { device } = step;
  const context = `cookie=${s.cookie} flow=${s.flowTraceId ?? "none"} requests=${s.requestIds.join(",") || "none"}`;
  const where = `${device.type} ${device.name === "" ? device.id : device.name}`;
  const text = `${isoTime(step.atMs)} ${s.hostName} ${s.hostId} ${s.role} [${context}] ${where}: ${renderStep(step)}`;
  return `${printable(text)}\n`;
}

/** Loss is an event: this line stands where the lost ones would have stood. */
export function lossLine(
  atMs: number,
  count: number,
  because: string,
  hostId: string | null,
  format: LogFormat,
): string {
  const text = `${count} ${hostId === null ? "log lines" : "segments"} were lost: ${because}`;
  if (format === "json")
    return `${JSON.stringify({ time: isoTime(atMs), kind: "lost", count, because, hostId, text })}\n`;
  return `${printable(`${isoTime(atMs)} ${hostId ?? "log"}: ${text}`)}\n`;
}
