import {
  type FlowTraceId,
  MidotraceError,
  readU16,
  readU32,
  type TraceRequestId,
  unhex,
  writeU16,
  writeU32,
} from "#core/base";
import { TRACE_BIT } from "#core/flows";
import type { TraceKey } from "./trace-key.ts";
import {
  crc32,
  crcMatches,
  getIpv4,
  getIpv6,
  getMac,
  getToken,
  getUuid,
  putIpv4,
  putIpv6,
  putMac,
  putToken,
  putUuid,
} from "./wire-text.ts";

/**
 * The trace state: what the ingress host tells an egress host immediately before a traced packet. A whole Ethernet frame,
 * sent through the tunnel with the reserved key 0xffffff (`FLOW_STATE_KEY`):
 *
 *   Ethernet ac:ca:ba:00:15:01 > ac:ca:ba:00:15:02 | IPv4 169.254.15.1 > 169.254.15.2, TTL 64 | UDP 2925 > 2925, sum 0
 *
 *    0                   1                   2                   3
 *    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
 *   +---------------------------------------------------------------+
 *   |                    magic "MDTS" 0x4d445453                    |   0
 *   +---------------+---------------+-------------------------------+
 *   |  version (1)  |     flags     |   sender host id (16 bytes)   |   4
 *   +---------------+---------------+-------------------------------+
 *   |   flow trace id (16 bytes)    |        token (8 bytes)        |   22, 38
 *   +-------------------------------+-------------------------------+
 *   | tunnel keys: count            | count x 24 bits ...           |   46
 *   +-------------------------------+-------------------------------+
 *   | ethernet source (6)           | ethernet destination (6)      |   trace key, 20 bytes + addresses
 *   | ethertype (2) | family 0/4/6 (1) | protocol (1) | source port (2) | destination port (2)
 *   | source address (0, 4 or 16)   | destination address (same)    |
 *   +-------------------------------+-------------------------------+
 *   | request ids: count            | count x 16 bytes ...          |
 *   +-------------------------------+-------------------------------+
 *   |                CRC-32 of everything before it                 |
 *   +---------------------------------------------------------------+
 *
 * Big endian. flags: 1 source address, 2 destination address, 4 protocol, 8 source port, 16 destination port are present;
 * an absent field is zero; other flags are reserved and zero. The payload is at most 1422 bytes; more keys or ids than
 * fit are spread over several messages, each readable on its own, merged by flow trace id and token.
 */
export interface TraceState {
  readonly senderHostId: string;
  readonly flowTraceId: FlowTraceId;
  readonly requestIds: readonly TraceRequestId[];
  /** `packetToken` of the packet as it goes on the wire: 16 hex digits. */
  readonly token: string;
  /** Of the copies sent to this host, without the trace bit. */
  readonly tunnelKeys: readonly number[];
  readonly key: TraceKey;
}

export type DecodedTraceState =
  | { readonly ok: true; readonly state: TraceState }
  | { readonly ok: false; readonly reason: string };

export const TRACE_STATE_VERSION = 1;
/** 1500 less 36 of VXLAN and 42 of inner headers. */
export const MAX_TRACE_STATE_PAYLOAD_BYTES = 1422;

const MAGIC = 0x4d445453;
const HEADERS = 42;
const FIXED = 46;
const KEY_FIXED = 20;
const HAS = { SRC: 1, DST: 2, PROTO: 4, SRC_PORT: 8, DST_PORT: 16 } as const;
const ALL_FLAGS = 31;
const MAX_KEY = TRACE_BIT - 1;

/* Total length (16), header checksum (24) and UDP length (38) are filled in per message. */
const TEMPLATE = unhex(
  "accaba001502 accaba001501 0800 4500000000000000 4011 0000 a9fe0f01 a9fe0f02 0b6d 0b6d 0000 0000",
) as Uint8Array;

const EMPTY_SUM = ((): number => {
  let sum = 0;
  for (let i = 14; i < 34; i += 2) sum += readU16(TEMPLATE, i);
  return sum;
})();

function headerChecksum(totalLength: number): number {
  let sum = EMPTY_SUM + totalLength;
  sum = (sum & 0xffff) + (sum >>> 16);
  sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

const addressBytes = (family: number): number => (family === 4 ? 4 : family === 6 ? 16 : 0);

function familyOf(key: TraceKey): 0 | 4 | 6 {
  const text = key.networkSrc ?? key.networkDst;
  return text === null ? 0 : text.includes(":") ? 6 : 4;
}

/**
 * One frame; more when the keys and ids do not fit in one.
 * @throws MidotraceError INTERNAL when an id, address, token or key is not what it should be: nothing is sent half right.
 */
export function encodeTraceState(state: TraceState): Uint8Array[] {
  const keys = state.tunnelKeys;
  const ids = state.requestIds;
  const space = MAX_TRACE_STATE_PAYLOAD_BYTES - FIXED - 2 - KEY_FIXED - 2 * addressBytes(familyOf(state.key)) - 2 - 4;
  if (keys.length * 3 + ids.length * 16 <= space) return [message(state, keys, ids)];
  const half = space >>> 1;
  const keyBytes = keys.length * 3;
  const idBytes = ids.length * 16;
  const keysEach = keyBytes <= half ? keys.length : Math.floor(Math.max(half, space - idBytes) / 3);
  const idsEach = Math.floor((space - Math.min(keys.length, keysEach) * 3) / 16);
  const keyChunks = Math.max(1, Math.ceil(keys.length / Math.max(1, keysEach)));
  const idChunks = Math.max(1, Math.ceil(ids.length / idsEach));
  const frames: Uint8Array[] = [];
  for (let i = 0; i < Math.max(keyChunks, idChunks); i++) {
    const k = (i % keyChunks) * keysEach;
    const d = (i % idChunks) * idsEach;
    frames.push(message(state, keys.slice(k, k + keysEach), ids.slice(d, d + idsEach)));
  }
  return frames;
}

function message(state: TraceState, keys: readonly number[], ids: readonly TraceRequestId[]): Uint8Array {
  const { key } = state;
  const family = familyOf(key);
  const size = addressBytes(family);
  const payload = FIXED + 2 + keys.length * 3 + KEY_FIXED + 2 * size + 2 + ids.length * 16 + 4;
  const b = new Uint8Array(HEADERS + payload);
  b.set(TEMPLATE);
  writeU16(b, 16, 28 + payload);
  writeU16(b, 24, headerChecksum(28 + payload));
  writeU16(b, 38, 8 + payload);
  writeU32(b, 42, MAGIC);
  b[46] = TRACE_STATE_VERSION;
  b[47] = flagsOf(key);
  putUuid(b, 48, state.senderHostId);
  putUuid(b, 64, state.flowTraceId);
  putToken(b, 80, state.token);
  writeU16(b, 88, keys.length);
  let o = 90;
  for (const k of keys) {
    if (!Number.isInteger(k) || k < 0 || k > MAX_KEY)
      throw new MidotraceError("INTERNAL", `trace state: ${k} is not a tunnel key without the trace bit`);
    b[o] = k >>> 16;
    writeU16(b, o + 1, k);
    o += 3;
  }
  o = putKey(b, o, key, family, size);
  writeU16(b, o, ids.length);
  o += 2;
  for (const id of ids) {
    putUuid(b, o, id);
    o += 16;
  }
  writeU32(b, o, crc32(b, HEADERS, o));
  return b;
}

function flagsOf(key: TraceKey): number {
  return (
    (key.networkSrc === null ? 0 : HAS.SRC) |
    (key.networkDst === null ? 0 : HAS.DST) |
    (key.networkProto === null ? 0 : HAS.PROTO) |
    (key.srcPort === null ? 0 : HAS.SRC_PORT) |
    (key.dstPort === null ? 0 : HAS.DST_PORT)
  );
}

function putKey(b: Uint8Array, at: number, key: TraceKey, family: number, size: number): number {
  putMac(b, at, key.ethSrc);
  check(key.etherType, 0xffff);
  check(key.networkProto, 0xff);
  check(key.srcPort, 0xffff);
  check(key.dstPort, 0xffff);
  putMac(b, at + 6, key.ethDst);
  writeU16(b, at + 12, key.etherType);
  b[at + 14] = family;
  b[at + 15] = key.networkProto ?? 0;
  writeU16(b, at + 16, key.srcPort ?? 0);
  writeU16(b, at + 18, key.dstPort ?? 0);
  const put = family === 6 ? putIpv6 : putIpv4;
  if (key.networkSrc !== null) put(b, at + KEY_FIXED, key.networkSrc);
  if (key.networkDst !== null) put(b, at + KEY_FIXED + size, key.networkDst);
  return at + KEY_FIXED + 2 * size;
}

function check(v: number | null, max: number): void {
  if (v !== null && (!Number.isInteger(v) || v < 0 || v > max))
    throw new MidotraceError("INTERNAL", `trace state: ${v} does not fit its field of the trace key`);
}

/** Never throws. Accepts exactly what `encodeTraceState` writes; `reason` says what was wrong, for the log. */
export function decodeTraceState(b: Uint8Array): DecodedTraceState {
  const headers = headerProblem(b);
  if (headers !== null) return no(headers);
  if (b.length < 47) return no("payload shorter than its version");
  if (readU32(b, 42) !== MAGIC) return no("not a trace state: wrong magic");
  const version = b[46] as number;
  if (version > TRACE_STATE_VERSION)
    return no(`version ${version} is newer than this agent, which reads up to ${TRACE_STATE_VERSION}`);
  if (version !== TRACE_STATE_VERSION) return no(`unknown version ${version}`);
  if (b.length - HEADERS > MAX_TRACE_STATE_PAYLOAD_BYTES) return no("payload longer than 1422 bytes");
  const end = b.length - 4;
  if (end < 90) return no("payload ends inside its fixed part");
  if (!crcMatches(b, HEADERS, end)) return no("checksum does not match");
  const keyAt = 90 + readU16(b, 88) * 3;
  if (keyAt + KEY_FIXED > end) return no("payload ends inside the tunnel keys");
  const tunnelKeys: number[] = [];
  for (let o = 90; o < keyAt; o += 3) {
    const k = ((b[o] as number) << 16) | readU16(b, o + 1);
    if (k > MAX_KEY) return no("a tunnel key has the trace bit");
    tunnelKeys.push(k);
  }
  const family = b[keyAt + 14] as number;
  const size = addressBytes(family);
  const idsAt = keyAt + KEY_FIXED + 2 * size;
  if (idsAt + 2 > end) return no("payload ends inside the trace key");
  if (idsAt + 2 + readU16(b, idsAt) * 16 !== end) return no("request ids do not fill the payload");
  const key = getKey(b, keyAt, family, size);
  if (typeof key === "string") return no(key);
  const requestIds: TraceRequestId[] = [];
  for (let o = idsAt + 2; o < end; o += 16) requestIds.push(getUuid(b, o) as TraceRequestId);
  return {
    ok: true,
    state: {
      senderHostId: getUuid(b, 48),
      flowTraceId: getUuid(b, 64) as FlowTraceId,
      requestIds,
      token: getToken(b, 80),
      tunnelKeys,
      key,
    },
  };
}

const no = (reason: string): DecodedTraceState => ({ ok: false, reason });

function headerProblem(b: Uint8Array): string | null {
  if (b.length < HEADERS) return "frame shorter than its headers";
  for (let i = 0; i < HEADERS; i++) {
    if (b[i] === TEMPLATE[i]) continue;
    if (i === 16 || i === 17 || i === 24 || i === 25 || i === 38 || i === 39) continue;
    if (i < 12) return "not the MAC addresses of trace state";
    if (i < 14) return "not IPv4";
    if (i < 26) return "unexpected IPv4 header";
    if (i < 34) return "not the IPv4 addresses of trace state";
    return i < 38 ? "not the UDP ports of trace state" : "UDP checksum is not 0";
  }
  const total = readU16(b, 16);
  if (total !== b.length - 14) return "IPv4 length does not fit the frame";
  if (readU16(b, 38) !== total - 20) return "UDP length does not fit the frame";
  if (readU16(b, 24) !== headerChecksum(total)) return "IPv4 header checksum does not match";
  return null;
}

/** The key, or what is wrong with it. */
function getKey(b: Uint8Array, at: number, family: number, size: number): TraceKey | string {
  const flags = b[47] as number;
  if (flags > ALL_FLAGS) return "unknown flags";
  if (family !== 0 && family !== 4 && family !== 6) return `unknown address family ${family}`;
  if (((flags & (HAS.SRC | HAS.DST)) === 0) !== (family === 0)) return "address family and flags disagree";
  const src = at + KEY_FIXED;
  const zero =
    ((flags & HAS.PROTO) !== 0 || b[at + 15] === 0) &&
    ((flags & HAS.SRC_PORT) !== 0 || readU16(b, at + 16) === 0) &&
    ((flags & HAS.DST_PORT) !== 0 || readU16(b, at + 18) === 0) &&
    ((flags & HAS.SRC) !== 0 || isZero(b, src, size)) &&
    ((flags & HAS.DST) !== 0 || isZero(b, src + size, size));
  if (!zero) return "an absent field is not zero";
  const get = family === 6 ? getIpv6 : getIpv4;
  return {
    ethSrc: getMac(b, at),
    ethDst: getMac(b, at + 6),
    etherType: readU16(b, at + 12),
    networkSrc: (flags & HAS.SRC) === 0 ? null : get(b, src),
    networkDst: (flags & HAS.DST) === 0 ? null : get(b, src + size),
    networkProto: (flags & HAS.PROTO) === 0 ? null : (b[at + 15] as number),
    srcPort: (flags & HAS.SRC_PORT) === 0 ? null : readU16(b, at + 16),
    dstPort: (flags & HAS.DST_PORT) === 0 ? null : readU16(b, at + 18),
  };
}

function isZero(b: Uint8Array, o: number, lengthBytes: number): boolean {
  for (let i = o; i < o + lengthBytes; i++) if (b[i] !== 0) return false;
  return true;
}
