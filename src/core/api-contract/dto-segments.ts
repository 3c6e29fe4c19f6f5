import type { FlowTraceId, TraceRequestId, Violation } from "#core/base";
import { base64Decode, isUuid } from "#core/base";
import {
  type AgentStatus,
  countLoss,
  type ExpectedEgress,
  LOSS_CAUSES,
  type LossCause,
  type LossCounts,
  MAX_LOSS_IDS,
  MAX_STEPS,
  type PacketBytes,
  TRACE_DETAILS,
  type TraceKey,
  type TraceSegment,
} from "#core/tracing";
import * as z from "zod";
import { type Guard, guardOf } from "./as-it-is.ts";
import { count, dropReason, keysOf, stepGuard, stepSchema, timeMs, u16, u32, verdict, word } from "./segment-steps.ts";

/** Segments that one delivery may carry. */
export const MAX_SEGMENTS = 500;
/** Longest body of a delivery: bounds the time that reading it takes. */
export const MAX_SEGMENTS_BODY_BYTES = 4 * 1024 * 1024;
/** Wrong fields that a refusal names. */
const MAX_VIOLATIONS = 10;

const uuid = z.string().refine(isUuid, { error: "must be a UUID in lower case" });
const flowTraceId = uuid as z.ZodType as z.ZodType<FlowTraceId>;
const requestId = uuid as z.ZodType as z.ZodType<TraceRequestId>;

const traceKey = z.object({
  ethSrc: word,
  ethDst: word,
  etherType: u16,
  networkSrc: word.nullable(),
  networkDst: word.nullable(),
  networkProto: u16.nullable(),
  srcPort: u16.nullable(),
  dstPort: u16.nullable(),
}) satisfies z.ZodType<TraceKey>;

const expected = z.object({
  hostId: word,
  hostName: word,
  tunnelKey: u32,
  tunnelIp: word,
  token: word,
}) satisfies z.ZodType<ExpectedEgress>;

/** The longest frame that Ethernet jumbo frames and VXLAN leave room for. */
export const MAX_PACKET_BYTES = 65_535;

const packet = z.object({
  originalLength: u32,
  bytes: z
    .string()
    .max(Math.ceil(MAX_PACKET_BYTES / 3) * 4)
    .refine((text) => base64Decode(text) !== null, { error: "must be base64" }),
}) satisfies z.ZodType<PacketBytes>;

/** One host's part of one flow trace, as its agent sends it. */
export const segmentSchema = z.object({
  segmentId: z.string().min(1).max(200),
  flowTraceId: flowTraceId.nullable(),
  requestIds: z.array(requestId).max(1_000),
  hostId: uuid,
  hostName: word,
  role: z.enum(["ingress", "egress"]),
  cookie: count,
  startedAtMs: timeMs,
  key: traceKey,
  steps: z.array(stepSchema).max(MAX_STEPS),
  stepsLost: count,
  // Agents of older versions do not say these.
  detail: z.enum(keysOf(TRACE_DETAILS)).exactOptional(),
  storeAway: z.boolean().exactOptional(),
  verdict,
  dropReason,
  expects: z.array(expected).max(10_000),
  arrival: z.strictObject({ fromIp: word, tunnelKey: u32, token: word, duplicate: z.boolean() }).nullable(),
  packet: packet.nullable().default(null),
}) satisfies z.ZodType<TraceSegment>;

export type ReadSegment =
  | { readonly ok: true; readonly segment: TraceSegment }
  /** `segmentId` is null when it has none that can be repeated. */
  | { readonly ok: false; readonly segmentId: string | null; readonly violations: readonly Violation[] };

export const isSegment = guardOf(segmentSchema, new Map<z.ZodType, Guard>([[stepSchema, stepGuard]]));

/** Reads one segment of a delivery; a wrong one is a value, so that it does not take the others with it. */
export function readSegment(value: unknown): ReadSegment {
  if (isSegment(value)) return { ok: true, segment: value as TraceSegment };
  const parsed = segmentSchema.safeParse(value);
  if (parsed.success) return { ok: true, segment: parsed.data };
  const id = (value as { readonly segmentId?: unknown } | null)?.segmentId;
  const violations = parsed.error.issues
    .slice(0, MAX_VIOLATIONS)
    .map(({ path, message }) => ({ property: pathText(path), message: message.slice(0, 500) }));
  return { ok: false, segmentId: typeof id === "string" && id.length <= 200 ? id : null, violations };
}

/** `steps[3].header.vlan` */
export function pathText(path: readonly PropertyKey[]): string {
  return path.map((p, i) => (typeof p === "number" ? `[${p}]` : `${i === 0 ? "" : "."}${String(p)}`)).join("");
}

/** Agents of older versions say only how many and why. */
const loss = z.object({
  count: z.int().min(1),
  why: z.string().min(1).max(1_000),
  id: z.string().min(1).max(200).exactOptional(),
  /** One that a newer agent knows and this server does not is `other`. */
  cause: z.enum(keysOf(LOSS_CAUSES)).catch("other"),
  requestIds: z.array(requestId).max(1_000).default([]),
  flowTraceIds: z.array(flowTraceId).max(MAX_LOSS_IDS).default([]),
  /** Those of them that may have come all the same, in a delivery whose answer never came. */
  segmentIds: z.array(z.string().max(200)).max(MAX_LOSS_IDS).default([]),
});

const agentStatus = z.object({
  tracesArmed: count,
  budget: z.object({ level: z.enum(keysOf(TRACE_DETAILS)), eventsPerSecond: count.nullable() }),
  spool: z.object({ segments: count, bytes: count }).nullable(),
  lost: z.record(z.string().max(100), count).transform(knownCauses),
}) satisfies z.ZodType<AgentStatus>;

function knownCauses(counts: Readonly<Record<string, number>>): LossCounts {
  const known: LossCounts = {};
  for (const [cause, n] of Object.entries(counts))
    countLoss(known, cause in LOSS_CAUSES ? (cause as LossCause) : "other", n);
  return known;
}

/** A delivery of an agent. Sent again (with the same sequence) until it is answered. */
export const segmentsBody = z.object({
  hostId: uuid,
  /** Of this run of the agent. */
  bootId: z.string().min(1).max(64),
  /** Grows from delivery to delivery of one run; a delivery that is repeated has the number it had. */
  sequence: count,
  segments: z
    .array(
      z
        .unknown()
        .meta({ type: "object", description: "a trace segment; a wrong one is refused alone" })
        .transform(readSegment),
    )
    .max(MAX_SEGMENTS),
  /** Segments that will never come. */
  lost: z.array(loss).max(MAX_SEGMENTS),
  /** By the agent's clock, when this attempt was sent; and the shortest time an answer has taken it. */
  sentAtMs: timeMs.exactOptional(),
  roundTripMs: z.number().min(0).exactOptional(),
  /** Segments that the agent has for this collector besides these. */
  waiting: count.exactOptional(),
  status: agentStatus.exactOptional(),
});

const refusal = z.object({
  index: z.int().describe("place in `segments`"),
  segmentId: z.nullable(z.string()),
  violations: z.array(z.object({ property: z.string(), message: z.string() })),
});

/** What became of a delivery: each segment counts as one of three. */
export const segmentsAnswer = z.object({
  accepted: z.int(),
  duplicates: z.int().describe("were here before"),
  refused: z.array(refusal).describe("must not be sent again"),
});
export type SegmentsAnswerDto = z.output<typeof segmentsAnswer>;
export type RefusalDto = z.output<typeof refusal>;
