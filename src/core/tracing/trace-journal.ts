import type { FlowTraceId, RuleId, TraceRequestId } from "#core/base";

/** A flow that was traced under one enabling and had not ended, as far as the journal says. */
export interface JournaledFlow {
  readonly rule: RuleId;
  /** Names the flow under its enabling; one line of text. */
  readonly key: string;
  /** Wall clock, ms since the epoch: when a packet of it was last noted. */
  readonly lastSeenMs: number;
  /** An entry of the switch served it: it may have lived on without anybody seeing its packets. */
  readonly held: boolean;
}

/** A report that was to be made: what it was about, as far as that was known then. */
export interface BegunReport {
  readonly id: string;
  readonly flowTraceId: FlowTraceId | null;
  readonly requestIds: readonly TraceRequestId[];
}

/** What earlier runs have left. */
export interface JournalContents {
  /** Flows that each enabling (one rule id is one enabling) has traced on this host. */
  readonly counts: ReadonlyMap<RuleId, number>;
  readonly flows: readonly JournaledFlow[];
  /** Reports that were begun, and are not known to be kept anywhere. */
  readonly unreported: readonly BegunReport[];
}

/**
 * Where an agent notes which flows it has traced, so that neither a limit nor a flow begins anew when the agent does.
 * Everything is synchronous: when a call returns, a process that is killed has lost nothing of what was noted before. No
 * call throws: what cannot be written is counted in `unwritten`, said to whoever made the journal, and written as soon as
 * that is possible again.
 */
export interface TraceJournal {
  /** Records that are not where a later run could read them; 0 again when they are. */
  readonly unwritten: number;
  /** What earlier runs left. Once, before anything else; after `close`, again. */
  open(): JournalContents;
  /** The enabling has traced one more flow, `count` in all. To be called before the packet is sent. */
  counted(rule: RuleId, count: number, key: string, atMs: number): void;
  /** An entry of the switch serves the flow from now on. */
  held(rule: RuleId, key: string): void;
  /** A packet of the flow was seen, or its entry went: no entry serves it now. */
  seen(rule: RuleId, key: string, atMs: number): void;
  /** The flow is over. */
  ended(rule: RuleId, key: string): void;
  /** The enabling is over, and all its flows. */
  forgotten(rule: RuleId): void;
  /** A report is to be made. To be called before the packet is sent, again for each further request of the packet. */
  begun(report: BegunReport): void;
  /** Reports that are kept where they outlive this process, or losses that stand for them. */
  reported(ids: readonly string[]): void;
  /** Does what can wait; to be called every few seconds. */
  tend(): void;
  close(): void;
}

/** Remembers nothing: for hosts that end with their process. */
export const NO_JOURNAL: TraceJournal = {
  unwritten: 0,
  open: () => ({ counts: new Map(), flows: [], unreported: [] }),
  counted: () => undefined,
  held: () => undefined,
  seen: () => undefined,
  ended: () => undefined,
  forgotten: () => undefined,
  begun: () => undefined,
  reported: () => undefined,
  tend: () => undefined,
  close: () => undefined,
};
