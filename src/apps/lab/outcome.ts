import type { AgentCounters } from "#apps/agent";
import { DROP_REASONS, type DropReason, VERDICTS, type Verdict } from "#core/tracing";
import type { Lab } from "./lab.ts";
import { columns, type Paint, plural } from "./screen.ts";

/** What all agents and switches have counted together. */
export interface Tally {
  readonly simulated: number;
  /** Not simulated, because they took the way of one that was. */
  readonly alike: number;
  /** Served by a flow that was installed for an earlier packet. */
  readonly hits: number;
  /** Lost before anybody looked at them. */
  readonly lost: number;
  readonly verdicts: Readonly<Partial<Record<Verdict, number>>>;
  readonly drops: Readonly<Partial<Record<DropReason, number>>>;
}

export function tally(lab: Lab): Tally {
  const stats = lab.hosts.map((h) => h.switch.stats());
  const switches = lab.hosts.map((h) => h.switch.switchCounters());
  const agents = lab.counters();
  return {
    simulated: sum(agents, (a) => a.simulated),
    alike: sum(agents, (a) => a.alike),
    hits: sum(stats, (s) => s.hits),
    lost: sum(stats, (s) => s.upcallsLost) + sum(switches, (s) => s.runt),
    verdicts: merged(agents, (a) => a.verdicts),
    drops: merged(agents, (a) => a.drops),
  };
}

/** What became of the packets between two tallies: how many, how they ended, and why they were dropped. */
export function outcomeText(before: Tally, after: Tally, paint: Paint): string {
  const verdicts = difference(before.verdicts, after.verdicts).map(([v, n]) => [v, String(n), VERDICTS[v]]);
  const drops = difference(before.drops, after.drops).map(([d, n]) => [d, String(n), DROP_REASONS[d]]);
  const lost = after.lost - before.lost;
  const alike = after.alike - before.alike;
  return [
    `  ${plural(after.simulated - before.simulated, "packet")} simulated, `,
    alike === 0 ? "" : `${alike} went the way of one of them, `,
    `${after.hits - before.hits} served by flows installed before`,
    lost === 0 ? "\n" : `, ${lost} lost in full queues or too short\n`,
    verdicts.length === 0 ? "" : columns(["VERDICT", "PACKETS", "MEANING"], verdicts, paint),
    drops.length === 0 ? "" : `\n${columns(["NOT DELIVERED BECAUSE", "PACKETS", "MEANING"], drops, paint)}`,
  ].join("");
}

function difference<K extends string>(
  before: Partial<Record<K, number>>,
  after: Partial<Record<K, number>>,
): [K, number][] {
  return (Object.keys(after) as K[])
    .map((k): [K, number] => [k, (after[k] ?? 0) - (before[k] ?? 0)])
    .filter(([, n]) => n > 0)
    .sort((a, b) => b[1] - a[1]);
}

function sum<T>(list: readonly T[], of: (item: T) => number): number {
  return list.reduce((total, item) => total + of(item), 0);
}

function merged<K extends string>(
  agents: readonly AgentCounters[],
  of: (a: AgentCounters) => Partial<Record<K, number>>,
): Partial<Record<K, number>> {
  const total: Partial<Record<K, number>> = {};
  for (const counts of agents.map(of)) {
    for (const key of Object.keys(counts) as K[]) total[key] = (total[key] ?? 0) + (counts[key] ?? 0);
  }
  return total;
}
