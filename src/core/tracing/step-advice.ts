import type { Advice } from "./advice.ts";
import type { StepKind } from "./step.ts";

const nothing = (say = ""): Advice => ({ say: `Nothing.${say === "" ? "" : ` ${say}`}`, run: null });
const CHAIN = "midotrace topology show --chain CHAIN";
const ROUTER = "midotrace topology show --router ROUTER";
const BRIDGE = "midotrace topology show --bridge BRIDGE";
const PORT = "midotrace topology show --port PORT";

/** What a step tells who looks for a fault; docs/reference/steps.md is printed from it. */
export const STEP_ADVICE: Readonly<Record<StepKind, Advice>> = {
  "trace-matched": nothing("Several such steps: several trace requests share this flow trace."),
  "packet-received": {
    say: "Compare the header with what the sender believes it sent; what is wrong here was wrong before the switch.",
    run: "tcpdump -c 20 -enni INTERFACE",
    at: "HOST",
  },
  "packet-generated": nothing("`cause` names the packet that made the device speak."),
  waited: {
    say: "Long waits for ARP: look at the neighbour. Long waits for topology: look at the store and its latency.",
    run: "midotrace agent doctor",
    at: "HOST",
  },
  "port-in": { say: "When it is not the port you expected, look at the binding of the interface.", run: PORT },
  "port-out": nothing(),
  "device-in": nothing(),
  "chain-start": {
    say: "When it is not the chain you expected, look at the filters of the device or port.",
    run: CHAIN,
  },
  rule: {
    say: "When a rule should have matched, `failedField`, `wanted` and `had` say which part of its condition did not.",
    run: CHAIN,
  },
  "rule-problem": { say: "Repair the rule: it has no effect as it is.", run: CHAIN },
  "chain-jump": nothing("Rules of the chain that was jumped to follow; it has none of its own when `ruleCount` is 0."),
  "chain-return": nothing(),
  "chain-end": { say: "When the result is not what you want, `decidedBy` names the rule to change.", run: CHAIN },
  "filter-skipped": nothing("`because` says why the filter has no say here."),
  "mac-learned": {
    say: "A MAC that is learned on changing ports is used twice, or moves, or goes in a circle.",
    run: BRIDGE,
  },
  "bridge-decision": {
    say: "`flood-unknown` for long: the destination never sends, so nobody learns where it is. Let it send something.",
    run: "ping -c 3 GATEWAY",
    at: "GUEST",
  },
  flood: { say: "When a port is left out that should be in, its `because` says why.", run: BRIDGE },
  vlan: nothing(),
  "route-lookup": {
    say: "Not the route you expected: compare prefix length and weight with the others of the router.",
    run: ROUTER,
  },
  ttl: nothing(),
  "next-hop": {
    say: "`asked` for every packet: the ARP entry of the neighbour is not kept. Look at the neighbour.",
    run: ROUTER,
  },
  rewrite: nothing("The next device sees the header as it is after this."),
  answer: nothing(),
  "answer-suppressed": nothing("An RFC forbids the error here; `because` says which rule of it."),
  "arp-learned": {
    say: "Compare with the MAC that the neighbour has: another one means that two machines use the address.",
    run: "ip -br link",
    at: "GUEST",
  },
  drop: {
    say: "The reason has a row in [verdicts.md](verdicts.md).",
    run: "midotrace trace flows TRACE --verdict dropped",
  },
  emit: nothing(),
  "state-sent": nothing("If the other host says that it never came, the underlay lost or reordered it."),
  "tunnel-sent": {
    say: "When the other host never reports, look on the underlay for this tunnel key.",
    run: "tcpdump -c 20 -nni any udp port 4789",
    at: "HOST",
  },
  "tunnel-received": {
    say: "`state` is `never`: look for loss on the underlay. `duplicate`: the underlay delivers packets twice.",
    run: "midotrace agent doctor",
    at: "HOST",
  },
  delivered: {
    say: "When the guest did not see it, look behind the interface: its firewall, driver, queue.",
    run: "tcpdump -c 20 -enni any",
    at: "GUEST",
  },
  "too-big": {
    say: "`fragments` 0: each copy for another host was dropped, and the next step says whether the sender was told. Fragments are slow: lower the MTU of the guest to `mtuBytes`, or raise that of the underlay.",
    run: "ip link set dev eth0 mtu MTU",
    at: "GUEST",
  },
  flow: nothing("A wide match explains why later packets are not seen one by one."),
  verdict: nothing("Each verdict has a row in [verdicts.md](verdicts.md)."),
  "steps-lost": {
    say: "The path was longer than any real one: look for a loop in the topology.",
    run: "midotrace topology show",
  },
};
