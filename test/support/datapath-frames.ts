import { ByteWriter, readU16, readU32 } from "#core/base";
import { ETHERTYPE, IP_PROTO } from "#core/flows";

/**
 * Frames for tests of datapaths, built and checked independently of the code under test: checksums are computed over
 * the whole packet here, never incrementally.
 */
export interface FrameSpec {
  readonly ethSrc: number;
  readonly ethDst: number;
  /** Tags from the outermost in. */
  readonly vlans: readonly number[];
  readonly src: number;
  readonly dst: number;
  readonly ttl: number;
  readonly tos: number;
  readonly proto: number;
  /** Flags and fragment offset word; a later fragment has no L4 header. */
  readonly fragment: number;
  /** ICMP: type and code. */
  readonly sport: number;
  readonly dport: number;
  readonly icmpId: number;
  readonly payload: Uint8Array;
  readonly udpChecksum: boolean;
}

export const VM1 = { mac: 0x02_00_00_00_01_01, ip: 0x0a000101 };
export const VM2 = { mac: 0x02_00_00_00_01_02, ip: 0x0a000102 };

const DEFAULTS: FrameSpec = {
  ethSrc: VM1.mac,
  ethDst: VM2.mac,
  vlans: [],
  src: VM1.ip,
  dst: VM2.ip,
  ttl: 64,
  tos: 0,
  proto: IP_PROTO.UDP,
  fragment: 0,
  sport: 1000,
  dport: 2000,
  icmpId: 7,
  payload: Uint8Array.from({ length: 33 }, (_, i) => i * 7),
  udpChecksum: true,
};

export function ipv4Frame(spec: Partial<FrameSpec> = {}): Uint8Array {
  const s = { ...DEFAULTS, ...spec };
  const l4 = (s.fragment & 0x1fff) === 0 ? l4Bytes(s) : s.payload;
  const w = ethernet(s, ETHERTYPE.IPV4);
  const ip = new ByteWriter()
    .u8(0x45)
    .u8(s.tos)
    .u16(20 + l4.length)
    .u16(0x1234)
    .u16(s.fragment);
  ip.u8(s.ttl).u8(s.proto).u16(0).u32(s.src).u32(s.dst);
  const header = ip.patchU16(10, checksum(ip.finish())).finish();
  return w.append(header).append(l4).finish();
}

export function arpFrame(spec: Partial<FrameSpec> & { readonly op?: number } = {}): Uint8Array {
  const s = { ...DEFAULTS, ...spec };
  const w = ethernet(s, ETHERTYPE.ARP)
    .u16(1)
    .u16(ETHERTYPE.IPV4)
    .u8(6)
    .u8(4)
    .u16(spec.op ?? 1);
  return w.u48(s.ethSrc).u32(s.src).u48(0).u32(s.dst).append(new Uint8Array(18)).finish();
}

/** UDP over IPv6 with zero UDP checksum. */
export function ipv6Frame(src: bigint, dst: bigint, spec: Partial<FrameSpec> = {}): Uint8Array {
  const s = { ...DEFAULTS, ...spec };
  const w = ethernet(s, ETHERTYPE.IPV6)
    .u32(0x6000_0000)
    .u16(8 + s.payload.length)
    .u8(IP_PROTO.UDP)
    .u8(s.ttl);
  w.u64(src >> 64n)
    .u64(src & 0xffff_ffff_ffff_ffffn)
    .u64(dst >> 64n)
    .u64(dst & 0xffff_ffff_ffff_ffffn);
  return w
    .u16(s.sport)
    .u16(s.dport)
    .u16(8 + s.payload.length)
    .u16(0)
    .append(s.payload)
    .finish();
}

/** What is wrong with the checksums of a frame with at most one tag: empty when nothing is. */
export function checksumErrors(frame: Uint8Array): string[] {
  const at = readU16(frame, 12) === ETHERTYPE.VLAN ? 18 : 14;
  if (readU16(frame, at - 2) !== ETHERTYPE.IPV4) return [];
  const errors: string[] = [];
  const ip = frame.subarray(at, at + readU16(frame, at + 2));
  if (checksum(ip.subarray(0, 20)) !== 0) errors.push("IPv4 header");
  if ((readU16(ip, 6) & 0x3fff) !== 0) return errors;
  const l4 = ip.subarray(20);
  const proto = ip[9] as number;
  if (proto === IP_PROTO.UDP && readU16(l4, 6) === 0) return errors;
  const pseudo = proto === IP_PROTO.ICMP ? new Uint8Array() : pseudoHeader(readU32(ip, 12), readU32(ip, 16), proto, l4);
  if (checksum(new ByteWriter().append(pseudo).append(l4).finish()) !== 0) errors.push(`protocol ${proto}`);
  return errors;
}

function ethernet(s: FrameSpec, type: number): ByteWriter {
  const w = new ByteWriter().u48(s.ethDst).u48(s.ethSrc);
  for (const vlan of s.vlans) w.u16(ETHERTYPE.VLAN).u16(vlan);
  return w.u16(type);
}

function l4Bytes(s: FrameSpec): Uint8Array {
  const w = new ByteWriter();
  if (s.proto === IP_PROTO.TCP) {
    w.u16(s.sport).u16(s.dport).u32(1).u32(2).u16(0x5018).u16(8192).u16(0).u16(0).append(s.payload);
    return w.patchU16(16, l4Checksum(s, w.finish())).finish();
  }
  if (s.proto === IP_PROTO.UDP) {
    w.u16(s.sport)
      .u16(s.dport)
      .u16(8 + s.payload.length)
      .u16(0)
      .append(s.payload);
    return s.udpChecksum ? w.patchU16(6, l4Checksum(s, w.finish()) || 0xffff).finish() : w.finish();
  }
  if (s.proto !== IP_PROTO.ICMP) return s.payload;
  w.u8(s.sport).u8(s.dport).u16(0).u16(s.icmpId).u16(1).append(s.payload);
  return w.patchU16(2, checksum(w.finish())).finish();
}

/** Of an unfragmented packet; the fragments of these tests carry the checksum of what they hold. */
function l4Checksum(s: FrameSpec, l4: Uint8Array): number {
  return checksum(
    new ByteWriter()
      .append(pseudoHeader(s.src, s.dst, s.proto, l4))
      .append(l4)
      .finish(),
  );
}

function pseudoHeader(src: number, dst: number, proto: number, l4: Uint8Array): Uint8Array {
  return new ByteWriter().u32(src).u32(dst).u16(proto).u16(l4.length).finish();
}

/** RFC 1071. */
function checksum(b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += i % 2 === 0 ? (b[i] as number) << 8 : (b[i] as number);
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x1_0000);
  return ~sum & 0xffff;
}
