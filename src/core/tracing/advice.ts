import type { MissingReason } from "./flow-trace.ts";
import type { DropReason } from "./verdict.ts";

/** What to do about it, for somebody who was woken by it. */
export interface Advice {
  readonly say: string;
  /** The next command; words in capitals (`CHAIN`) stand for names that the trace knows. Null: there is nothing to do. */
  readonly run: string | null;
  /** Where it is typed, where that is not the reader's own shell: on the host of the step, or in the guest. */
  readonly at?: "HOST" | "GUEST";
}

const CHAIN = "midotrace topology show --chain CHAIN";
const ROUTER = "midotrace topology show --router ROUTER";
const BRIDGE = "midotrace topology show --bridge BRIDGE";
const PORT = "midotrace topology show --port PORT";
const EVERYTHING = "midotrace topology show";
const DOCTOR = "midotrace agent doctor";
const REQUESTS = "midotrace trace list";
const AGAIN = "midotrace trace flow TRACE FLOW";

/** One for each drop reason; docs/reference/verdicts.md is printed from it, and `trace flow` shows it. */
export const DROP_ADVICE: Readonly<Record<DropReason, Advice>> = {
  "unbound-interface": {
    say: "The interface is in the switch, but no virtual port is bound to it on this host. Bind it to the port it belongs to, or take it out of the switch.",
    run: EVERYTHING,
  },
  "port-admin-down": {
    say: "Somebody has shut the port. Set its `adminStateUp` to true if it should work.",
    run: PORT,
  },
  "bridge-admin-down": {
    say: "Somebody has shut the bridge. Set its `adminStateUp` to true if it should work.",
    run: BRIDGE,
  },
  "router-admin-down": {
    say: "Somebody has shut the router. Set its `adminStateUp` to true if it should work.",
    run: ROUTER,
  },
  "filter-drop": {
    say: "The rule that the sentence names decided. If the packet should pass, change that rule, or put an accept rule before it; the steps above it say which field kept each earlier rule from matching.",
    run: CHAIN,
  },
  "filter-reject": {
    say: "The rule that the sentence names decided, and the sender was told. If the packet should pass, change that rule, or put an accept rule before it.",
    run: CHAIN,
  },
  "rule-jump-depth": {
    say: "Jumps lead deeper than 10 chains: most often a chain jumps back to one it came from. Follow the jump rules from this chain on, and make the circle a line.",
    run: CHAIN,
  },
  "multicast-source": {
    say: "No frame may come from a group address: its sender is broken, or spoofs. Find it behind the interface where the packet entered.",
    run: "tcpdump -c 20 -enni INTERFACE 'ether[6] & 1 != 0'",
    at: "HOST",
  },
  "vlan-mismatch": {
    say: "The frame carries another VLAN than the port takes that it should leave by. Give both ports the same VLAN, or let the sender tag as the port expects.",
    run: BRIDGE,
  },
  "destination-on-ingress-port": {
    say: "The bridge has learned the destination behind the port that the frame came from, so it is there already. Harmless with a hub behind the port; else two machines use one MAC, or a loop taught the bridge wrong.",
    run: BRIDGE,
  },
  "nowhere-to-flood": {
    say: "No other port of the bridge is up: bring up the one that the packet should reach.",
    run: BRIDGE,
  },
  "router-vlan-tagged": {
    say: "Routers take untagged frames only: let a bridge's VLAN port take the tag off before.",
    run: ROUTER,
  },
  "router-ethertype": {
    say: "Routers take IPv4 and ARP only; IPv6 and the rest end here by design. What should be bridged must not be sent to the router's MAC.",
    run: ROUTER,
  },
  "router-broadcast": {
    say: "Broadcasts end at routers, by design. A service that is found by broadcast must stand on the sender's own bridge.",
    run: ROUTER,
  },
  "router-foreign-mac": {
    say: "The sender addressed another MAC than the router port's: most often its ARP entry for the gateway is stale. Clear it there.",
    run: "ip neigh flush all",
    at: "GUEST",
  },
  "router-malformed": {
    say: "The header contradicts itself or ends too soon. Look at the packets as they enter, and at what made them.",
    run: "tcpdump -c 20 -vvenni INTERFACE",
    at: "HOST",
  },
  "arp-not-ours": {
    say: "Somebody asked the router port for an address that is not its own, or asks from outside its network. Compare address and mask of the sender with those of the port.",
    run: ROUTER,
  },
  "no-route": {
    say: "The router has no route to the destination. Add one, or a default route to its uplink.",
    run: ROUTER,
  },
  "route-blackhole": {
    say: "The best route says to throw the packet away. Remove it, or add a more specific one.",
    run: ROUTER,
  },
  "route-reject": {
    say: "The best route says to reject the packet. Remove it, or add a more specific one.",
    run: ROUTER,
  },
  "local-address": {
    say: "The packet is for the router itself, which answers ARP and echo requests only. Aim at the machine behind it.",
    run: ROUTER,
  },
  "ttl-expired": {
    say: "A traceroute is meant to end like this. Anything else goes in a circle: find the router that comes twice in the steps, and the route that leads back.",
    run: ROUTER,
  },
  "next-hop-unreachable": {
    say: "The gateway of the route is not in the network of the port that the route leaves by. Correct the gateway, or the port.",
    run: ROUTER,
  },
  "arp-timeout": {
    say: "Nobody answered ARP for the next hop. See that it is up, and has the address and mask that the router expects; in the guest that should have answered:",
    run: "ip -br addr; ip neigh",
    at: "GUEST",
  },
  "port-unplugged": {
    say: "The port leads nowhere: bind it to an interface of a host, or link it to another port.",
    run: PORT,
  },
  "port-inactive": {
    say: "The interface of the port is not up. Start the guest, or the interface; when it is up there, look at the agent of that host.",
    run: PORT,
  },
  "no-tunnel": {
    say: "The two hosts share no tunnel zone. Put both into one, each with its address.",
    run: DOCTOR,
    at: "HOST",
  },
  "too-big-for-tunnel": {
    say: "The packet is longer than the tunnel takes. Where the step `too-big` says that the sender was told, see that ICMP is not filtered on its way back; else lower the MTU of the guest.",
    run: "ip link set dev eth0 mtu MTU",
    at: "GUEST",
  },
  "loop-limit": {
    say: "The packet crossed more than 12 devices: the steps show which come again, and the link or route between them that makes the circle.",
    run: EVERYTHING,
  },
  "device-missing": {
    say: "Something on the way still refers to a device that is deleted; the step names it. The check of the store finds whatever else does.",
    run: "midotrace store check --store URL",
    at: "HOST",
  },
  "topology-timeout": {
    say: "The store did not deliver a device within 5 s: it is slow, or cannot be reached from this host.",
    run: DOCTOR,
    at: "HOST",
  },
  "waiting-room-full": {
    say: "More packets wait for ARP than are kept: somebody scans addresses that nobody has, or a neighbour with much traffic is down. See who is waited for.",
    run: "midotrace trace flows TRACE --drop-reason arp-timeout",
  },
  "unknown-tunnel-key": {
    say: "No port of this host has the tunnel key that the packet came with: the port has just moved, or is gone. It passes as soon as the sending host has heard of it; when it lasts:",
    run: DOCTOR,
    at: "HOST",
  },
  "simulation-error": {
    say: "A defect of ours, or a topology that contradicts itself. Report it with the log of the agent.",
    run: "journalctl -u midotrace-agent -p warning --since -15min",
    at: "HOST",
  },
};

/** One for each reason of incompleteness; docs/reference/completeness.md is printed from it. */
export const MISSING_ADVICE: Readonly<Record<MissingReason, Advice>> = {
  awaited: { say: "Nothing yet: look again in 5 s.", run: AGAIN },
  late: {
    say: "The host is up and behind: its part may yet come. When it does not, look at its way to the API servers.",
    run: DOCTOR,
    at: "HOST",
  },
  "segment-missing": {
    say: "The packet or the report was lost: look at the tunnel to that host, and whether its agent runs.",
    run: DOCTOR,
    at: "HOST",
  },
  "state-lost": {
    say: "The underlay lost the message ahead of the packet, and packets with the same bytes cannot be told apart without it. Trace again; when it comes again, look for loss between the two hosts.",
    run: DOCTOR,
    at: "HOST",
  },
  "steps-lost": { say: "The path has more than 1000 steps: look for a loop.", run: EVERYTHING },
  truncated: {
    say: "The verdict stands. The host has recorded all that its event budget allows: narrow the conditions, lower the limits, or raise `--trace-events` on the host.",
    run: REQUESTS,
  },
  "segments-lost": {
    say: "The host traces more than it can report: narrow the conditions, or lower the limits.",
    run: REQUESTS,
  },
  "host-down": {
    say: "Start the host, or its agent.",
    run: "systemctl status midotrace-agent",
    at: "HOST",
  },
  "ingress-missing": {
    say: "Look at the host where the packet entered: it is down, or its agent is.",
    run: EVERYTHING,
  },
  "store-unreachable": {
    say: "The host decided by what it knew last. Look at its way to the store, and trace again when it is back.",
    run: DOCTOR,
    at: "HOST",
  },
};

/** Names for the words in capitals; a word without a name stays. */
export type AdviceNames = Readonly<Partial<Record<AdviceWord, string>>>;

export const ADVICE_WORDS = ["CHAIN", "ROUTER", "BRIDGE", "PORT", "TRACE", "FLOW", "INTERFACE", "MTU"] as const;
export type AdviceWord = (typeof ADVICE_WORDS)[number];

const WORD = new RegExp(`\\b(${ADVICE_WORDS.join("|")})\\b`, "g");

/** The command with the names of this trace in it. */
export function adviceCommand(run: string, names: AdviceNames): string {
  return run.replaceAll(WORD, (word) => {
    const name = names[word as AdviceWord];
    return name === undefined ? word : quoted(name);
  });
}

/** As a POSIX shell takes it for one word, whatever a user has called it. */
function quoted(name: string): string {
  return /^[\w./:@%+-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

/** As the reference pages print it. */
export function adviceText({ say, run, at }: Advice): string {
  if (run === null) return say;
  const where = at === "HOST" ? "On the host: " : at === "GUEST" ? "In the guest: " : "";
  return `${say} ${where}\`${run}\``;
}
