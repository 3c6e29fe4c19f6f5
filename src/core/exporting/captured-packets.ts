import { base64Decode } from "#core/base";
import { encodePcapng, type FrameToWrite, headerBytes } from "#core/packets";
import { type DeviceRef, type FlowTrace, type PlacedSegment, viewOf, type Step, type Viewer } from "#core/tracing";

/** A packet at one host, as one viewer may see it. */
export interface CapturedPacket {
  /** `h1/red-vm1`: host and virtual port; tenants see the host's alias. */
  readonly interface: string;
  readonly atMs: number;
  readonly originalLength: number;
  readonly bytes: Uint8Array;
  /** The sentence of the flow trace, and where this packet stands in it. */
  readonly comment: string;
}

/**
 * The packets that a flow trace carries, in causal order. Tenants get those that were seen at ports of their own, and no
 * others: a packet that entered at somebody else's port is as foreign as the steps there. Payload is under a right of its
 * own: it is for administrators, and for the administrators of the tenant whose device the flow entered by.
 */
export function capturedPackets(trace: FlowTrace, viewer: Viewer): CapturedPacket[] {
  const { shown, segments } = viewOf(trace, viewer);
  // A packet that came from somebody else has bytes at the tenant's port only when that is on another host: to show them
  // would say where the other one is.
  if (!viewer.admin && shown.key === null) return [];
  const payload = viewer.admin || mayReadPayload(trace, viewer);
  return segments.flatMap(({ of: segment, shown: seen }) => {
    const at = seenAt(segment);
    const bytes = segment.packet === null ? null : base64Decode(segment.packet.bytes);
    if (segment.packet === null || bytes === null || !(viewer.admin || owns(viewer, at))) return [];
    const where = seen.role === "ingress" ? "entered" : "left";
    const cookie = seen.cookie === null ? "" : `, cookie ${seen.cookie}`;
    const host = seen.hostName === "" ? seen.hostId : seen.hostName;
    const requests = shown.traceRequestIds.join(" ") || "none";
    const comment = `${shown.why}\nAs it ${where} at ${host}${cookie}; flow trace ${shown.flowTraceId}; trace requests ${requests}`;
    return {
      interface: `${host}/${at === null ? seen.role : nameOf(at.device)}`,
      atMs: seen.startedAtMs,
      originalLength: segment.packet.originalLength,
      bytes: payload ? bytes : bytes.subarray(0, headerBytes(bytes)),
      comment,
    };
  });
}

/** A pcapng file: one interface per host and port. */
export function packetCapture(packets: readonly CapturedPacket[]): Uint8Array {
  const names = [...new Set(packets.map((p) => p.interface))];
  const place = new Map(names.map((name, i) => [name, i]));
  const frames = packets.map((p): FrameToWrite => {
    return {
      timestampNs: BigInt(Math.round(p.atMs * 1_000)) * 1_000n,
      bytes: p.bytes,
      originalLength: p.originalLength,
      comment: p.comment,
      interface: place.get(p.interface) ?? 0,
    };
  });
  return encodePcapng(frames, names);
}

/** Where the packet of a segment was seen: by the first step that is not the switch's, as for the key of a flow trace. */
function seenAt(s: PlacedSegment): Step | null {
  return s.steps.find((x) => x.device.type !== "host") ?? null;
}

function owns(viewer: Viewer, at: Step | null): boolean {
  return viewer.tenantId !== "" && at?.owner === viewer.tenantId;
}

function mayReadPayload(trace: FlowTrace, viewer: Viewer): boolean {
  const entry = trace.segments.find((s) => s.role === "ingress" && !s.duplicate);
  return viewer.roles?.includes("tenant_admin") === true && entry !== undefined && owns(viewer, seenAt(entry));
}

const nameOf = (device: DeviceRef): string => (device.name === "" ? device.id : device.name);
