/** Why a decoder stopped. Closed: a renderer handles every one. */
export const UNDECODED_REASONS = [
  /** the bytes end inside a header, or before the length a header announces */
  "truncated",
  /** a length field contradicts itself (shorter than its own header, longer than what carries it) */
  "bad-length",
  /** the IP version nibble is not the one the ethertype announced */
  "bad-version",
  /** a fixed field has a value the protocol forbids */
  "bad-header",
  /** an ethertype without a codec here */
  "unknown-ethertype",
  /** an IP protocol without a codec here */
  "unknown-protocol",
  /** IEEE 802.3 with a length field and LLC (spanning tree, CDP ...) */
  "llc",
  /** more VLAN tags or IPv6 extension headers than the decoder follows */
  "too-many-headers",
] as const;

export type UndecodedReason = (typeof UNDECODED_REASONS)[number];

/** The tail of a frame that no codec took: kept byte for byte, so that encoding puts it back. */
export interface UndecodedLayer {
  readonly kind: "undecoded";
  readonly bytes: Uint8Array;
  /** Bytes from the start of the frame. */
  readonly offset: number;
  readonly reason: UndecodedReason;
}

/** A header that was read, and where what it carries begins and ends (bytes from the start of the buffer). */
export interface Decoded<L> {
  readonly layer: L;
  readonly start: number;
  readonly end: number;
}
