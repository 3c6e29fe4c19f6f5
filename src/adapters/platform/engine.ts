import { setFlagsFromString } from "node:v8";

/**
 * V8 watches where arrays and objects are made that live long, and from then on makes all from there among the old. What
 * queues keep for a while (segments that wait for a target that is down) teaches it that for the steps of every packet: the
 * later ones die at once, and hold all that they refer to until the next full collection. That made a traced packet twice as
 * dear, for good (bench/exports.ts). Called by a process at its start.
 */
export function neverPretenure(): void {
  setFlagsFromString("--no-allocation-site-pretenuring");
}

/**
 * The space for new objects stays at the one or two MiB that it has at first, instead of growing to 16. What
 * lives through a collection of new objects is copied by it, all that came since the one before: when each flow was an object,
 * 5,000 new ones per second made a pause of 12 ms now and then, for which a hundred packets waited; so it was one of 1.5 ms,
 * twelve times as often (bench/real, b). Called at its start by a process for whose users the longest pause matters.
 */
export function keepPausesShort(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}

/**
 * The way of a packet is one loop over what was read, through twenty small functions in as many files; V8 makes one piece of
 * machine code of about a quarter of it and calls the rest. With four times the budget a new flow costs an eighth less
 * (bench/real, a). Called at its start by a process that answers packets.
 */
export function inlineDeeply(): void {
  setFlagsFromString("--max-inlined-bytecode-size=1000");
  setFlagsFromString("--max-inlined-bytecode-size-cumulative=4000");
}
