import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { TraceDetail } from "./detail.ts";
import type { LossAbout } from "./loss.ts";
import type { Step } from "./step.ts";
import type { TraceKey } from "./trace-key.ts";
import type { DropReason, Verdict } from "./verdict.ts";

/** A copy of the packet that the ingress host sent to another host: what that host must report. */
export interface ExpectedEgress {
  readonly hostId: string;
  readonly hostName: string;
  /** The virtual port's key, without the trace bit. */
  readonly tunnelKey: number;
  readonly tunnelIp: string;
  readonly token: string;
}

/** The first bytes of a packet: its headers, and payload only where the agent was told to keep it. */
export interface PacketBytes {
  /** Of the whole frame, in bytes. */
  readonly originalLength: number;
  /** Base64. Leaves the house only through `capturedPackets`. */
  readonly bytes: string;
}

/** One host's part of one flow trace. */
export interface TraceSegment {
  /** Unique: host, agent boot and cookie. The same segment delivered twice is one. */
  readonly segmentId: string;
  /** Null: the trace state never came, the segment is an orphan. An id is never made up. */
  readonly flowTraceId: FlowTraceId | null;
  readonly requestIds: readonly TraceRequestId[];
  readonly hostId: string;
  readonly hostName: string;
  readonly role: "ingress" | "egress";
  readonly cookie: number;
  readonly startedAtMs: number;
  /** Of the packet as this host first saw it. */
  readonly key: TraceKey;
  readonly steps: readonly Step[];
  readonly stepsLost: number;
  /** Less than everything when the host's event budget was used up; absent: full. */
  readonly detail?: TraceDetail;
  /** The host could not reach the store while it traced: it may have decided by an old topology. */
  readonly storeAway?: boolean;
  /** How far the host's clock was ahead of the collector's; set by the collector, null when it cannot tell. */
  readonly clockOffsetMs?: number | null;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  /** Ingress: the copies sent elsewhere. */
  readonly expects: readonly ExpectedEgress[];
  /** Egress: what came. `tunnelKey` without the trace bit, `fromIp` the sending host's tunnel address. */
  readonly arrival: {
    readonly fromIp: string;
    readonly tunnelKey: number;
    readonly token: string;
    readonly duplicate: boolean;
  } | null;
  /** Ingress: as it entered, or as a device made it. Egress: as it left. Null where nobody kept it. */
  readonly packet: PacketBytes | null;
}

/** Where an agent hands its segments. Never blocks and never throws: what cannot be taken is counted and reported. */
export interface TraceSink {
  segment(segment: TraceSegment): void;
  /** Segments that were lost before they reached the sink, since the last call. Without `about`: of cause `other`. */
  lost(hostId: string, count: number, because: string, about?: LossAbout): void;
  /**
   * A sink whose reports outlive the process says which it has from the runs before (by segment id, or as `reports` of a
   * loss), and when all that it was given is kept. Absent: nothing outlives it.
   */
  holds?(id: string): boolean;
  settled?(): Promise<void>;
}

/** One sink that hands everything on to several. */
export function sinkToAll(sinks: readonly TraceSink[]): TraceSink {
  const keepers = sinks.filter((s) => s.holds !== undefined);
  return {
    segment: (segment) => {
      for (const sink of sinks) sink.segment(segment);
    },
    lost: (hostId, count, because, about) => {
      for (const sink of sinks) sink.lost(hostId, count, because, about);
    },
    ...(keepers.length === 0 ? {} : { holds: (id: string) => keepers.some((s) => s.holds?.(id) === true) }),
    settled: async () => {
      for (const sink of sinks) await sink.settled?.();
    },
  };
}
