import type { PortId } from "#core/base";
import {
  type ArmedTrace,
  type BridgeDevice,
  evaluate,
  type PortDevice,
  type RouterDevice,
  type TopologyView,
  type TraceIndex,
  type VirtualDevice,
} from "#core/topology";
import { type DropReason, headerText, type Verdict } from "#core/tracing";
import { bridgeIn } from "./bridge.ts";
import type { PacketContext, TraceGate } from "./context.ts";
import { deviceRef } from "./explain.ts";
import { runFilter } from "./filters.ts";
import type { FlowState } from "./flow-state.ts";
import { portUnreachableByAdmin } from "./icmp.ts";
import { ownerRef, recordBeginning } from "./record.ts";
import { routerIn } from "./router.ts";

/** A packet may enter at most this many virtual ports. */
export const MAX_TRAVERSALS = 12;

/** Over all branches of all floods: bridges linked in circles would otherwise multiply the branches. */
const MAX_PORTS_ENTERED = 1_024;

/** A trace per request and device can restart the simulation once; more would be a defect. */
const MAX_RESTARTS = 2_000;

/**
 * The way of one packet through the virtual network: (topology, flow state, packet) → verdict, outputs, tags, steps.
 * It changes nothing but its context: what was learned, asked or generated is listed there, for the caller to do once.
 */
export class Simulation {
  readonly view: TopologyView;
  readonly state: FlowState;
  readonly gate: TraceGate;
  ctx!: PacketContext;

  constructor(view: TopologyView, state: FlowState, gate: TraceGate) {
    this.view = view;
    this.state = state;
    this.gate = gate;
  }

  /**
   * Runs the packet; `ctx` holds the result. A trace rule that matches for the first time starts the simulation again
   * with recording on (blueprint, "Implementation details"). When `ctx.wait` is set the pass has no result: run again
   * when that is there; what was decided for the packet stays decided.
   */
  run(ctx: PacketContext): void {
    this.ctx = ctx;
    for (let restarts = 0; restarts < MAX_RESTARTS; restarts++) {
      ctx.beginPass();
      if (ctx.recorder !== null) recordBeginning(ctx, this.view);
      this.start(ctx);
      if (!ctx.restart) return;
    }
    this.drop("simulation-error", "the trace rules never stopped matching");
  }

  private start(ctx: PacketContext): void {
    const port = this.view.port(ctx.startPort);
    if (port === undefined) {
      ctx.wait = { for: "topology", kind: "port", id: ctx.startPort };
      return;
    }
    if (port === null) {
      this.drop("device-missing", `port ${ctx.startPort}`);
      return;
    }
    if (ctx.generated) this.portOut(port);
    else this.portIn(port);
  }

  /** The packet enters the virtual network, or a device from the port of another, by `port`. */
  portIn(port: PortDevice): void {
    const ctx = this.ctx;
    if (++ctx.traversals > MAX_TRAVERSALS || ++ctx.portsEntered > MAX_PORTS_ENTERED) {
      this.error("loop-limit", `entering port ${port.label}`, port);
      return;
    }
    ctx.tags.push(port.tag);
    ctx.inPort = port;
    ctx.outPort = null;
    if (port.traces !== null && this.traced(port.traces, port)) return;
    if (ctx.recorder !== null) {
      this.recordMatches(port);
      ctx.recorder.push({
        kind: "port-in",
        device: deviceRef(port),
        owner: port.tenantId,
        of: ownerRef(port, this.view),
        header: this.header(),
      });
    }
    if (!port.adminUp) {
      if (port.ownerKind === "router") portUnreachableByAdmin(this, port);
      this.drop("port-admin-down", `port ${port.label}`, port);
      return;
    }
    if (ctx.traversals === 1 && !ctx.generated && port.exterior) ctx.firstGroups = port.groups;
    if (port.inFilter !== null && !this.passes(runFilter(ctx, port.inFilter, "port-in", port), port)) return;
    if (port.ownerKind === "bridge") bridgeIn(this, port);
    else routerIn(this, port);
  }

  /** The packet leaves its device by `port`: to an interface, or into the device at the other end of the link. */
  portOut(port: PortDevice): void {
    const ctx = this.ctx;
    ctx.tags.push(port.tag);
    if (ctx.recorder !== null) {
      ctx.recorder.push({
        kind: "port-out",
        device: deviceRef(port),
        owner: port.tenantId,
        of: ownerRef(port, this.view),
      });
    }
    if (!port.adminUp) {
      const from = ctx.inPort;
      if (port.ownerKind === "router" && from !== null && from.ownerKind === "router")
        portUnreachableByAdmin(this, from);
      this.drop("port-admin-down", `port ${port.label}`, port);
      return;
    }
    ctx.outPort = port;
    if (port.outFilter !== null && !this.passes(runFilter(ctx, port.outFilter, "port-out", port), port)) return;
    if (port.hostId !== null && port.interfaceName !== null) this.emit(port);
    else if (port.peerId !== null) this.cross(port, port.peerId);
    else this.shortDrop("port-unplugged", `port ${port.label}`, port);
  }

  private cross(from: PortDevice, peerId: PortId): void {
    const peer = this.view.port(peerId);
    if (peer === undefined) this.ctx.wait = { for: "topology", kind: "port", id: peerId };
    else if (peer === null) this.error("device-missing", `the port that ${from.label} is linked to`, from);
    else this.portIn(peer);
  }

  /** Hands the packet to the port's interface, wherever that is. */
  private emit(port: PortDevice): void {
    const ctx = this.ctx;
    ctx.tags.push(port.bindingTag);
    if (!port.active) {
      this.drop("port-inactive", `port ${port.label} at interface ${port.interfaceName}`, port);
      return;
    }
    const header = ctx.outputs.length === 0 ? ctx.match : ctx.match.clone();
    ctx.outputs.push({ port, header, rewritten: ctx.rewritten, routedBy: ctx.routedBy });
    ctx.verdict = ctx.outputs.length === 1 ? "delivered" : "flooded";
    ctx.dropReason = null;
  }

  /** Looks for armed traces of the device the packet is entering; true when the pass is to stop (restart). */
  traced(index: TraceIndex, device: PortDevice | BridgeDevice | RouterDevice): boolean {
    if (this.probe !== null) {
      this.probe(device, this.ctx);
      return false;
    }
    const { ctx } = this;
    index.forEachMatch(ctx, this.onMatch);
    if (ctx.missingGroup !== "") ctx.waitForGroup();
    return ctx.halted;
  }

  /**
   * Of the traces that this packet was found to match, those of the device it is entering. Not by the device's index: a
   * trace that has used up its limit, on this packet or while it waited, stands there no longer.
   */
  recordMatches(device: PortDevice | BridgeDevice | RouterDevice): void {
    const { ctx } = this;
    for (const trace of ctx.matched) {
      if (trace.deviceId !== device.id || !evaluate(trace.condition, ctx)) continue;
      ctx.seeConversation();
      ctx.recorder?.push({
        kind: "trace-matched",
        device: deviceRef(device),
        owner: device.tenantId,
        requestId: trace.requestId,
        ruleId: trace.ruleId,
        chainId: trace.chainId,
      });
    }
  }

  /** Set while asking which devices with traces an installed flow meets; then no trace is decided. */
  private probe: ((device: VirtualDevice, ctx: PacketContext) => void) | null = null;

  /**
   * Follows the packets of an installed flow again, without side effects, and tells at each device with armed traces
   * what they look like there. False: the way is not the same any more (something has to be waited for).
   */
  follow(ctx: PacketContext, met: (device: VirtualDevice, ctx: PacketContext) => void): boolean {
    this.ctx = ctx;
    this.probe = met;
    try {
      ctx.beginPass();
      this.start(ctx);
      return ctx.wait === null;
    } finally {
      this.probe = null;
    }
  }

  /** The packet cannot wait any longer: it ends here. */
  giveUp(ctx: PacketContext, reason: DropReason, detail: string): void {
    this.ctx = ctx;
    ctx.wait = null;
    ctx.shortLived = true;
    this.drop(reason, detail);
  }

  private readonly onMatch = (trace: ArmedTrace): boolean => {
    const ctx = this.ctx;
    let decision = ctx.decisions.get(trace.ruleId);
    if (decision === undefined) {
      decision = this.gate.decide(trace, ctx);
      ctx.decisions.set(trace.ruleId, decision);
      if (decision === "trace") {
        ctx.restart = true;
        ctx.matched.push(trace);
      }
    }
    if (decision !== "exhausted") ctx.seeConversation();
    return true;
  };

  /** Turns a filter's result into a drop; true when the packet may go on. */
  passes(result: ReturnType<typeof runFilter>, device: PortDevice | BridgeDevice | RouterDevice): boolean {
    switch (result) {
      case "accept":
        return true;
      case "halt":
        return false;
      case "drop":
        this.drop("filter-drop", `a filter of ${deviceText(device)}`, device);
        return false;
      case "reject":
        this.drop("filter-reject", `a filter of ${deviceText(device)}`, device);
        return false;
      case "too-deep":
        this.error("rule-jump-depth", `a filter of ${deviceText(device)}`, device);
        return false;
    }
  }

  /** The packet (or this branch of a flood) ends here. Copies that already left stay left. */
  drop(reason: DropReason, detail: string, device: PortDevice | BridgeDevice | RouterDevice | null = null): void {
    this.end(reason === "filter-reject" || reason === "route-reject" ? "rejected" : "dropped", reason, detail, device);
  }

  /** A drop that is looked at again after 5 s. */
  shortDrop(reason: DropReason, detail: string, device: PortDevice | BridgeDevice | RouterDevice): void {
    this.ctx.shortLived = true;
    this.drop(reason, detail, device);
  }

  /** Inconsistent topology: a drop that is looked at again after 5 s. */
  error(reason: DropReason, detail: string, device: PortDevice | BridgeDevice | RouterDevice): void {
    this.ctx.shortLived = true;
    this.end("error", reason, detail, device);
  }

  /** A device answered or absorbed the packet, or this copy of it. */
  consume(): void {
    this.ctx.consumed = true;
    if (this.ctx.outputs.length > 0) return;
    this.ctx.verdict = "consumed";
    this.ctx.dropReason = null;
  }

  private end(
    verdict: Verdict,
    reason: DropReason,
    detail: string,
    device: PortDevice | BridgeDevice | RouterDevice | null,
  ): void {
    const ctx = this.ctx;
    if (ctx.outputs.length === 0 && ctx.verdict !== "consumed") {
      ctx.verdict = verdict;
      ctx.dropReason = reason;
    }
    if (ctx.recorder !== null) {
      const at = device === null ? { type: "port" as const, id: ctx.startPort, name: "" } : deviceRef(device);
      ctx.recorder.push({ kind: "drop", device: at, owner: device === null ? "" : device.tenantId, reason, detail });
    }
  }

  /** Loads a port, or makes the packet wait (undefined) or ends it (null). */
  portOrHalt(id: PortId, device: BridgeDevice | RouterDevice): PortDevice | null {
    const port = this.view.port(id);
    if (port === undefined) {
      this.ctx.wait = { for: "topology", kind: "port", id };
      return null;
    }
    if (port === null) this.error("device-missing", `port ${id}`, device);
    return port;
  }

  header(): ReturnType<typeof headerText> {
    return headerText(this.ctx.match);
  }
}

function deviceText(d: PortDevice | BridgeDevice | RouterDevice): string {
  return `${d.kind} ${d.kind === "port" ? d.label : d.name}`;
}
