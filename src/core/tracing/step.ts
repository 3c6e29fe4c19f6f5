import type { TraceRequestId } from "#core/base";
import type { DropReason, Verdict } from "./verdict.ts";

/** Version of the step union; every line of the log says it, so that its readers know what they read. */
export const STEPS_VERSION = 4;

/** Header fields as people read them; fields that the packet does not have are left out. */
export interface HeaderText {
  readonly ethSrc?: string;
  readonly ethDst?: string;
  readonly etherType?: string;
  readonly vlan?: number;
  readonly nwSrc?: string;
  readonly nwDst?: string;
  readonly nwProto?: number;
  readonly nwTos?: number;
  readonly nwTtl?: number;
  readonly fragment?: "first" | "later";
  readonly tpSrc?: number;
  readonly tpDst?: number;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  readonly icmpId?: number;
}

export interface DeviceRef {
  readonly type: "port" | "bridge" | "router" | "host";
  readonly id: string;
  readonly name: string;
}

export interface PortRef {
  readonly id: string;
  readonly name: string;
}

export interface RouteText {
  readonly id: string;
  readonly type: string;
  readonly src: string;
  readonly dst: string;
  readonly gateway: string | null;
  readonly port: string | null;
  readonly weight: number;
}

/** Where a chain is evaluated. */
export type FilterStage = "port-in" | "port-out" | "pre-bridging" | "post-bridging" | "pre-routing" | "post-routing";

interface OnDevice {
  readonly device: DeviceRef;
  /** Tenant that owns the device; decides who may see the step. Never shown. */
  readonly owner: string;
}

interface InChain {
  readonly chainId: string;
  /**
   * Tenant that owns the chain: a device may use a chain of somebody else, and then its rules are not the device owner's
   * to see. Never shown. Absent: nobody's.
   */
  readonly chainOwner?: string;
}

/** What is decided, and why. One member per kind; docs/reference/steps.md has a row for each. */
export type StepBody = OnDevice &
  (
    | {
        readonly kind: "trace-matched";
        readonly requestId: TraceRequestId;
        readonly ruleId: string;
        readonly chainId: string;
      }
    | {
        readonly kind: "packet-received";
        readonly header: HeaderText;
        readonly interface: string;
        readonly lengthBytes: number;
      }
    | { readonly kind: "packet-generated"; readonly header: HeaderText; readonly cause: string }
    | {
        readonly kind: "waited";
        readonly waitedFor: "arp" | "topology";
        readonly what: string;
        readonly waitedMs: number;
      }
    | { readonly kind: "port-in"; readonly of: DeviceRef; readonly header: HeaderText }
    | { readonly kind: "port-out"; readonly of: DeviceRef }
    | { readonly kind: "device-in"; readonly inPort: PortRef }
    | (InChain & {
        readonly kind: "chain-start";
        readonly stage: FilterStage;
        readonly chainName: string;
        readonly ruleCount: number;
      })
    | (InChain & {
        readonly kind: "rule";
        readonly chainName: string;
        readonly ruleId: string;
        readonly position: number;
        readonly ruleType: string;
        readonly matched: boolean;
        /** The rule's condition as it was then, as an expression; "any": it has no fields. Absent: written before version 4. */
        readonly condition?: string;
        /** Condition field that decided against the rule, what it wanted and what the packet had. */
        readonly failedField?: string;
        readonly wanted?: string;
        readonly had?: string;
      })
    | (InChain & { readonly kind: "rule-problem"; readonly ruleId: string; readonly problem: string })
    | (InChain & { readonly kind: "chain-jump"; readonly chainName: string; readonly ruleCount: number })
    | (InChain & {
        readonly kind: "chain-return";
        readonly chainName: string;
        /** Of the rule that had jumped away: the next one is tried now. */
        readonly position: number;
      })
    | (InChain & {
        readonly kind: "chain-end";
        readonly stage: FilterStage;
        readonly chainName: string;
        readonly result: "accept" | "drop" | "reject";
        readonly decidedBy: string;
        /** Tenant that owns the chain of the rule that decided, if a rule did. Never shown. */
        readonly deciderOwner?: string;
      })
    | {
        readonly kind: "filter-skipped";
        readonly stage: FilterStage;
        readonly chainId: string;
        readonly because: string;
      }
    | { readonly kind: "mac-learned"; readonly mac: string; readonly vlan: number; readonly port: PortRef }
    | {
        readonly kind: "bridge-decision";
        readonly decision:
          | "unicast"
          | "unicast-linked"
          | "arp-to-router"
          | "flood-unknown"
          | "flood-multicast"
          | "flood-arp";
        readonly mac: string;
        readonly vlan: number;
        readonly outPort: PortRef | null;
      }
    | {
        readonly kind: "flood";
        readonly ports: readonly { readonly port: PortRef; readonly included: boolean; readonly because: string }[];
      }
    | { readonly kind: "vlan"; readonly operation: "push" | "pop"; readonly vlan: number }
    | {
        readonly kind: "route-lookup";
        readonly dst: string;
        readonly src: string;
        readonly routeCount: number;
        readonly route: RouteText | null;
        readonly candidates: number;
      }
    | { readonly kind: "ttl"; readonly before: number; readonly after: number }
    | {
        readonly kind: "next-hop";
        readonly ip: string;
        readonly mac: string | null;
        readonly source: "linked-port" | "arp-table" | "asked";
      }
    | { readonly kind: "rewrite"; readonly before: HeaderText; readonly after: HeaderText }
    | {
        readonly kind: "answer";
        readonly what: "arp-reply" | "arp-request" | "echo-reply" | "icmp-error";
        readonly summary: string;
      }
    | { readonly kind: "answer-suppressed"; readonly what: "icmp-error"; readonly because: string }
    | { readonly kind: "arp-learned"; readonly ip: string; readonly mac: string }
    | { readonly kind: "drop"; readonly reason: DropReason; readonly detail: string }
    | {
        readonly kind: "emit";
        readonly where: "local" | "remote";
        readonly hostId: string;
        readonly hostName: string;
        readonly interface: string;
      }
    | {
        readonly kind: "state-sent";
        readonly hostId: string;
        readonly hostName: string;
        readonly messages: number;
        readonly token: string;
      }
    | {
        readonly kind: "tunnel-sent";
        readonly hostId: string;
        readonly hostName: string;
        readonly tunnelIp: string;
        readonly tunnelKey: number;
        /** The key on the wire: with the trace bit. */
        readonly wireKey: number;
      }
    | {
        readonly kind: "tunnel-received";
        readonly hostId: string | null;
        readonly hostName: string | null;
        readonly tunnelIp: string;
        readonly tunnelKey: number;
        readonly header: HeaderText;
        readonly token: string;
        readonly state: "before-packet" | "after-packet" | "never";
        readonly duplicate: boolean;
      }
    | { readonly kind: "delivered"; readonly interface: string; readonly ofport: number }
    | {
        readonly kind: "too-big";
        /** Of the Ethernet frame, without VLAN tags; and the most that the tunnel takes. */
        readonly lengthBytes: number;
        readonly limitBytes: number;
        /** Most bytes of an IP packet in the tunnel. */
        readonly mtuBytes: number;
        /** In how many pieces each copy was sent; 0: it was not. */
        readonly fragments: number;
      }
    | {
        readonly kind: "flow";
        /** The installed match, null when none was installed. */
        readonly match: string | null;
        readonly actions: readonly string[];
        readonly idleTimeoutMs: number;
        readonly hardTimeoutMs: number;
        readonly because: string;
      }
    | { readonly kind: "verdict"; readonly verdict: Verdict; readonly dropReason: DropReason | null }
    | { readonly kind: "steps-lost"; readonly count: number }
  );

export type StepKind = StepBody["kind"];

/** A recorded step: its place in the segment and its time (wall clock of the host). */
export type Step = StepBody & { readonly seq: number; readonly atMs: number };

/** All kinds, for documents and tests; the compiler refuses a missing or an extra one. */
export const STEP_KINDS: Readonly<Record<StepKind, string>> = {
  "trace-matched": "a trace request's condition matched when the packet entered the device",
  "packet-received": "the host's switch handed up a packet from an interface",
  "packet-generated": "a virtual device made this packet itself",
  waited: "the packet waited for an ARP answer or for topology to be loaded",
  "port-in": "the packet enters a virtual port",
  "port-out": "the packet leaves by a virtual port",
  "device-in": "the packet is inside a bridge or router",
  "chain-start": "a filter begins",
  rule: "a rule was tried, with its condition; when it did not match, the field that decided",
  "rule-problem": "a rule could not be followed (missing or repeated jump target, NAT without connection tracking)",
  "chain-jump": "the rule before it goes on in another chain",
  "chain-return": "the chain that was jumped to decided nothing: the one that jumped goes on",
  "chain-end": "a filter ends with its result and the rule that decided",
  "filter-skipped": "a filter does not apply to this packet",
  "mac-learned": "the bridge learned where the source MAC is",
  "bridge-decision": "where the bridge sends the frame, and why",
  flood: "the ports of a flood, each with the reason why it is in or out",
  vlan: "a VLAN tag was pushed or popped",
  "route-lookup": "the route that was chosen, of how many",
  ttl: "the router decremented the time to live",
  "next-hop": "the MAC of the next hop, and where it is known from",
  rewrite: "header fields before and after the router",
  answer: "the device generated a packet (ARP, echo reply, ICMP error)",
  "answer-suppressed": "an ICMP error was not sent, and the rule that forbids it",
  "arp-learned": "the router learned a neighbour's MAC",
  drop: "the packet ends here, and why",
  emit: "the packet is to leave through a bound port, on this host or another",
  "state-sent": "the trace state was sent ahead of the packet",
  "tunnel-sent": "the packet was sent through the tunnel with the trace bit",
  "tunnel-received": "the packet came out of the tunnel with the trace bit",
  delivered: "the packet was handed to an interface",
  "too-big": "the packet is longer than the tunnel to another host takes, and what was done about it",
  flow: "the flow that was installed for the packets that follow, or why none was",
  verdict: "how it ended on this host",
  "steps-lost": "steps that were not kept",
};
