import type { DatapathCounters } from "#core/datapath";
import type { Agent } from "./agent.ts";

const GAUGES = new Set(["flows", "waiting", "tracesArmed"]);

/** The agent's counters in Prometheus' text format 0.0.4. */
export function agentMetrics(
  counters: ReturnType<Agent["counters"]>,
  datapath: DatapathCounters,
  ready: boolean,
): string {
  const lines: string[] = [];
  const family = (
    name: string,
    help: string,
    kind: "counter" | "gauge",
    samples: readonly [string, number][],
  ): void => {
    lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${kind}`);
    for (const [labels, value] of samples) lines.push(`${name}${labels} ${value}`);
  };
  for (const [key, value] of Object.entries(counters)) {
    if (typeof value !== "number") continue;
    const gauge = GAUGES.has(key);
    const name = `midotrace_agent_${snake(key)}${gauge ? "" : "_total"}`;
    family(name, `${words(key)} of this agent.`, gauge ? "gauge" : "counter", [["", value]]);
  }
  const labelled = (label: string, of: Readonly<Record<string, number>>): [string, number][] =>
    Object.entries(of).map(([key, n]) => [`{${label}="${key}"}`, n]);
  family(
    "midotrace_agent_verdicts_total",
    "Simulated packets by verdict.",
    "counter",
    labelled("verdict", counters.verdicts),
  );
  family("midotrace_agent_drops_total", "Dropped packets by reason.", "counter", labelled("reason", counters.drops));
  family("midotrace_switch_hits_total", "Packets that an installed flow served.", "counter", [["", datapath.hits]]);
  family("midotrace_switch_upcalls_total", "Packets that came up to the agent.", "counter", [["", datapath.upcalls]]);
  family("midotrace_switch_upcalls_lost_total", "Packets that should have come up and were lost.", "counter", [
    ["", datapath.upcallsLost],
  ]);
  family("midotrace_switch_flows", "Flows in the switch.", "gauge", [["", datapath.flows]]);
  family("midotrace_agent_ready", "Whether packets are switched and traced as the store says.", "gauge", [
    ["", ready ? 1 : 0],
  ]);
  return `${lines.join("\n")}\n`;
}

const snake = (camel: string): string => camel.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);

const words = (camel: string): string => {
  const text = snake(camel).replaceAll("_", " ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
};
