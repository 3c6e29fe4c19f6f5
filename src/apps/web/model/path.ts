import type { DeviceRef, HeaderText, PublicStep, ShownStep, StepKind } from "#core/tracing";
import { type HeaderChange, headerDiff } from "./header-diff.ts";
import { hasFailed, type ShownFlow, type ShownSegment } from "./shown-flow.ts";

/**
 * A place on the packet's way: a bridge or router with the ports by which it came in and went out, the interface where it
 * entered or left a host, or a stretch of somebody else's network.
 */
export interface Hop {
  /** "0.3": segment and place in it. */
  readonly id: string;
  readonly segment: number;
  readonly kind: "device" | "entry" | "exit" | "withheld" | "outcome";
  /** Null when withheld, and for what the host did with the packet in the end. */
  readonly device: DeviceRef | null;
  readonly inPort: string | null;
  readonly outPorts: readonly string[];
  readonly steps: readonly PublicStep[];
  /** The packet ended here, and should not have. */
  readonly failed: boolean;
  /** A trace request matched here. */
  readonly matched: boolean;
  /** Where the packet came from; null at the beginning of a segment. */
  readonly parent: string | null;
  readonly changes: readonly HeaderChange[];
  /** In a few words: the route, the decision, the filter that decided. */
  readonly summary: readonly string[];
}

export interface HopGroup {
  readonly segment: ShownSegment;
  readonly index: number;
  readonly hops: readonly Hop[];
}

/** A copy of the packet on its way between two hosts. */
export interface Tunnel {
  /** Hop from which it left, null when that is withheld. */
  readonly from: string | null;
  readonly fromSegment: number;
  readonly toSegment: number;
  /** "key 3"; null when the viewer may not know. */
  readonly label: string | null;
}

export interface FlowPath {
  readonly groups: readonly HopGroup[];
  readonly tunnels: readonly Tunnel[];
  /** The hop to look at first, and the step in it. */
  readonly failing: { readonly hop: Hop; readonly step: ShownStep } | null;
}

export const isShown = (step: PublicStep): step is ShownStep => step.withheld !== true;

/** The hops of a flow trace, in the order of the packet, grouped by host. */
export function flowPath(flow: ShownFlow): FlowPath {
  const failingStep = failingOf(flow);
  const groups = flow.segments.map((segment, index) => ({
    segment,
    index,
    hops: new HopBuilder(index, failingStep).build(segment.steps),
  }));
  const hop = groups.flatMap((g) => g.hops).find((h) => h.failed);
  return {
    groups,
    tunnels: tunnelsOf(groups),
    failing: hop === undefined || failingStep === null ? null : { hop, step: failingStep },
  };
}

/** The last drop of the first segment that failed. */
function failingOf(flow: ShownFlow): ShownStep | null {
  for (const s of flow.segments) {
    if (s.duplicate || !hasFailed(s.verdict)) continue;
    const drop = s.steps.findLast((x) => isShown(x) && x.kind === "drop");
    if (drop !== undefined && isShown(drop)) return drop;
  }
  return null;
}

function tunnelsOf(groups: readonly HopGroup[]): Tunnel[] {
  const ingress = groups.find((g) => g.segment.role === "ingress" && !g.segment.duplicate);
  if (ingress === undefined) return [];
  return groups.flatMap((to): Tunnel[] => {
    if (to.segment.role === "ingress") return [];
    for (const hop of ingress.hops) {
      for (const step of hop.steps) {
        if (!isShown(step) || step.kind !== "tunnel-sent" || step["hostId"] !== to.segment.hostId) continue;
        const tunnel = { from: hop.id, fromSegment: ingress.index, toSegment: to.index };
        return [{ ...tunnel, label: `tunnel key ${text(step, "tunnelKey")}` }];
      }
    }
    return [{ from: null, fromSegment: ingress.index, toSegment: to.index, label: null }];
  });
}

type Draft = { -readonly [K in keyof Hop]: Hop[K] } & { steps: PublicStep[]; outPorts: string[]; summary: string[] };

/** What a host does with the packet when all is decided. */
const OUTCOME = new Set(["flow", "verdict", "steps-lost"]);
const LEAVING = new Set(["emit", "delivered", "state-sent", "tunnel-sent", "tunnel-received", "too-big"]);

class HopBuilder {
  private readonly segment: number;
  private readonly failing: ShownStep | null;
  private readonly hops: Draft[] = [];
  private current: Draft | null = null;

  constructor(segment: number, failing: ShownStep | null) {
    this.segment = segment;
    this.failing = failing;
  }

  build(steps: readonly PublicStep[]): Hop[] {
    for (const step of steps) this.take(step);
    for (const hop of this.hops) finish(hop);
    return this.hops;
  }

  private take(step: PublicStep): void {
    const hop = isShown(step) ? this.hopOf(step) : this.add("withheld", null);
    hop.steps.push(step);
    if (step === this.failing) hop.failed = true;
    if (isShown(step) && step.kind === "trace-matched") hop.matched = true;
  }

  private hopOf(step: ShownStep): Draft {
    const { kind, device, of } = step as ShownStep & { readonly of?: DeviceRef };
    if (OUTCOME.has(kind)) return this.current?.kind === "outcome" ? this.current : this.add("outcome", null);
    if (kind === "packet-received") return this.add("entry", device);
    // What was waited for lies ahead: the packet stood where it was.
    if (kind === "waited" && this.current !== null) return this.current;
    if (LEAVING.has(kind)) return this.at("exit", device) ?? this.add("exit", device);
    if (kind === "port-in" && of !== undefined) {
      const hop = this.add("device", of);
      hop.inPort = shortName(device.name);
      return hop;
    }
    if (kind === "port-out" && of !== undefined) {
      // A flood leaves by one port after the other: the steps go on at a device that was already passed.
      const hop = this.at("device", of) ?? this.last(of) ?? this.add("device", of);
      hop.outPorts.push(shortName(device.name));
      this.current = hop;
      return hop;
    }
    return this.owning(device) ?? this.add(device.type === "port" ? "exit" : "device", device);
  }

  /** The hop at hand, when the device is what it is about. */
  private owning(device: DeviceRef): Draft | null {
    const { current } = this;
    if (current === null || current.device === null) return null;
    if (current.device.id === device.id) return current;
    const port = shortName(device.name);
    const own = current.inPort === port || current.outPorts.includes(port);
    return device.type === "port" && current.kind === "device" && own ? current : null;
  }

  private at(kind: Hop["kind"], device: DeviceRef): Draft | null {
    const { current } = this;
    return current?.kind === kind && current.device?.id === device.id ? current : null;
  }

  private last(device: DeviceRef): Draft | null {
    return this.hops.findLast((h) => h.kind === "device" && h.device?.id === device.id) ?? null;
  }

  private add(kind: Hop["kind"], device: DeviceRef | null): Draft {
    // Where a packet was delivered or sent it does not go on: what follows began at the device before.
    let from: Draft | null = this.current;
    while (from?.kind === "exit") from = this.hops.find((h) => h.id === from?.parent) ?? null;
    const hop: Draft = {
      id: `${this.segment}.${this.hops.length}`,
      segment: this.segment,
      kind,
      device,
      inPort: null,
      outPorts: [],
      steps: [],
      failed: false,
      matched: false,
      parent: from?.id ?? null,
      changes: [],
      summary: [],
    };
    this.hops.push(hop);
    this.current = hop;
    return hop;
  }
}

/** "red-1" of "red-web/red-1". */
export const shortName = (name: string): string => name.slice(name.lastIndexOf("/") + 1);

function finish(hop: Draft): void {
  const shown = hop.steps.filter(isShown);
  hop.changes = shown.flatMap((s) =>
    s.kind === "rewrite" ? headerDiff(s["before"] as HeaderText, s["after"] as HeaderText) : [],
  );
  hop.summary = shown.flatMap((s) => summaryOf(s) ?? []);
}

const DECISIONS: Readonly<Record<string, string>> = {
  unicast: "learned MAC",
  "unicast-linked": "to linked router",
  "arp-to-router": "ARP to router",
  "flood-unknown": "flood: MAC unknown",
  "flood-multicast": "flood: group address",
  "flood-arp": "flood: ARP",
};

/** What a node of the drawing says of a step; null: nothing worth it. */
const SUMMARIES: Partial<Record<StepKind, (s: ShownStep) => string | null>> = {
  "route-lookup": (s) => {
    const route = s["route"] as { readonly dst: string; readonly gateway: string | null } | null;
    if (route === null) return `no route to ${text(s, "dst")}`;
    return `route ${route.dst}${route.gateway === null ? "" : ` via ${route.gateway}`}`;
  },
  "bridge-decision": (s) => DECISIONS[text(s, "decision")] ?? null,
  "chain-end": (s) => (isTraceChain(s) ? null : `${text(s, "chainName")}: ${text(s, "result")}`),
  answer: (s) => `answered: ${text(s, "what").replace("-", " ")}`,
  "packet-generated": () => "made here",
  waited: (s) => `waited ${text(s, "waitedMs")} ms for ${s["waitedFor"] === "arp" ? "ARP" : "topology"}`,
  delivered: () => "delivered",
  "tunnel-sent": (s) => `tunnel to ${text(s, "hostName")}`,
  "too-big": () => "too big for the tunnel",
};

const summaryOf = (s: ShownStep): string | null => SUMMARIES[s.kind]?.(s) ?? null;

/** A field of a step that is a text or a number. */
function text(s: ShownStep, field: string): string {
  const value = s[field];
  return typeof value === "string" || typeof value === "number" ? String(value) : "";
}

/** The chain that enabling a trace made, where the device had none. */
export function isTraceChain(step: ShownStep): boolean {
  return text(step, "chainName").startsWith("TRACE_REQUEST_CHAIN_");
}
