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
 * The space for new objects stays at the one or two MiB that it has at first, instead of growing to 16. A flow's record
 * outlives the collections of new objects, each of which copies all records since the one before: with 5,000 new flows per
 * second a pause of 12 ms now and then, for which a hundred packets wait; so it is one of 1.5 ms, twelve times as often
 * (bench/real, b). Called at its start by a process for whose users the longest pause matters.
 */
export function keepPausesShort(): void {
  setFlagsFromString("--semi-space-growth-factor=1");
}
