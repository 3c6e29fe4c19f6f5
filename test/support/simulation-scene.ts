import type { FlowTraceId, PortId } from "#core/base";
import type { FlowTag } from "#core/flows";
import { type Ipv4, type Mac, parseIpv4, parseMac } from "#core/packets";
import {
  type FlowState,
  type GateDecision,
  type MacEntry,
  PacketContext,
  Simulation,
  type TraceGate,
} from "#core/simulation";
import type { ArmedTrace, BridgeDevice, RouterDevice, TopologyView } from "#core/topology";
import { Recorder, type Step, type StepKind, TraceContext } from "#core/tracing";
import type { TopologyBuilder } from "./topology-builder.ts";

export function mac(text: string): Mac {
  const v = parseMac(text);
  if (v === null) throw new Error(text);
  return v;
}

export function ip(text: string): Ipv4 {
  const v = parseIpv4(text);
  if (v === null) throw new Error(text);
  return v;
}

/** MAC and ARP tables that a test fills. */
export class FakeFlowState implements FlowState {
  private readonly macs = new Map<string, MacEntry>();
  private readonly arps = new Map<string, { mac: number; tag: FlowTag }>();

  knowMac(bridge: string, vlan: number, address: number, port: PortId, fixed = false): this {
    const key = `${bridge} ${vlan} ${address}`;
    this.macs.set(key, { port, tag: `mac ${key} ${port}`, fixed });
    return this;
  }

  knowArp(router: string, address: number, hardware: number): this {
    const key = `${router} ${address}`;
    this.arps.set(key, { mac: hardware, tag: `arp ${key}` });
    return this;
  }

  mac(bridge: BridgeDevice, vlan: number, address: number): MacEntry | null {
    return this.macs.get(`${bridge.id} ${vlan} ${address}`) ?? null;
  }

  arp(router: RouterDevice, address: number): { mac: number; tag: FlowTag } | null {
    return this.arps.get(`${router.id} ${address}`) ?? null;
  }
}

export const FLOW_TRACE_ID = "0f000000-0000-4000-8000-000000000001" as FlowTraceId;

/** Answers `decision` to every match and remembers what it was asked; "trace" turns recording on as the agent does. */
export class FakeGate implements TraceGate {
  readonly asked: ArmedTrace[] = [];
  private readonly decision: GateDecision;

  constructor(decision: GateDecision = "trace") {
    this.decision = decision;
  }

  decide(trace: ArmedTrace, ctx: PacketContext): GateDecision {
    this.asked.push(trace);
    if (this.decision === "trace") {
      ctx.trace ??= new TraceContext(FLOW_TRACE_ID, new Recorder(0));
      ctx.trace.requestIds.push(trace.requestId);
    }
    return this.decision;
  }
}

/** A topology and its learned state, with frames sent through by port name. */
export class Scene {
  readonly t: TopologyBuilder;
  readonly state = new FakeFlowState();
  private compiled: TopologyView | null = null;

  constructor(t: TopologyBuilder) {
    this.t = t;
  }

  get view(): TopologyView {
    return (this.compiled ??= this.t.snapshot());
  }

  /** The bridge has learned the MAC ("bridge/port" names both). */
  at(port: string, address: string, vlan = 0): this {
    const bridge = this.t.bridgeId(port.slice(0, port.indexOf("/")));
    this.state.knowMac(bridge, vlan, mac(address), this.t.portId(port));
    return this;
  }

  neighbour(router: string, address: string, hardware: string): this {
    this.state.knowArp(this.t.routerId(router), ip(address), mac(hardware));
    return this;
  }

  /** Simulates the frame with every step recorded. */
  send(port: string, frame: Uint8Array, options: { generated?: boolean } = {}): Outcome {
    const ctx = new PacketContext(this.view).begin(frame, this.t.portId(port), options.generated ?? false);
    ctx.trace = new TraceContext(FLOW_TRACE_ID, new Recorder(0));
    new Simulation(this.view, this.state, new FakeGate()).run(ctx);
    return new Outcome(ctx, this.t);
  }
}

export class Outcome {
  readonly ctx: PacketContext;
  readonly steps: readonly Step[];
  private readonly t: TopologyBuilder;

  constructor(ctx: PacketContext, t: TopologyBuilder) {
    this.ctx = ctx;
    this.t = t;
    this.steps = ctx.recorder?.steps ?? [];
  }

  get verdict(): string {
    return this.ctx.dropReason === null ? this.ctx.verdict : `${this.ctx.verdict}: ${this.ctx.dropReason}`;
  }

  /** Names ("device/port") of the ports it leaves by, looked up among `names`. */
  leavesBy(names: readonly string[]): string[] {
    return this.ctx.outputs.map((o) => names.find((n) => this.t.portId(n) === o.port.id) ?? o.port.id);
  }

  of<K extends StepKind>(kind: K): Extract<Step, { kind: K }>[] {
    return this.steps.filter((s): s is Extract<Step, { kind: K }> => s.kind === kind);
  }

  kinds(): StepKind[] {
    return this.steps.map((s) => s.kind);
  }
}
