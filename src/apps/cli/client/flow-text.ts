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

/** A page of flow traces, the newest first. @throws MidotraceError as `ApiClient`. */
export async function flowPage(client: ApiClient, path: string): Promise<readonly PublicFlowTrace[]> {
  const { flows } = await client.object(path);
  if (!Array.isArray(flows)) throw new MidotraceError("INTERNAL", `${path} answered without flows`);
  return flows.map(flowTraceOf);
}

export function printFlow(flow: PublicFlowTrace, json: boolean, io: Io): void {
  if (json) io.out(`${stringifyExactJson(flow)}\n`);
  else io.out(`${renderFlowTrace(flow, { colour: io.colours, width: Math.min(MAX_WIDTH, io.columns) }).trimEnd()}\n`);
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

/** `14:03:22.517`, local time. */
export function clockText(atMs: number): string {
  const d = new Date(atMs);
  const two = (n: number): string => String(n).padStart(2, "0");
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${String(d.getMilliseconds()).padStart(3, "0")}`;
}
