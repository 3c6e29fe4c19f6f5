import type { DropReason, LossCounts, Verdict } from "#core/tracing";

/** What an agent counts, from its start on. */
export interface AgentCounters {
  packetsIn: number;
  simulated: number;
  /** Packets that took the way of an earlier one and were not simulated. */
  alike: number;
  generated: number;
  /** Runs of the simulation, restarts and retries counted. */
  runs: number;
  waited: number;
  waitTimeouts: number;
  traced: number;
  /** Of them, and of traced packets from other hosts: those of which only the verdict was recorded, for the budget's sake. */
  tracedShort: number;
  /** Flows, and parts of other hosts' flows, that were only counted, for the budget's sake. */
  tracedOnlyCounted: number;
  stepsOmitted: number;
  /** How often host or request had to step down to a lower detail. */
  budgetSteppedDown: number;
  /** Detail that the host's budget allows now: 0 full, 1 verdict, 2 count. */
  budgetLevel: number;
  stateSent: number;
  stateReceived: number;
  stateMalformed: number;
  tracedArrivals: number;
  orphans: number;
  duplicates: number;
  /** Flows that enabling a trace removed because they could match. */
  revalidated: number;
  flowsInstalled: number;
  flowsInvalidated: number;
  segmentsLost: number;
  /** Records of traced flows that are not in the journal: a restart now would forget them. 0 again when they are. */
  journalUnwritten: number;
  /** MACs and neighbours that were not learned because their table was full. */
  learningRefused: number;
  /** Packets too long for the tunnel: sent in fragments; not sent, with and without an error to the sender. */
  fragmented: number;
  tooBigTold: number;
  tooBigSilent: number;
  errors: number;
  readonly verdicts: Partial<Record<Verdict, number>>;
  readonly drops: Partial<Record<DropReason, number>>;
  /** Reports that never come, by cause, as far as this agent itself lost them. */
  readonly lostBy: LossCounts;
}

export function newCounters(): AgentCounters {
  return {
    packetsIn: 0,
    simulated: 0,
    alike: 0,
    generated: 0,
    runs: 0,
    waited: 0,
    waitTimeouts: 0,
    traced: 0,
    tracedShort: 0,
    tracedOnlyCounted: 0,
    stepsOmitted: 0,
    budgetSteppedDown: 0,
    budgetLevel: 0,
    stateSent: 0,
    stateReceived: 0,
    stateMalformed: 0,
    tracedArrivals: 0,
    orphans: 0,
    duplicates: 0,
    revalidated: 0,
    flowsInstalled: 0,
    flowsInvalidated: 0,
    segmentsLost: 0,
    journalUnwritten: 0,
    learningRefused: 0,
    fragmented: 0,
    tooBigTold: 0,
    tooBigSilent: 0,
    errors: 0,
    verdicts: {},
    drops: {},
    lostBy: {},
  };
}

export function countVerdict(c: AgentCounters, verdict: Verdict, reason: DropReason | null): void {
  c.verdicts[verdict] = (c.verdicts[verdict] ?? 0) + 1;
  if (reason !== null) c.drops[reason] = (c.drops[reason] ?? 0) + 1;
}
