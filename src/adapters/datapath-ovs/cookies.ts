import type { Cookie } from "#protocols/openflow";

/**
 * The cookie of an entry in the switch:
 *
 *     63 ......... 53 52 ................................... 0
 *   +----------------+----------------------------------------+
 *   | round          | cookie that the agent gave             |
 *   +----------------+----------------------------------------+
 *
 * Each run of the agent takes a round that no entry in the switch has, 1..2046, so that it tells its own entries from
 * those of earlier runs. Round 2047 is the switch's program, which all runs share; 0 is anybody else's.
 */
const ROUND_SHIFT = 21;
const ROUNDS = 2048;
export const PROGRAM_ROUND = ROUNDS - 1;
export const ROUND_MASK: Cookie = { high: ((ROUNDS - 1) << ROUND_SHIFT) >>> 0, low: 0 };

const TWO_32 = 0x1_0000_0000;

export const cookieHigh = (round: number, cookie: number): number =>
  ((round << ROUND_SHIFT) | Math.floor(cookie / TWO_32)) >>> 0;

export const cookieLow = (cookie: number): number => cookie % TWO_32;

export const roundOf = (high: number): number => high >>> ROUND_SHIFT;

/** What the agent gave. */
export const cookieOf = (high: number, low: number): number => (high & ((1 << ROUND_SHIFT) - 1)) * TWO_32 + low;

export const wireCookie = (round: number, cookie: number): Cookie => ({
  high: cookieHigh(round, cookie),
  low: cookieLow(cookie),
});

/** The next free round after the newest one in use; `seen` may hold any numbers. */
export function nextRound(seen: ReadonlySet<number>): number {
  let newest = 0;
  for (const round of seen) if (round !== PROGRAM_ROUND && round > newest) newest = round;
  for (let i = 1; i < PROGRAM_ROUND; i++) {
    const round = ((newest + i - 1) % (PROGRAM_ROUND - 1)) + 1;
    if (!seen.has(round)) return round;
  }
  // 2046 runs of which each left entries: one of them has to share.
  return 1;
}
