import { MidotraceError } from "#core/base";
import { formatIpv4, formatIpv6, parseIpv4, parseIpv6 } from "#core/packets";
import type { CompletenessState, PublicFlowTrace } from "./flow-trace.ts";
import type { HeaderText } from "./step.ts";
import type { TraceKey } from "./trace-key.ts";
import type { DropReason, Verdict } from "./verdict.ts";

/** Which flow traces are wanted; everything that is said must hold, of the flow trace as its viewer sees it. */
export interface FlowFilter {
  readonly verdict?: Verdict;
  readonly dropReason?: DropReason;
  readonly completeness?: CompletenessState;
  /** Host id or name: the host reported a part. */
  readonly host?: string;
  /** Id or name of a bridge, router or port on the way. */
  readonly device?: string;
  /** IP address of the packet, before or after a device changed it. */
  readonly address?: string;
  /** Source or destination port of TCP, UDP and the like. */
  readonly l4Port?: number;
  /** Began at this time or later, ms since the epoch, by the clock of the host where the packet entered. */
  readonly sinceMs?: number;
  /** Began before this time. */
  readonly untilMs?: number;
}

const PROTO_ICMP = 1;
const PROTO_ICMPV6 = 58;

/** A flow trace, as it is kept or as it is shown. */
export interface TracedPacket {
  readonly key: TraceKey | null;
  readonly segments: readonly { readonly steps: readonly object[] }[];
}

/** What of one packet can be looked for, beside its path. */
export interface PacketTerms {
  readonly addresses: ReadonlySet<string>;
  readonly ports: ReadonlySet<number>;
}

/** @throws MidotraceError VALIDATION when the address is none. @returns the filter with its address as steps write it. */
export function normalFilter<F extends FlowFilter>(filter: F): F {
  if (filter.address === undefined) return filter;
  const address = normalAddress(filter.address);
  if (address !== null) return { ...filter, address };
  const message = "must be an IPv4 or IPv6 address";
  throw new MidotraceError("VALIDATION", `address: ${message}`, [{ property: "address", message }]);
}

function normalAddress(text: string): string | null {
  const v4 = parseIpv4(text);
  if (v4 !== null) return formatIpv4(v4);
  const v6 = parseIpv6(text);
  return v6 === null ? null : formatIpv6(v6);
}

/** The addresses and L4 ports of a packet, on its whole way, as far as they are shown. */
export function packetTerms(trace: TracedPacket): PacketTerms {
  const addresses = new Set<string>();
  const ports = new Set<number>();
  if (trace.key !== null) addKey(trace.key, addresses, ports);
  for (const { steps } of trace.segments) {
    for (const step of steps) {
      const s = step as { readonly header?: unknown; readonly before?: unknown; readonly after?: unknown };
      addHeader(s.header, addresses, ports);
      addHeader(s.before, addresses, ports);
      addHeader(s.after, addresses, ports);
    }
  }
  return { addresses, ports };
}

function addKey(k: TraceKey, addresses: Set<string>, ports: Set<number>): void {
  if (k.networkSrc !== null) addresses.add(k.networkSrc);
  if (k.networkDst !== null) addresses.add(k.networkDst);
  // Of ICMP the identifier stands there.
  if (k.networkProto === PROTO_ICMP || k.networkProto === PROTO_ICMPV6) return;
  if (k.srcPort !== null) ports.add(k.srcPort);
  if (k.dstPort !== null) ports.add(k.dstPort);
}

function addHeader(value: unknown, addresses: Set<string>, ports: Set<number>): void {
  // `before` and `after` of a decremented time to live are numbers.
  if (typeof value !== "object" || value === null) return;
  const h = value as HeaderText;
  if (h.nwSrc !== undefined) addresses.add(h.nwSrc);
  if (h.nwDst !== undefined) addresses.add(h.nwDst);
  if (h.tpSrc !== undefined) ports.add(h.tpSrc);
  if (h.tpDst !== undefined) ports.add(h.tpDst);
}

/** Whether a flow trace, as its viewer sees it, is one of those that are wanted. */
export function fitsFilter(trace: PublicFlowTrace, f: FlowFilter): boolean {
  if (f.verdict !== undefined && trace.verdict !== f.verdict) return false;
  if (f.dropReason !== undefined && trace.dropReason !== f.dropReason) return false;
  if (f.completeness !== undefined && trace.completeness.state !== f.completeness) return false;
  if (f.sinceMs !== undefined && trace.startedAtMs < f.sinceMs) return false;
  if (f.untilMs !== undefined && trace.startedAtMs >= f.untilMs) return false;
  const { host, device } = f;
  if (host !== undefined && !trace.segments.some((s) => s.hostId === host || s.hostName === host)) return false;
  if (device !== undefined && !meets(trace, device)) return false;
  if (f.address === undefined && f.l4Port === undefined) return true;
  const { addresses, ports } = packetTerms(trace);
  if (f.address !== undefined && !addresses.has(f.address)) return false;
  return f.l4Port === undefined || ports.has(f.l4Port);
}

function meets(trace: PublicFlowTrace, device: string): boolean {
  return trace.segments.some(({ steps }) =>
    steps.some(
      (s) => s.withheld !== true && s.device.type !== "host" && (s.device.id === device || s.device.name === device),
    ),
  );
}
