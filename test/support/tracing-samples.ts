import * as fc from "fast-check";
import type { FlowTraceId, TraceRequestId } from "#core/base";
import { formatIpv4, formatIpv6, formatMac } from "#core/packets";
import type { TraceKey, TraceState } from "#core/tracing";

/** `00000000-0000-4000-8000-0000000000<n>`: ids that are easy to read in a failing test. */
export function id(n: number): string {
  return `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
}

export const flowId = (n: number): FlowTraceId => id(n) as FlowTraceId;
export const requestId = (n: number): TraceRequestId => id(n) as TraceRequestId;
export const token = (n: number): string => n.toString(16).padStart(16, "0");

export const PING: TraceKey = {
  ethSrc: "ac:ca:ba:00:00:01",
  ethDst: "ac:ca:ba:00:00:02",
  etherType: 0x0800,
  networkSrc: "10.0.1.10",
  networkDst: "10.0.2.20",
  networkProto: 1,
  srcPort: 7,
  dstPort: 7,
};

export const STATE: TraceState = {
  senderHostId: id(0xa1),
  flowTraceId: flowId(0xf1),
  requestIds: [requestId(0xe1)],
  token: "0123456789abcdef",
  tunnelKeys: [5],
  key: PING,
};

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const mac = fc.integer({ min: 0, max: 0xffff_ffff_ffff }).map(formatMac);
const ipv4 = fc.integer({ min: 0, max: 0xffff_ffff }).map(formatIpv4);
const ipv6 = fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }).map(formatIpv6);
const orNull = <T>(a: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(a, { nil: null });

/** A record that is an ordinary object: what the codec gives back is one too. */
const plain = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;

export const traceKeys: fc.Arbitrary<TraceKey> = fc.constantFrom(null, ipv4, ipv6).chain((address) =>
  plain({
    ethSrc: mac,
    ethDst: mac,
    etherType: u16,
    networkSrc: address === null ? fc.constant(null) : orNull(address),
    networkDst: address === null ? fc.constant(null) : orNull(address),
    networkProto: orNull(u8),
    srcPort: orNull(u16),
    dstPort: orNull(u16),
  }),
);

const uuids = fc.uuid();

export const traceStates = (maxKeys: number, maxIds: number): fc.Arbitrary<TraceState> =>
  plain({
    senderHostId: uuids,
    flowTraceId: uuids.map((v) => v as FlowTraceId),
    requestIds: fc.uniqueArray(
      uuids.map((v) => v as TraceRequestId),
      { maxLength: maxIds },
    ),
    token: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }).map((v) => v.toString(16).padStart(16, "0")),
    tunnelKeys: fc.uniqueArray(fc.integer({ min: 0, max: 0x7f_ffff }), { maxLength: maxKeys }),
    key: traceKeys,
  });
