import { parseListen } from "#apps/cli/options";
import type { Check } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

interface Readiness {
  readonly ready?: unknown;
  readonly waitingFor?: unknown;
  readonly hostId?: unknown;
}

/** Addresses that mean "any of this host's". */
const ANY = new Set(["0.0.0.0", "::"]);

/** What the agent that runs here says of itself. */
export const runningAgent: Check = {
  name: "agent",
  timeoutMs: 10_000,
  async run(at, probes) {
    const name = "agent";
    const { host, port } = parseListen(at.options.listen);
    const address = ANY.has(host) ? "127.0.0.1" : host;
    const url = `http://${address.includes(":") ? `[${address}]` : address}:${port}/readyz`;
    if (port === 0)
      return [
        unknown(name, "where the agent answers is not known: it listens on any free port", "give --listen a port"),
      ];
    const { value, trouble } = await probes.http(url);
    if (value === null) {
      const elsewhere =
        at.aliveInStore === true ? ", and the store says that this host is alive: another machine may have its id" : "";
      const advice = `systemctl start midotrace-agent; journalctl -u midotrace-agent tells why it ended${elsewhere === "" ? "" : "; compare host-id in the state directories"}`;
      return [warn(name, `no agent answers at ${url} (${trouble})${elsewhere}`, advice)];
    }
    const said = readiness(value.body);
    if (said === null) {
      const advice = "ss -ltnp shows who listens there; --listen gives the agent another port";
      return [fail(name, `what answers at ${url} is no agent (status ${value.status})`, advice)];
    }
    const findings: Finding[] = [];
    if (at.hostId !== null && typeof said.hostId === "string" && said.hostId !== at.hostId) {
      const advice = "give this command the same options as the agent: --config /etc/midotrace/agent.yaml";
      findings.push(
        warn(name, `the agent at ${url} is host ${said.hostId}, and these options are of ${at.hostId}`, advice),
      );
    }
    const waits = Array.isArray(said.waitingFor) ? said.waitingFor.map(String) : [];
    if (said.ready === true) findings.push(ok(name, "the agent is ready"));
    for (const what of said.ready === true ? [] : waits) {
      const advice = "put the lines above in order; journalctl -u midotrace-agent has its own words";
      findings.push(fail(name, `the agent waits for ${what}`, advice));
    }
    if (findings.length === 0)
      findings.push(fail(name, "the agent is not ready, and does not say why", "systemctl restart midotrace-agent"));
    return findings;
  },
};

function readiness(body: string): Readiness | null {
  try {
    const json: unknown = JSON.parse(body);
    return typeof json === "object" && json !== null && "ready" in json ? json : null;
  } catch {
    return null;
  }
}

export const AGENT_CHECKS: readonly Check[] = [runningAgent];
