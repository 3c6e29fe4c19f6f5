/**
 * The layout of a tunnel key (24-bit VXLAN VNI):
 *
 *     23   22 21 20   19 ................. 0
 *   +----+----------+----------------------+
 *   | T  |   type   |         key          |     T = trace bit
 *   +----+----------+----------------------+
 *
 * type 0: `key` is a virtual port's tunnel key, 1..0xfffff. Type 7 with all ones is the reserved key of flow-state
 * messages; it has T set, so "traced" is always asked through `isTracedKey`. Types 1..6 are reserved.
 */
export const TRACE_BIT = 0x80_0000;
export const TYPE_MASK = 0x70_0000;
export const KEY_MASK = 0x0f_ffff;
export const FLOW_STATE_KEY = 0xff_ffff;
export const MAX_PORT_KEY = KEY_MASK;

/** True for a key that the allocator may hand to a port: it can never look traced or reserved. */
export function isPortKey(key: number): boolean {
  return Number.isInteger(key) && key >= 1 && key <= MAX_PORT_KEY;
}

export function isTracedKey(key: number): boolean {
  return key !== FLOW_STATE_KEY && (key & TRACE_BIT) !== 0;
}

export function withTraceBit(key: number): number {
  return key | TRACE_BIT;
}

export function withoutTraceBit(key: number): number {
  return key & ~TRACE_BIT;
}
