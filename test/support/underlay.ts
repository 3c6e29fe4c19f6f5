/** VNI of a VXLAN datagram from its outer Ethernet header on: 14 + 20 + 8 + 4 bytes in (RFC 7348 §5). */
export function readU24At(bytes: Uint8Array): number {
  const o = 46;
  return ((bytes[o] as number) << 16) | ((bytes[o + 1] as number) << 8) | (bytes[o + 2] as number);
}
