import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { TraceDetail } from "./detail.ts";
import type { TraceSegment } from "./segment.ts";
import type { DeviceRef, StepKind } from "./step.ts";
import type { TraceKey } from "./trace-key.ts";
import type { DropReason, Verdict } from "./verdict.ts";

/** Whether the answer is the whole answer; docs/reference/completeness.md has a row for each. */
export const COMPLETENESS_STATES = {
  complete: "every host that the packet was sent to has reported, and no step was lost",
  partial: "something is known to be missing, and it is named",
  unknown: "nobody can say yet whether something is missing",
} as const;

export type CompletenessState = keyof typeof COMPLETENESS_STATES;

/** Why a host's part is not there; closed list, docs/reference/completeness.md has a row for each. */
export const MISSING_REASONS = {
  awaited: "the packet was heard of less than 5 s ago, and the host has not reported yet",
  late: "the host is up but has not been heard since, or has reports that still wait: its part may yet come",
  "segment-missing": "the packet was sent to the host, and the host never reported",
  "state-lost": "the host reported this packet without its trace state, and it fits more than one flow trace",
  "steps-lost": "the host reported, but some of its steps were not kept",
  truncated: "the host reported in short, because its event budget was used up",
  "segments-lost": "the host had not reported, and says that it lost reports",
  "host-down": "the host is down",
  "ingress-missing": "the host where the packet entered has not reported, so where it was sent is not known",
  "store-unreachable": "the host reported, but could not reach the store then: it may have decided by an old topology",
} as const;

export type MissingReason = keyof typeof MISSING_REASONS;

/** Reasons of parts that are there: they say what is wrong with them, and leave the verdict as it is. */
export const REPORTED_REASONS: ReadonlySet<MissingReason> = new Set<MissingReason>([
  "steps-lost",
  "truncated",
  "store-unreachable",
]);

export interface MissingPart {
  /** Null: nobody knows which host it was. */
  readonly hostId: string | null;
  readonly hostName: string | null;
  readonly reason: MissingReason;
}

export interface Completeness {
  readonly state: CompletenessState;
  readonly missing: readonly MissingPart[];
}

/** A segment in its place. Internal: steps still carry their owner. */
export interface PlacedSegment extends TraceSegment {
  /** The underlay delivered this copy more than once; the first is the one that counts. */
  readonly duplicate: boolean;
  /** `token`: its trace state was lost; it was joined by the token of its bytes, its tunnel key and its host. */
  readonly joinedBy: "state" | "token";
}

/** The joined answer, internal form. It leaves the house only through `redactFlowTrace` or `toPublic`. */
export interface FlowTrace {
  readonly flowTraceId: FlowTraceId;
  readonly traceRequestIds: readonly TraceRequestId[];
  readonly startedAtMs: number;
  readonly key: TraceKey;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  readonly why: string;
  readonly completeness: Completeness;
  /** In causal order: ingress, then egress in the order in which the copies were sent. */
  readonly segments: readonly PlacedSegment[];
}

/** A step of a device of somebody else: it was there, and that is all. */
export interface WithheldStep {
  readonly seq: number;
  readonly withheld: true;
}

/** A step as shown: the fields of its kind (see `StepBody`) without the owner, and its sentence. */
export interface ShownStep {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: StepKind;
  readonly device: DeviceRef;
  readonly text: string;
  readonly withheld?: never;
  readonly [field: string]: unknown;
}

export type PublicStep = ShownStep | WithheldStep;

export interface PublicSegment {
  /** Tenants see an alias (`host-1`) that is stable within the flow trace. */
  readonly hostId: string;
  readonly hostName: string;
  readonly role: "ingress" | "egress";
  /** Null for tenants. */
  readonly cookie: number | null;
  readonly startedAtMs: number;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  readonly duplicate: boolean;
  readonly joinedBy: "state" | "token";
  /** Less than everything when the host's event budget was used up. Null for tenants. */
  readonly detail: TraceDetail | null;
  /** How far the host's clock was ahead of the collector's. Null: not known; for tenants. */
  readonly clockOffsetMs: number | null;
  readonly steps: readonly PublicStep[];
}

/** What REST, stream, `--json`, UI and exporters show: DESIGN "a flow trace". */
export interface PublicFlowTrace {
  /** Nobody sent the packet: the answer was computed, no host has reported anything. */
  readonly simulated?: true;
  readonly flowTraceId: FlowTraceId;
  readonly traceRequestIds: readonly TraceRequestId[];
  readonly startedAtMs: number;
  /** Null when the packet entered through a port of somebody else. */
  readonly key: TraceKey | null;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  readonly why: string;
  readonly completeness: Completeness;
  readonly segments: readonly PublicSegment[];
}
