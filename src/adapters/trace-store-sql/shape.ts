import { hash } from "node:crypto";
import { unreachable } from "#core/base";
import type { FlowTrace, Step } from "#core/tracing";

/**
 * Two flows with one shape look the same to every viewer but for times, headers and what was learned: same hosts, devices,
 * owners, decisions, end and completeness. Whatever decides what a viewer sees of a step has to be in here.
 */
export function shapeHash(trace: FlowTrace): string {
  const parts: string[] = [trace.verdict, trace.dropReason ?? "", trace.completeness.state];
  for (const m of trace.completeness.missing) parts.push(m.hostId ?? "", m.reason);
  for (const s of trace.segments) {
    parts.push("\n", s.hostId, s.hostName, s.role, s.verdict, s.dropReason ?? "", s.duplicate ? "d" : "", s.joinedBy);
    parts.push(s.stepsLost > 0 ? "l" : "", s.detail ?? "", s.arrival === null ? "" : "a");
    for (const e of s.expects) parts.push(`${e.hostId} ${e.tunnelKey}`);
    for (const x of s.steps) parts.push("\t", x.kind, x.device.id, x.device.name, x.owner, otherOwners(x), decision(x));
  }
  return hash("sha1", parts.join("\u0001"), "hex");
}

/** Whose the chain is, of steps in one, and whose rule decided. */
function otherOwners(x: Step): string {
  const { chainOwner, deciderOwner } = x as { readonly chainOwner?: string; readonly deciderOwner?: string };
  return chainOwner === undefined && deciderOwner === undefined ? "" : `${chainOwner} ${deciderOwner}`;
}

/** What a step decided, without what is different in each packet. */
function decision(x: Step): string {
  switch (x.kind) {
    case "trace-matched":
      return x.requestId;
    case "packet-generated":
      return x.cause;
    case "port-in":
    case "port-out":
      return x.of.id;
    case "device-in":
      return x.inPort.id;
    case "chain-start":
    case "chain-jump":
    case "chain-return":
    case "filter-skipped":
      return x.chainId;
    case "rule":
      return x.matched ? `${x.ruleId} ${x.ruleType} ${x.condition ?? ""}` : x.ruleId;
    case "rule-problem":
      return `${x.ruleId} ${x.problem}`;
    case "chain-end":
      return `${x.chainId} ${x.result} ${x.decidedBy}`;
    case "bridge-decision":
      return `${x.decision} ${x.outPort?.id ?? ""}`;
    case "flood":
      return x.ports.map((p) => `${p.port.id}${p.included ? "+" : "-"}`).join(" ");
    case "vlan":
      return `${x.operation} ${x.vlan}`;
    case "route-lookup":
      return x.route?.id ?? "";
    case "answer":
      return x.what;
    case "drop":
      return x.reason;
    case "emit":
      return `${x.where} ${x.hostId}`;
    case "tunnel-sent":
      return `${x.hostId} ${x.tunnelKey}`;
    case "too-big":
      return `${x.fragments}`;
    case "packet-received":
    case "waited":
    case "mac-learned":
    case "arp-learned":
    case "ttl":
    case "next-hop":
    case "rewrite":
    case "answer-suppressed":
    case "state-sent":
    case "tunnel-received":
    case "delivered":
    case "flow":
    case "verdict":
    case "steps-lost":
      return "";
    default:
      return unreachable(x);
  }
}
