import type { Ipv4 } from "#core/packets";

/** What came back to a VM that sent something: each attempt ends in exactly one of these. Times in milliseconds. */
export type Answer =
  | { readonly kind: "reply"; readonly from: Ipv4; readonly rttMs: number; readonly ttl: number }
  /** Somebody on the way, or the destination, refused: RFC 792 type and code. */
  | {
      readonly kind: "icmp-error";
      readonly from: Ipv4;
      readonly rttMs: number;
      readonly type: number;
      readonly code: number;
    }
  /** TCP: the destination answered with a reset. */
  | { readonly kind: "refused"; readonly from: Ipv4; readonly rttMs: number }
  /** Nobody answered ARP for the next hop: the packet never left. */
  | { readonly kind: "unresolved"; readonly nextHop: Ipv4 }
  | { readonly kind: "timeout" };

export type AnswerKind = Answer["kind"];
