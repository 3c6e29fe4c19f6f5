import { labelled, metricSource, type MetricSource, type MetricTable, type NumberReading } from "#core/base";
import type { DatapathCounters } from "#core/datapath";
import type { Agent } from "./agent.ts";
import type { AgentCounters } from "./counters.ts";

/** Trace requests that are shown one by one, those that have used most of their limit first. */
const MAX_REQUESTS = 100;

/** What this host's agent counts, from its start on. */
export const AGENT_METRICS = {
  midotrace_agent_ready: {
    kind: "gauge",
    help: "1 when packets are switched and traced as the store says, else 0; /readyz says what is missing.",
  },
  midotrace_agent_packets_in_total: { kind: "counter", help: "Packets that the switch handed up." },
  midotrace_agent_simulated_total: { kind: "counter", help: "Packets whose way was computed to its end." },
  midotrace_agent_alike_total: {
    kind: "counter",
    help: "Packets that were not simulated, because they take the way of one that was: it differs only in ports which no rule on the way tells apart.",
  },
  midotrace_agent_generated_total: { kind: "counter", help: "Packets that virtual devices made (ARP, ICMP)." },
  midotrace_agent_runs_total: {
    kind: "counter",
    help: "Runs of the simulation: a packet that waits or is traced has several.",
  },
  midotrace_agent_verdicts_total: {
    kind: "counter",
    help: "Packets by what became of them.",
    labels: { verdict: "a row of verdicts.md" },
  },
  midotrace_agent_drops_total: {
    kind: "counter",
    help: "Packets that were not delivered, by reason.",
    labels: { reason: "a drop reason of verdicts.md" },
  },
  midotrace_agent_errors_total: { kind: "counter", help: "Simulations that failed: defects, each in the log." },
  midotrace_agent_waiting: { kind: "gauge", help: "Packets that wait for an ARP answer or for topology." },
  midotrace_agent_waited_total: { kind: "counter", help: "Packets that waited." },
  midotrace_agent_wait_timeouts_total: { kind: "counter", help: "Packets that waited in vain, or for too long." },
  midotrace_agent_flows: { kind: "gauge", help: "Flows that the agent has installed in the switch." },
  midotrace_agent_flows_installed_total: { kind: "counter", help: "Flows installed." },
  midotrace_agent_flows_invalidated_total: {
    kind: "counter",
    help: "Flows taken out because something that they depended on changed.",
  },
  midotrace_agent_revalidated_total: {
    kind: "counter",
    help: "Flows taken out because a trace that was just enabled could match them.",
  },
  midotrace_agent_learning_refused_total: {
    kind: "counter",
    help: "MACs and neighbours that were not learned because their table was full.",
  },
  midotrace_agent_fragmented_total: {
    kind: "counter",
    help: "Packets too long for the tunnel that were sent in fragments.",
  },
  midotrace_agent_too_big_told_total: {
    kind: "counter",
    help: "Packets too long for the tunnel that were dropped, and whose sender was told.",
  },
  midotrace_agent_too_big_silent_total: {
    kind: "counter",
    help: "Packets too long for the tunnel that were dropped without a word, as the standards want it.",
  },
  midotrace_agent_topology_lag_seconds: {
    kind: "histogram",
    help: "From hearing of a change in the store until packets are simulated by it.",
  },
  midotrace_agent_traced_total: { kind: "counter", help: "Flows traced, each counted once for all its requests." },
  midotrace_agent_traced_short_total: {
    kind: "counter",
    help: "Flows, and parts of other hosts' flows, of which only the verdict was recorded: the event budget was used up.",
  },
  midotrace_agent_traced_only_counted_total: {
    kind: "counter",
    help: "Flows, and parts of other hosts' flows, that were only counted: nothing of the event budget was left.",
  },
  midotrace_agent_steps_omitted_total: { kind: "counter", help: "Steps left out for the sake of the event budget." },
  midotrace_agent_budget_stepped_down_total: {
    kind: "counter",
    help: "How often the host or a request had to step down to a lower detail.",
  },
  midotrace_agent_budget_level: {
    kind: "gauge",
    help: "Detail that the host's event budget allows: 0 every step, 1 the verdict, 2 only a count.",
  },
  midotrace_agent_trace_segments_lost_total: {
    kind: "counter",
    help: "Parts of flows that this agent will never report, by cause.",
    labels: { cause: "a cause of completeness.md" },
  },
  midotrace_agent_traces_armed: {
    kind: "gauge",
    help: "Enabled trace requests on devices that this host knows, those with their limit used up too.",
  },
  midotrace_agent_traces_exhausted: {
    kind: "gauge",
    help: "Of the armed trace requests, those whose limit is used up on this host.",
  },
  midotrace_agent_trace_limit_used: {
    kind: "gauge",
    help: `Flows of the limit that an enabled trace request has used on this host; of at most ${MAX_REQUESTS} requests.`,
    labels: { request: `id of an enabled trace request, the ${MAX_REQUESTS} with most flows` },
  },
  midotrace_agent_state_sent_total: {
    kind: "counter",
    help: "Trace-state messages sent ahead of packets to other hosts.",
  },
  midotrace_agent_state_received_total: { kind: "counter", help: "Trace-state messages received." },
  midotrace_agent_state_malformed_total: { kind: "counter", help: "Trace-state messages that made no sense." },
  midotrace_agent_traced_arrivals_total: {
    kind: "counter",
    help: "Packets that came out of the tunnel with the trace bit.",
  },
  midotrace_agent_orphans_total: {
    kind: "counter",
    help: "Packets that came with the trace bit and whose trace state never came: state messages that are missing.",
  },
  midotrace_agent_duplicates_total: {
    kind: "counter",
    help: "Packets that the underlay delivered a second time, seen by their trace state.",
  },
  midotrace_agent_segments_lost_total: {
    kind: "counter",
    help: "Trace segments that did not fit the agent's own queue; the collectors are told.",
  },
  midotrace_agent_journal_unwritten_total: {
    kind: "counter",
    help: "Records of traced flows that are not on the disk yet: a restart now would trace them again. Goes back to 0.",
  },
  midotrace_switch_hits_total: { kind: "counter", help: "Packets that an installed flow served." },
  midotrace_switch_upcalls_total: { kind: "counter", help: "Packets that came up to the agent." },
  midotrace_switch_upcalls_lost_total: {
    kind: "counter",
    help: "Packets that should have come up and were lost in a full queue.",
  },
  midotrace_switch_flows: { kind: "gauge", help: "Flows in the switch, as the switch counts them." },
} as const satisfies MetricTable;

export interface AgentReadings {
  /** Null: not started yet, and its metrics have no values. */
  readonly agent: () => Agent | null;
  readonly datapath: () => DatapathCounters | null;
  readonly ready: () => boolean;
}

export function agentMetrics({ agent, datapath, ready }: AgentReadings): MetricSource {
  const count = (of: (c: ReturnType<Agent["counters"]>) => NumberReading) => (): NumberReading => {
    const there = agent();
    return there === null ? null : of(there.counters());
  };
  const plain = (name: NumericCounter) => count((c) => c[name]);
  const inSwitch = (of: (c: DatapathCounters) => number) => (): NumberReading => {
    const there = datapath();
    return there === null ? null : of(there);
  };
  return metricSource(AGENT_METRICS, {
    midotrace_agent_ready: () => (ready() ? 1 : 0),
    midotrace_agent_packets_in_total: plain("packetsIn"),
    midotrace_agent_simulated_total: plain("simulated"),
    midotrace_agent_alike_total: plain("alike"),
    midotrace_agent_generated_total: plain("generated"),
    midotrace_agent_runs_total: plain("runs"),
    midotrace_agent_verdicts_total: count((c) => labelled("verdict", c.verdicts)),
    midotrace_agent_drops_total: count((c) => labelled("reason", c.drops)),
    midotrace_agent_errors_total: plain("errors"),
    midotrace_agent_waiting: count((c) => c.waiting),
    midotrace_agent_waited_total: plain("waited"),
    midotrace_agent_wait_timeouts_total: plain("waitTimeouts"),
    midotrace_agent_flows: count((c) => c.flows),
    midotrace_agent_flows_installed_total: plain("flowsInstalled"),
    midotrace_agent_flows_invalidated_total: plain("flowsInvalidated"),
    midotrace_agent_revalidated_total: plain("revalidated"),
    midotrace_agent_learning_refused_total: plain("learningRefused"),
    midotrace_agent_fragmented_total: plain("fragmented"),
    midotrace_agent_too_big_told_total: plain("tooBigTold"),
    midotrace_agent_too_big_silent_total: plain("tooBigSilent"),
    midotrace_agent_topology_lag_seconds: () => {
      const there = agent();
      return there === null ? [] : [[{}, there.topologyLag] as const];
    },
    midotrace_agent_traced_total: plain("traced"),
    midotrace_agent_traced_short_total: plain("tracedShort"),
    midotrace_agent_traced_only_counted_total: plain("tracedOnlyCounted"),
    midotrace_agent_steps_omitted_total: plain("stepsOmitted"),
    midotrace_agent_budget_stepped_down_total: plain("budgetSteppedDown"),
    midotrace_agent_budget_level: plain("budgetLevel"),
    midotrace_agent_trace_segments_lost_total: count((c) => labelled("cause", c.lostBy)),
    midotrace_agent_traces_armed: count((c) => c.tracesArmed),
    midotrace_agent_traces_exhausted: () => {
      const there = agent();
      return there === null ? null : [...there.limits()].filter((l) => BigInt(l.used) >= l.limit).length;
    },
    midotrace_agent_trace_limit_used: () => mostUsed(agent()),
    midotrace_agent_state_sent_total: plain("stateSent"),
    midotrace_agent_state_received_total: plain("stateReceived"),
    midotrace_agent_state_malformed_total: plain("stateMalformed"),
    midotrace_agent_traced_arrivals_total: plain("tracedArrivals"),
    midotrace_agent_orphans_total: plain("orphans"),
    midotrace_agent_duplicates_total: plain("duplicates"),
    midotrace_agent_segments_lost_total: plain("segmentsLost"),
    midotrace_agent_journal_unwritten_total: plain("journalUnwritten"),
    midotrace_switch_hits_total: inSwitch((c) => c.hits),
    midotrace_switch_upcalls_total: inSwitch((c) => c.upcalls),
    midotrace_switch_upcalls_lost_total: inSwitch((c) => c.upcallsLost),
    midotrace_switch_flows: inSwitch((c) => c.flows),
  });
}

type NumericCounter = { [K in keyof AgentCounters]: AgentCounters[K] extends number ? K : never }[keyof AgentCounters];

function mostUsed(agent: Agent | null): NumberReading {
  if (agent === null) return null;
  const byUse = [...agent.limits()].sort((a, b) => b.used - a.used).slice(0, MAX_REQUESTS);
  return byUse.map(({ requestId, used }) => [{ request: requestId }, used] as const);
}
