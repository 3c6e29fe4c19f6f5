import type { HostId } from "#core/base";

/** What the processes with the agents and the one that counts them have in common. */

/** An agent says once of every request that it has it armed. */
export interface Armed {
  readonly requests: readonly string[];
  /** Milliseconds since the epoch, with fractions. */
  readonly atMs: number;
}

export const hostIdOf = (n: number): HostId => `0a000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}` as HostId;
