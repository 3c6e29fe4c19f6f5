import type { Ipv4, Mac } from "#core/packets";

interface PacketCommon {
  /** Null: whoever builds the frame chooses (the port's neighbour, broadcast for ARP). */
  readonly ethSrc: Mac | null;
  readonly ethDst: Mac | null;
  /** 1..4094, or null for an untagged frame. */
  readonly vlan: number | null;
}

interface Ipv4Common extends PacketCommon {
  readonly src: Ipv4;
  readonly dst: Ipv4;
  /** 0..255 */
  readonly ttl: number;
  /** Bytes behind the L4 header. */
  readonly lengthBytes: number;
}

/** One packet in words: pure data, from which somebody else builds a frame. */
export type PacketSpec =
  | (Ipv4Common & {
      readonly kind: "icmp";
      readonly type: number;
      readonly code: number;
      /** Identifier and sequence number: of echo messages, otherwise unused. */
      readonly id: number;
      readonly seq: number;
    })
  | (Ipv4Common & {
      readonly kind: "tcp";
      readonly srcPort: number;
      readonly dstPort: number;
      /** TCP_FLAG bits. */
      readonly flags: number;
    })
  | (Ipv4Common & { readonly kind: "udp"; readonly srcPort: number; readonly dstPort: number })
  /** A request for `target` by `sender`. */
  | (PacketCommon & { readonly kind: "arp"; readonly sender: Ipv4; readonly target: Ipv4 });

/** RFC 9293 §3.1, and tcpdump's letters for them. */
export const TCP_FLAG = { F: 1, S: 2, R: 4, P: 8, ".": 16, U: 32 } as const;

export const DEFAULT_TTL = 64;
export const ICMP_ECHO_REQUEST = 8;
