import { MidotraceError, Violations } from "#core/base";
import type { Links } from "./links.ts";
import {
  COMPLETENESS_STATES,
  DROP_REASONS,
  type FlowEvent,
  MISSING_REASONS,
  type PathPage,
  type PublicFlowTrace,
  STEP_KINDS,
  TRACE_DETAILS,
  VERDICTS,
} from "#core/tracing";
import * as z from "zod";
import { read } from "./fields.ts";

const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>): [K, ...K[]] =>
  Object.keys(table) as [K, ...K[]];

const verdict = z.enum(keysOf(VERDICTS));
const dropReason = z.nullable(z.enum(keysOf(DROP_REASONS)));
const device = z.object({ type: z.enum(["port", "bridge", "router", "host"]), id: z.string(), name: z.string() });

const shownStep = z.looseObject({
  seq: z.int(),
  atMs: z.number(),
  kind: z.enum(keysOf(STEP_KINDS)),
  device,
  text: z.string().describe("the step as one sentence"),
});
const withheldStep = z.object({ seq: z.int(), withheld: z.literal(true) });

const segment = z.object({
  hostId: z.string(),
  hostName: z.string(),
  role: z.enum(["ingress", "egress"]),
  cookie: z.nullable(z.number()),
  startedAtMs: z.number(),
  verdict,
  dropReason,
  duplicate: z.boolean(),
  joinedBy: z.enum(["state", "token"]),
  detail: z.nullable(z.enum(keysOf(TRACE_DETAILS))),
  clockOffsetMs: z.nullable(z.number()),
  steps: z.array(z.union([shownStep, withheldStep])),
});

const traceKey = z.object({
  ethSrc: z.string(),
  ethDst: z.string(),
  etherType: z.int(),
  networkSrc: z.nullable(z.string()),
  networkDst: z.nullable(z.string()),
  networkProto: z.nullable(z.int()),
  srcPort: z.nullable(z.int()),
  dstPort: z.nullable(z.int()),
});

const missing = z.object({
  hostId: z.nullable(z.string()),
  hostName: z.nullable(z.string()),
  reason: z.enum(keysOf(MISSING_REASONS)),
});

/** DESIGN "a flow trace": as REST, stream and `--json` show it. */
export const flowTraceAnswer = z.object({
  flowTraceId: z.string(),
  traceRequestIds: z.array(z.string()),
  startedAtMs: z.number(),
  key: z.nullable(traceKey),
  verdict,
  dropReason,
  why: z.string(),
  completeness: z.object({ state: z.enum(keysOf(COMPLETENESS_STATES)), missing: z.array(missing) }),
  segments: z.array(segment),
});

/** A flow trace with what is known of it beside; the stream does not have it. */
export const keptFlowAnswer = flowTraceAnswer.extend({
  pinned: z.boolean().describe("kept whatever becomes of older ones"),
  counterparts: z
    .array(z.string())
    .describe("flow traces of the other direction of the conversation, of requests that the viewer may see"),
});
export type KeptFlowDto = PublicFlowTrace & { readonly pinned: boolean; readonly counterparts: readonly string[] };

/** A page of flow traces, newest first. `cursor` is for `before` and `after`; `next` leads to the older ones. */
export const flowPageAnswer = z.object({
  flows: z.array(flowTraceAnswer.extend({ pinned: z.boolean(), cursor: z.string() })),
  more: z.boolean(),
  next: z.nullable(z.string()),
});
export interface FlowPageDto {
  readonly flows: readonly (PublicFlowTrace & { readonly pinned: boolean; readonly cursor: string })[];
  readonly more: boolean;
  readonly next: string | null;
}

const pathDevice = z.union([device, z.object({ withheld: z.literal(true) })]);

/** The paths that the flows of a request took, as the viewer sees them; those that most flows took first. */
export const pathPageAnswer = z.object({
  paths: z.array(
    z.object({
      pathId: z.string(),
      count: z.int(),
      firstSeenMs: z.number(),
      lastSeenMs: z.number(),
      verdict,
      dropReason,
      why: z.string().describe("the sentence of the flow that was first seen to take the path"),
      hops: z.array(
        z.object({
          hostId: z.string(),
          hostName: z.string(),
          role: z.enum(["ingress", "egress"]),
          devices: z.array(pathDevice),
        }),
      ),
      sample: z.string().describe("id of the newest flow trace that took it"),
    }),
  ),
  more: z.boolean(),
});
export type PathPageDto = PathPage;

/** One for each trace request that the viewer may see. */
export const traceSummariesAnswer = z.array(
  z.object({
    id: z.string(),
    flows: z.int(),
    lastFlowAtMs: z.nullable(z.number()),
    verdicts: z.record(z.string(), z.int()).describe("how many flows ended how; those that none did are left out"),
  }),
);
export type TraceSummaryDto = z.output<typeof traceSummariesAnswer>[number];

/** Which flows: everything that is said must hold, of the flow as the viewer sees it. */
const flowFilter = {
  verdict: read.oneOf(keysOf(VERDICTS), undefined),
  dropReason: read.oneOf(keysOf(DROP_REASONS), undefined),
  completeness: read.oneOf(keysOf(COMPLETENESS_STATES), undefined),
  /** Id or name of a host that reported a part. */
  host: read.text(undefined),
  /** Id or name of a bridge, router or port on the way. */
  device: read.text(undefined),
  /** IP address of the packet, before or after a device changed it. */
  address: read.text(undefined),
  l4Port: read.int(undefined),
  /** Began then or later, and before: ms since the epoch, or a time of ISO 8601. */
  since: read.text(undefined),
  until: read.text(undefined),
};

export const flowQuery = z.object({
  limit: read.int(50),
  before: read.text(undefined),
  after: read.text(undefined),
  ...flowFilter,
});

export const pathQuery = z.object({ limit: read.int(50), ...flowFilter });
export type FlowFilterQuery = Omit<z.output<typeof pathQuery>, "limit">;

/** The URI of the page of older flow traces, with the filters of this one. */
export function nextPage(traceId: string, query: z.output<typeof flowQuery>, before: string, links: Links): string {
  const said = Object.entries({ ...query, after: undefined, before }).filter(([, value]) => value !== undefined);
  const text = said.map(([name, value]) => `${name}=${encodeURIComponent(String(value))}`).join("&");
  return `${links.to("traces", traceId, "flows")}?${text}`;
}

/** Names of the events of a stream, and what each carries; docs/reference/rest-api.md prints this. */
export const STREAM_EVENTS = {
  flow: "a flow trace is new or has changed: the whole flow trace as data, `change` says which",
  gap: "events are gone that the subscriber has not seen: read the list anew, then go on with the stream",
  end: "the server ends the stream; `reason` says why (slow-client, deleted, shutdown, store-unavailable, signed-out, forbidden, auth-unavailable)",
} as const;
export type StreamEventName = keyof typeof STREAM_EVENTS;

export interface FlowEventDto {
  readonly change: FlowEvent["change"];
  readonly flow: PublicFlowTrace;
}

/** Reads Last-Event-ID. @returns null for an absent or empty header. @throws MidotraceError VALIDATION */
export function parseLastEventId(text: string | undefined): number | null {
  if (text === undefined || text.trim() === "") return null;
  const id = Number(text);
  if (Number.isSafeInteger(id) && id >= 0) return id;
  const violations = new Violations();
  violations.add("Last-Event-ID", "must be the id of an event of this stream");
  throw new MidotraceError("VALIDATION", "Last-Event-ID is not an event id", violations.list);
}

export const simulationBody = z.object({
  /** UUID of a port, or "device/port" by names, or the port's name where only one port has it. */
  port: read.text(null),
  /** tcpdump's words, `key=value` pairs, or the frame's bytes as hex digits. */
  packet: read.text(null),
});

/** The same as a flow trace, of a packet that nobody sent. */
export const simulationAnswer = flowTraceAnswer.extend({ simulated: z.literal(true) });
export type SimulationDto = PublicFlowTrace & { readonly simulated: true };

export const topologyBody = z.looseObject({}).describe("a topology document, as docs/reference has it for YAML");
export const topologyAnswer = z.looseObject({});
export const applyAnswer = z.looseObject({}).describe("what was created, changed and left");

export const readinessAnswer = z.object({
  ready: z.boolean(),
  waitingFor: z.array(z.string()),
});
export const healthAnswer = z.object({ status: z.literal("ok") });
