import type { DropReason, Verdict } from "#core/tracing";

/** What an agent counts, from its start on. */
export interface AgentCounters {
  packetsIn: number;
  simulated: number;
  generated: number;
  /** Runs of the simulation, restarts and retries counted. */
  runs: number;
  waited: number;
  waitTimeouts: number;
  traced: number;
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
}

export function newCounters(): AgentCounters {
  return {
    packetsIn: 0,
    simulated: 0,
    generated: 0,
    runs: 0,
    waited: 0,
    waitTimeouts: 0,
    traced: 0,
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
  };
}

export function countVerdict(c: AgentCounters, verdict: Verdict, reason: DropReason | null): void {
  c.verdicts[verdict] = (c.verdicts[verdict] ?? 0) + 1;
  if (reason !== null) c.drops[reason] = (c.drops[reason] ?? 0) + 1;
}
