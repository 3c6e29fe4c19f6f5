import { type BridgeId, type ChainId, type PortId, readU32, type RouterId } from "#core/base";
import { F, fiveTupleFields, FlowMatch, NO_ICMP_ID, parseFlowMatch } from "#core/flows";
import { type ArmedTrace, EvaluationContext, type PortDevice, type TopologyView } from "#core/topology";
import type { DropReason, Recorder, TraceContext, Verdict } from "#core/tracing";

/** A frame leaves the virtual network by `port`, with `header` as its fields are then. */
export interface VirtualOutput {
  readonly port: PortDevice;
  readonly header: FlowMatch;
  /** Fields that have to be set even where this packet already has the value (F.* bits). */
  readonly rewritten: number;
  /** The port by which this copy entered the first router on its way; null: it met none. */
  readonly routedBy: PortDevice | null;
}

/** The bridge saw a source MAC on a port: to be learned once, after the simulation. */
export interface MacLearn {
  readonly bridge: BridgeId;
  readonly vlan: number;
  readonly mac: number;
  readonly port: PortId;
}

export interface ArpLearn {
  readonly router: RouterId;
  readonly ip: number;
  readonly mac: number;
}

/** A packet a virtual device made: it starts by leaving `port`. */
export interface GeneratedPacket {
  readonly port: PortId;
  readonly frame: Uint8Array;
  /** One phrase: "echo reply of router edge". */
  readonly cause: string;
  /** The router that answers an ARP request for its address with this packet. */
  readonly arpReplyOf?: RouterId;
}

/** The simulation cannot go on before this is there. */
export type Wait =
  | {
      readonly for: "topology";
      readonly kind: "port" | "bridge" | "router" | "chain" | "group";
      readonly id: string;
      /** Others of the kind that are known to be needed next: to be loaded along with it. */
      readonly more?: readonly string[];
    }
  | { readonly for: "arp"; readonly router: RouterId; readonly port: PortDevice; readonly ip: number };

export const neighbourKey = (router: RouterId, ip: number): string => `${router} ${ip}`;

/** Told to the packet after a wait, so that its trace shows it. */
export interface WaitedFor {
  readonly for: "arp" | "topology";
  /** Who asked by ARP: the wait is shown as this router's. */
  readonly router?: RouterId;
  readonly what: string;
  readonly waitedMs: number;
}

/** What the gate says of an armed trace that matches a packet; asked once per packet and rule. */
export type GateDecision =
  /** Trace this packet: the gate has set `ctx.trace` and noted the request there. */
  | "trace"
  /** Its flow was traced already, under this enabling. */
  | "known"
  /** The limit is used up. */
  | "exhausted";

/**
 * One packet on its way through the virtual network: input, memory over restarts and waits, and the result of the last
 * pass. Reused from packet to packet: whoever keeps a part of it copies that part.
 */
export class PacketContext extends EvaluationContext {
  // Input.
  frame: Uint8Array = NO_FRAME;
  /** The fields as the packet came. */
  readonly original: FlowMatch;
  /** The port the packet enters by (ingress) or leaves by first (generated). */
  startPort: PortId = "" as PortId;
  cookie = 0;
  /** Interface and cause, for the first step of a trace. */
  interfaceName = "";
  cause = "";

  // Memory over restarts and waits.
  trace: TraceContext | null = null;
  readonly decisions = new Map<string, GateDecision>();
  /** Those decided "trace", in order. They count for every pass, also when they are used up or disabled meanwhile. */
  readonly matched: ArmedTrace[] = [];
  readonly waits: WaitedFor[] = [];
  /** Neighbours that did not answer ARP in time, as `neighbourKey` names them: not waited for again. */
  readonly unanswered = new Set<string>();

  // Result of the last pass.
  verdict: Verdict = "unknown";
  dropReason: DropReason | null = null;
  /** True for drops that should be looked at again soon (a 5 s flow). */
  shortLived = false;
  wait: Wait | null = null;
  readonly outputs: VirtualOutput[] = [];
  readonly learns: MacLearn[] = [];
  readonly arpLearns: ArpLearn[] = [];
  readonly generatedPackets: GeneratedPacket[] = [];
  /** A device answered or absorbed the packet, or a copy of it: the next one must come to that device too. */
  consumed = false;
  /** An armed trace with limit left matched: the flow may be no wider than this packet's conversation. */
  narrow = false;
  runs = 0;

  // Of the pass under way.
  recorder: Recorder | null = null;
  /** As `VirtualOutput.routedBy`, of the branch under way. */
  routedBy: PortDevice | null = null;
  traversals = 0;
  /** Over all branches of floods. */
  portsEntered = 0;
  restart = false;

  // Of the filter under way.
  /** From the first jump on: a chain is not visited twice. */
  readonly visitedChains: ChainId[] = [];
  /** The rule that decided, for the recorder; "" for none. */
  decidedBy = "";
  /** Tenant of that rule's chain. */
  deciderOwner = "";

  constructor(view: TopologyView) {
    super(view, new FlowMatch());
    this.original = new FlowMatch();
  }

  /** Begins a new packet. `original`'s input port and tunnel fields are set by the caller afterwards, if any. */
  begin(frame: Uint8Array, startPort: PortId, generated: boolean): this {
    this.frame = frame;
    this.startPort = startPort;
    this.generated = generated;
    const o = this.original;
    o.inPort = 0;
    o.tunnelKey = 0;
    o.tunnelSrc = 0;
    o.tunnelDst = 0;
    parseFlowMatch(frame, o);
    this.trace = null;
    if (this.decisions.size > 0) this.decisions.clear();
    this.matched.length = 0;
    this.waits.length = 0;
    if (this.unanswered.size > 0) this.unanswered.clear();
    this.runs = 0;
    this.interfaceName = "";
    this.cause = "";
    return this;
  }

  /** Begins to follow an installed flow again: its first packet's fields, no frame. */
  beginFlow(match: FlowMatch, startPort: PortId): this {
    this.begin(NO_FRAME, startPort, false);
    this.original.copyFrom(match);
    return this;
  }

  /** Begins a pass: everything the last pass found is forgotten, what was decided for the packet is kept. */
  beginPass(): void {
    this.match.copyFrom(this.original);
    this.originalNwDst = this.original.nwDst;
    this.seen = 0;
    this.nwSrcBits = 0;
    this.nwDstBits = 0;
    this.exactPorts = 0;
    this.tpSrcRange.reset();
    this.tpDstRange.reset();
    this.rewritten = 0;
    this.inPort = null;
    this.outPort = null;
    this.firstGroups = NO_GROUPS;
    this.failed = 0;
    this.missingGroup = "";
    // Not `length = 0`, which throws the array's memory away: the tags of the next pass fit in again.
    while (this.tags.length > 0) this.tags.pop();
    this.verdict = "unknown";
    this.dropReason = null;
    this.shortLived = false;
    this.consumed = false;
    this.wait = null;
    this.outputs.length = 0;
    this.learns.length = 0;
    this.arpLearns.length = 0;
    this.generatedPackets.length = 0;
    this.narrow = false;
    this.routedBy = null;
    this.traversals = 0;
    this.portsEntered = 0;
    this.restart = false;
    this.runs++;
    this.recorder = this.trace === null ? null : this.trace.recorder;
    if (this.recorder !== null) this.recorder.truncate(0);
    if (this.icmpDataSrc !== -1 || this.original.nwProto === 1) this.readQuotedAddresses();
  }

  /** The pass cannot or need not go on. */
  get halted(): boolean {
    return this.restart || this.wait !== null;
  }

  /** An address group is not loaded: what was evaluated has no meaning. */
  waitForGroup(): void {
    this.wait = { for: "topology", kind: "group", id: this.missingGroup };
    this.missingGroup = "";
  }

  /** The decision depends on bytes that no switch compares: no flow may be installed for it. */
  seeUnmatchable(): void {
    this.see(F.IcmpData);
  }

  /** Narrows the flow to this packet's own conversation. */
  seeConversation(): void {
    this.narrow = true;
    this.see(fiveTupleFields(this.original));
    this.seeNwSrc(32);
    this.seeNwDst(32);
  }

  /** Addresses of the packet quoted in an ICMP error (RFC 792), for the icmpData conditions. */
  private readQuotedAddresses(): void {
    const o = this.original;
    this.icmpDataSrc = -1;
    this.icmpDataDst = -1;
    if (o.nwProto !== 1 || o.etherType !== 0x0800 || o.icmpId !== NO_ICMP_ID) return;
    if (o.tpSrc !== 3 && o.tpSrc !== 11 && o.tpSrc !== 12 && o.tpSrc !== 5) return;
    const l3 = o.vlan < 0 ? 14 : 18;
    const quoted = l3 + ((this.frame[l3] as number) & 15) * 4 + 8;
    if (this.frame.length < quoted + 20) return;
    this.icmpDataSrc = readU32(this.frame, quoted + 12);
    this.icmpDataDst = readU32(this.frame, quoted + 16);
  }
}

const NO_FRAME = new Uint8Array(0);
const NO_GROUPS: ReadonlySet<string> = new Set();

/** Decides, outside the pure simulation, whether a matching armed trace traces this packet; see GateDecision. */
export interface TraceGate {
  decide(trace: ArmedTrace, ctx: PacketContext): GateDecision;
}

/** A gate that never traces: for answering without an agent. */
export const CLOSED_GATE: TraceGate = { decide: () => "exhausted" };
