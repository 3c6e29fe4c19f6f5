import { base64Encode } from "#core/base";
import { type FlowMask, formatAction, type FlowAction, formatMasked, withTraceBit } from "#core/flows";
import { formatIpv4, headerBytes } from "#core/packets";
import type { PacketContext } from "#core/simulation";
import type { PortDevice } from "#core/topology";
import {
  type DropReason,
  type ExpectedEgress,
  type PacketBytes,
  type Recorder,
  traceKeyOf,
  type TraceSegment,
  type Verdict,
} from "#core/tracing";
import type { PacketJob } from "./job.ts";

/** Who reports: the host and this run of its agent. */
export interface Reporter {
  readonly hostId: string;
  readonly hostName: string;
  /** Differs at each start of the agent, so that segment ids never repeat. */
  readonly bootId: string;
  /** Bytes of each traced packet that its segment keeps; 0: its headers and no payload. */
  readonly captureBytes: number;
  /** The store cannot be asked now. */
  readonly storeAway: () => boolean;
}

/** Unique: the segment's id, and what a loss of it is noted under. */
export const reportId = ({ hostId, bootId }: Pick<Reporter, "hostId" | "bootId">, cookie: number): string =>
  `${hostId}/${bootId}/${cookie}`;

/** The beginning of a traced packet, as the segment keeps it. */
export function packetBytes(frame: Uint8Array, { captureBytes }: Pick<Reporter, "captureBytes">): PacketBytes {
  const kept = frame.subarray(0, captureBytes === 0 ? headerBytes(frame) : captureBytes);
  return { originalLength: frame.length, bytes: base64Encode(kept) };
}

export interface SentCopy {
  readonly port: PortDevice;
  readonly hostId: string;
  readonly hostName: string;
  readonly tunnelIp: number;
  readonly token: string;
  /** State messages sent ahead of it (0: sent with an earlier copy of the same bytes to this host). */
  readonly messages: number;
}

/** The steps of what the host does with the simulated packet. */
export function recordPhysical(
  recorder: Recorder,
  hostId: string,
  outputs: readonly {
    port: PortDevice;
    kind: "local" | "remote" | "lost";
    ofport: number;
    because: DropReason | null;
  }[],
  sent: readonly SentCopy[],
  nameOf: (hostId: string) => string,
): void {
  for (const output of outputs) {
    const { port } = output;
    const at = { device: { type: "port" as const, id: port.id, name: port.label }, owner: port.tenantId };
    if (output.kind === "lost") {
      recorder.push({
        kind: "drop",
        ...at,
        reason: output.because ?? "simulation-error",
        detail: `port ${port.label}`,
      });
      continue;
    }
    const host = port.hostId ?? hostId;
    const where = output.kind;
    recorder.push({
      kind: "emit",
      ...at,
      where,
      hostId: host,
      hostName: nameOf(host),
      interface: port.interfaceName ?? "",
    });
    if (where === "local") {
      recorder.push({ kind: "delivered", ...at, interface: port.interfaceName ?? "", ofport: output.ofport });
      continue;
    }
    for (const copy of sent) {
      if (copy.port !== port) continue;
      const to = { hostId: copy.hostId, hostName: copy.hostName };
      if (copy.messages > 0)
        recorder.push({ kind: "state-sent", ...at, ...to, messages: copy.messages, token: copy.token });
      recorder.push({
        kind: "tunnel-sent",
        ...at,
        ...to,
        tunnelIp: formatIpv4(copy.tunnelIp),
        tunnelKey: port.tunnelKey,
        wireKey: withTraceBit(port.tunnelKey),
      });
    }
  }
}

export interface FlowNote {
  readonly mask: FlowMask | null;
  readonly actions: readonly FlowAction[];
  readonly idleTimeoutMs: number;
  readonly hardTimeoutMs: number;
  readonly because: string;
}

/** The last two steps of an ingress segment, and the segment. */
export function ingressSegment(
  who: Reporter,
  job: PacketJob,
  flow: FlowNote,
  verdict: Verdict,
  dropReason: DropReason | null,
  sent: readonly SentCopy[],
): TraceSegment | null {
  const ctx = job.ctx;
  if (ctx.trace === null) return null;
  const recorder = ctx.trace.recorder;
  const at = startOf(ctx);
  recorder.push({
    kind: "flow",
    ...at,
    match: flow.mask === null ? null : formatMasked(ctx.original, flow.mask),
    actions: flow.actions.map(formatAction),
    idleTimeoutMs: flow.idleTimeoutMs,
    hardTimeoutMs: flow.hardTimeoutMs,
    because: flow.because,
  });
  if (recorder.omitted > 0) recorder.push({ kind: "steps-lost", ...at, count: recorder.omitted });
  recorder.push({ kind: "verdict", ...at, verdict, dropReason });
  const expects: ExpectedEgress[] = sent.map((s) => ({
    hostId: s.hostId,
    hostName: s.hostName,
    tunnelKey: s.port.tunnelKey,
    tunnelIp: formatIpv4(s.tunnelIp),
    token: s.token,
  }));
  return {
    segmentId: reportId(who, job.cookie),
    flowTraceId: ctx.trace.flowTraceId,
    requestIds: [...ctx.trace.requestIds],
    hostId: who.hostId,
    hostName: who.hostName,
    role: "ingress",
    cookie: job.cookie,
    startedAtMs: job.startedAtMs,
    key: traceKeyOf(ctx.original),
    steps: recorder.steps,
    stepsLost: recorder.lost,
    ...stateOf(who, recorder),
    verdict,
    dropReason,
    expects,
    arrival: null,
    packet: packetBytes(ctx.frame, who),
  };
}

/** What a segment says of the state its host was in; nothing when all is well. */
export function stateOf(who: Reporter, recorder: Recorder): Pick<TraceSegment, "detail" | "storeAway"> {
  return {
    ...(recorder.detail === "full" ? {} : { detail: recorder.detail }),
    ...(who.storeAway() ? { storeAway: true } : {}),
  };
}

function startOf(ctx: PacketContext): { device: { type: "port"; id: string; name: string }; owner: string } {
  const port = ctx.view.port(ctx.startPort) ?? null;
  return {
    device: { type: "port", id: ctx.startPort, name: port === null ? "" : port.label },
    owner: port === null ? "" : port.tenantId,
  };
}
