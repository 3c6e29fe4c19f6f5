import type { Io } from "#apps/cli/options";
import { MidotraceError } from "#core/base";
import { stringifyExactJson } from "#core/api-contract";
import { headerLine, type PublicFlowTrace, renderFlowTrace, type TraceKey } from "#core/tracing";

import type { ApiClient } from "./api-client.ts";

/** The rest of a terminal's line after its own wrapping; wider trees are harder to read, not easier. */
const MAX_WIDTH = 160;

/** A flow trace as the server sent it. @throws MidotraceError INTERNAL when it is none. */
export function flowTraceOf(value: unknown): PublicFlowTrace {
  const flow = value as Partial<PublicFlowTrace> | null;
  if (
    typeof flow === "object" &&
    flow !== null &&
    typeof flow.flowTraceId === "string" &&
    Array.isArray(flow.segments)
  ) {
    return flow as PublicFlowTrace;
  }
  throw new MidotraceError("INTERNAL", "the server sent something that is no flow trace");
}

export interface ListedFlow extends PublicFlowTrace {
  readonly pinned?: boolean;
}

export interface FlowsPage {
  /** The newest first. */
  readonly flows: readonly ListedFlow[];
  /** `before` for the older ones; null: there are none. */
  readonly next: string | null;
}

/** A page of flow traces. @throws MidotraceError as `ApiClient`. */
export async function flowPage(client: ApiClient, path: string): Promise<FlowsPage> {
  const { flows, more } = await client.object(path);
  if (!Array.isArray(flows)) throw new MidotraceError("INTERNAL", `${path} answered without flows`);
  const last = flows.at(-1) as { readonly cursor?: unknown } | undefined;
  const next = more === true && typeof last?.cursor === "string" ? last.cursor : null;
  return { flows: flows.map(flowTraceOf), next };
}

export function printFlow(flow: PublicFlowTrace, { json }: { readonly json: boolean }, io: Io): void {
  if (json) io.out(`${stringifyExactJson(flow)}\n`);
  else {
    const options = { colour: io.colours, width: Math.min(MAX_WIDTH, io.columns), advice: true };
    io.out(`${renderFlowTrace(flow, options).trimEnd()}\n`);
  }
}

/** Nothing more is awaited: what is missing now stays missing. */
export function isFinished(flow: PublicFlowTrace): boolean {
  return flow.completeness.state === "complete" || !flow.completeness.missing.some((m) => m.reason === "awaited");
}

/** `ICMP 10.0.1.10 > 10.0.2.2`; "withheld" for a packet of somebody else. */
export function keyText(key: TraceKey | null): string {
  if (key === null) return "withheld";
  const header = {
    ethSrc: key.ethSrc,
    ethDst: key.ethDst,
    etherType: `0x${key.etherType.toString(16).padStart(4, "0")}`,
    ...(key.networkSrc === null ? {} : { nwSrc: key.networkSrc }),
    ...(key.networkDst === null ? {} : { nwDst: key.networkDst }),
    ...(key.networkProto === null ? {} : { nwProto: key.networkProto }),
  };
  if (key.networkProto === 1 && key.etherType === 0x0800)
    return `ICMP ${key.networkSrc} > ${key.networkDst} id ${key.srcPort}`;
  if (key.srcPort === null || key.dstPort === null) return headerLine(header);
  return headerLine({ ...header, tpSrc: key.srcPort, tpDst: key.dstPort });
}

/** `✗ dropped`: so that nobody needs colours to tell them apart. */
export function verdictText(verdict: PublicFlowTrace["verdict"]): string {
  const mark = verdict === "unknown" ? "?" : ["dropped", "rejected", "error"].includes(verdict) ? "✗" : "✓";
  return `${mark} ${verdict}`;
}

const two = (n: number): string => String(n).padStart(2, "0");

/** `14:03:22.517`, local time. */
export function clockText(atMs: number): string {
  const d = new Date(atMs);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}

/** `2026-11-30 14:03:22`, local time. */
export function dateText(atMs: number): string {
  const d = new Date(atMs);
  const day = `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
  return `${day} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}
