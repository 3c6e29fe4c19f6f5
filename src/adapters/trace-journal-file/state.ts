import type { RuleId } from "#core/base";
import type { BegunReport, JournalContents, JournaledFlow } from "#core/tracing";
import { JOURNAL_VERSION, type JournalRecord, recordLine } from "./records.ts";

interface Flow {
  readonly rule: RuleId;
  readonly key: string;
  lastSeenMs: number;
  held: boolean;
}

const nameOf = (rule: RuleId, key: string): string => `${rule} ${key}`;

/** What a sequence of records amounts to. */
export class JournalState {
  private readonly maxFlows: number;
  private readonly counts = new Map<RuleId, number>();
  /** The flow that was traced first comes first. */
  private readonly flows = new Map<string, Flow>();
  /** Reports that are not known to be kept elsewhere. */
  private readonly begun = new Map<string, BegunReport>();
  /** Flows that were left out because there were too many: a later run may trace them again, within the limit. */
  crowdedOut = 0;

  constructor(maxFlows: number) {
    this.maxFlows = maxFlows;
  }

  apply(record: JournalRecord): void {
    switch (record[0]) {
      case "version":
        return;
      case "count":
        this.count(record[1], record[2]);
        return;
      case "traced":
        this.count(record[1], record[2]);
        this.flow(record[1], record[3], record[4], false);
        return;
      case "flow":
        this.flow(record[1], record[2], record[3], record[4] === 1);
        return;
      case "held":
      case "seen": {
        const flow = this.flows.get(nameOf(record[1], record[2]));
        if (flow === undefined) return;
        flow.held = record[0] === "held";
        if (record[0] === "seen") flow.lastSeenMs = record[3];
        return;
      }
      case "ended":
        this.flows.delete(nameOf(record[1], record[2]));
        return;
      case "forgotten":
        this.counts.delete(record[1]);
        for (const [name, flow] of this.flows) if (flow.rule === record[1]) this.flows.delete(name);
        return;
      case "begun": {
        const [, id, flowTraceId, requestIds] = record;
        const before = this.begun.get(id);
        this.begun.set(id, {
          id,
          flowTraceId: flowTraceId ?? before?.flowTraceId ?? null,
          requestIds: [...new Set([...(before?.requestIds ?? []), ...requestIds])],
        });
        return;
      }
      case "reported":
        for (const id of record[1]) this.begun.delete(id);
        return;
    }
  }

  contents(): JournalContents {
    return {
      counts: new Map(this.counts),
      flows: [...this.flows.values()].map((f): JournaledFlow => ({ ...f })),
      unreported: [...this.begun.values()],
    };
  }

  /** The shortest file that amounts to the same. */
  snapshot(): string {
    const lines = [recordLine(["version", JOURNAL_VERSION])];
    for (const [rule, count] of this.counts) lines.push(recordLine(["count", rule, count]));
    for (const f of this.flows.values()) lines.push(recordLine(["flow", f.rule, f.key, f.lastSeenMs, f.held ? 1 : 0]));
    for (const { id, flowTraceId, requestIds } of this.begun.values())
      lines.push(recordLine(["begun", id, flowTraceId, requestIds]));
    return lines.join("");
  }

  private count(rule: RuleId, count: number): void {
    this.counts.set(rule, Math.max(count, this.counts.get(rule) ?? 0));
  }

  private flow(rule: RuleId, key: string, lastSeenMs: number, held: boolean): void {
    const name = nameOf(rule, key);
    this.flows.delete(name);
    this.flows.set(name, { rule, key, lastSeenMs, held });
    if (this.flows.size <= this.maxFlows) return;
    const oldest = this.flows.keys().next();
    if (oldest.done === true) return;
    this.flows.delete(oldest.value);
    this.crowdedOut++;
  }
}
