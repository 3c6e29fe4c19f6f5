import { type Clock, MidotraceError, type Scheduler } from "#core/base";
import {
  type Datapath,
  type DatapathCounters,
  type DatapathListener,
  type DatapathPort,
  type FlowCounters,
  type FlowEntry,
  flowSourcePort,
  longestServed,
  type PacketIn,
  packetIn,
  tunnelTagGrowth,
} from "#core/datapath";
import { type FlowAction, FlowMatch, IN_PORT, type OutputFrame, parseFlowMatch, runActions } from "#core/flows";
import { newSwitchCounters, type SwitchCounters } from "./counters.ts";
import { FlowStore } from "./flow-store.ts";
import { Mailbox } from "./mailbox.ts";
import { PortTable, type SwitchPort, TUNNEL_OFPORT, type VmReceiver } from "./ports.ts";
import { Pump } from "./pump.ts";
import { decapsulate, encapsulate, MAX_INNER_BYTES, UNDERLAY_HEADER_BYTES } from "./vxlan-wire.ts";

export interface FabricSwitchOptions {
  /** Packet-ins that may wait for the listener; more are lost and counted. Default 4096. */
  readonly upcallQueueLength?: number;
  /** Frames that may wait for the VMs of the switch. Default 65536. */
  readonly vmQueueLength?: number;
  /** Installed flows; one more evicts the least recently used. Default: no limit. */
  readonly maxFlows?: number;
  /** What `stop()` leaves: nothing (default), or the flows, which go on forwarding as after `detachController()`. */
  readonly afterStop?: "drop" | "keep-forwarding";
}

/** What the fabric gives to each of its switches. */
export interface SwitchSurroundings {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Most bytes of an IP packet in the underlay; null: any. */
  readonly underlayMtu: number | null;
  /** Hands an underlay frame to the network. Nothing comes back inside the call. */
  readonly transmit: (dstIp: number, datagram: Uint8Array) => void;
}

/** The VM's end of a port. */
export interface VmPort {
  readonly name: string;
  readonly ofport: number;
  /** The frame goes through the switch at once; it must not be written to afterwards. Dropped once detached. */
  send(frame: Uint8Array): void;
  /** Brings the port up or down; a port that is down neither sends nor receives. */
  setUp(up: boolean): void;
  /** The port vanishes. A second call does nothing. */
  detach(): void;
}

/** "idle": never started. "detached": no agent, flows forward, misses are dropped. */
type State = "idle" | "running" | "detached" | "stopped";

/** One host's switch in the fabric. Frames run through it synchronously; what leaves it leaves through the scheduler. */
export class FabricSwitch implements Datapath {
  readonly name: string;
  readonly tunnelIp: number;
  private readonly around: SwitchSurroundings;
  private readonly options: FabricSwitchOptions;
  private readonly ports = new PortTable();
  private readonly flows: FlowStore;
  private readonly toVms: Pump<{ port: SwitchPort; receiver: VmReceiver; frame: Uint8Array }>;
  private readonly counts = newSwitchCounters();
  private readonly match = new FlowMatch();
  private readonly inner = new FlowMatch();
  private listener: DatapathListener | null = null;
  private mailbox: Mailbox | null = null;
  private state: State = "idle";
  private hits = 0;
  private upcalls = 0;

  /** Made by `Fabric.addHost`. */
  constructor(name: string, tunnelIp: number, around: SwitchSurroundings, options: FabricSwitchOptions = {}) {
    this.name = name;
    this.tunnelIp = tunnelIp;
    this.around = around;
    this.options = options;
    const { clock, scheduler } = around;
    this.flows = new FlowStore(clock, scheduler, options.maxFlows ?? Infinity, (r) => this.mailbox?.flowRemoved(r));
    this.toVms = new Pump(scheduler, ({ port, receiver, frame }) => {
      if (port.attached) receiver.receive(frame);
      else this.counts.noSuchPort++;
    });
  }

  /** Also for a new agent, after `stop` or `detachController`. @throws MidotraceError INTERNAL while one is attached. */
  listen(listener: DatapathListener): void {
    if (this.listener !== null) throw new MidotraceError("INTERNAL", `${this.name}: an agent is attached already`);
    this.listener = listener;
  }

  /** Flows of an earlier agent are removed without report: their cookies mean nothing to this one. */
  async start(): Promise<void> {
    if (this.state === "running") return;
    if (this.listener === null) throw new MidotraceError("INTERNAL", `${this.name}: start before listen`);
    this.flows.clear();
    this.mailbox = new Mailbox(this.around.scheduler, this.listener, this.options.upcallQueueLength ?? 4096);
    this.state = "running";
    for (const port of this.ports.list()) this.mailbox.portChanged(port.name, port);
  }

  async stop(): Promise<void> {
    if (this.options.afterStop === "keep-forwarding" && this.state === "running") return this.detachController();
    if (this.state === "detached" && this.options.afterStop === "keep-forwarding") return;
    this.dismiss("stopped");
    this.flows.clear();
    this.toVms.clear();
  }

  /**
   * The agent is gone without a word (killed, or its connection is): installed flows go on forwarding and time out, misses
   * are dropped, callbacks not yet made are not made. A new agent attaches by `listen` and `start`.
   */
  detachController(): void {
    if (this.state === "running") this.dismiss("detached");
  }

  install(entry: FlowEntry): void {
    if (this.state === "running") this.flows.install(entry);
  }

  remove(cookie: number): void {
    if (this.state === "running") this.flows.remove(cookie);
  }

  packetOut(frame: Uint8Array, actions: readonly FlowAction[], inPort: number): void {
    if (this.state === "running") this.run(frame, actions, inPort);
  }

  forward({ frame, inPort }: PacketIn, actions: readonly FlowAction[]): void {
    this.packetOut(frame, actions, inPort);
  }

  counters(cookie: number): FlowCounters | null {
    return this.flows.counters(cookie);
  }

  readMatch(cookie: number, match: FlowMatch): boolean {
    return this.flows.readMatch(cookie, match);
  }

  stats(): DatapathCounters {
    const { hits, upcalls } = this;
    return { hits, upcalls, upcallsLost: this.counts.upcallQueueFull, flows: this.flows.size };
  }

  /** Interfaces are attached by whoever plays the VM, not by binding. */
  bindInterfaces(): void {}

  /** The underlay is one hop: there is no way to be found. */
  setPeers(): void {}

  /** `start` leaves none. */
  retireEarlierFlows(): void {}

  /** Of an underlay whose hosts send no IP packet in fragments (RFC 7348 §4.3). */
  get tunnelFrameLimit(): number {
    const { underlayMtu } = this.around;
    return underlayMtu === null ? Infinity : underlayMtu - UNDERLAY_HEADER_BYTES;
  }

  waitingFor(): readonly string[] {
    return this.state === "running" ? [] : [`the switch of ${this.name} (${this.state})`];
  }

  /** A snapshot of what was put out and what was lost, and why. */
  switchCounters(): SwitchCounters {
    return { ...this.counts };
  }

  /** Ports in the order of their numbers, the tunnel port among them. */
  listPorts(): DatapathPort[] {
    return this.ports.list();
  }

  /** @throws MidotraceError ALREADY_EXISTS when an interface of that name is attached. */
  attachVm(ifName: string, receiver: VmReceiver): VmPort {
    const port = this.ports.add(ifName, receiver);
    this.mailbox?.portChanged(ifName, port.state);
    return {
      name: ifName,
      ofport: port.state.ofport,
      send: (frame) => this.fromVm(port, frame),
      setUp: (up) => this.setUp(port, up),
      detach: () => {
        if (!port.attached) return;
        this.ports.remove(port);
        this.mailbox?.portChanged(ifName, null);
      },
    };
  }

  /** The tunnel device up or down, as when the underlay interface goes. */
  setTunnelUp(up: boolean): void {
    this.setUp(this.ports.get(TUNNEL_OFPORT) as SwitchPort, up);
  }

  /** An underlay frame that arrived at the host's interface. */
  receiveDatagram(datagram: Uint8Array): void {
    const packet = decapsulate(datagram);
    if (packet === null) this.counts.malformed++;
    else if (packet.dst !== this.tunnelIp) this.counts.misdelivered++;
    else if (this.ports.get(TUNNEL_OFPORT)?.state.up !== true) this.counts.portDown++;
    else this.ingress(packet.inner, TUNNEL_OFPORT, packet.vni, packet.src, packet.dst);
  }

  private dismiss(next: State): void {
    this.state = next;
    this.mailbox?.close();
    this.mailbox = null;
    this.listener = null;
  }

  private setUp(port: SwitchPort, up: boolean): void {
    if (!port.attached || port.state.up === up) return;
    port.state = { ...port.state, up };
    this.mailbox?.portChanged(port.state.name, port.state);
  }

  private fromVm(port: SwitchPort, frame: Uint8Array): void {
    if (!port.attached) this.counts.noSuchPort++;
    else if (port.state.up) this.ingress(frame, port.state.ofport, 0, 0, 0);
    else this.counts.portDown++;
  }

  private ingress(frame: Uint8Array, inPort: number, tunnelKey: number, tunnelSrc: number, tunnelDst: number): void {
    if (this.state === "idle" || this.state === "stopped") {
      this.counts.notRunning++;
      return;
    }
    if (frame.length < 14) {
      this.counts.runt++;
      return;
    }
    const { match } = this;
    match.inPort = inPort;
    match.tunnelKey = tunnelKey;
    match.tunnelSrc = tunnelSrc;
    match.tunnelDst = tunnelDst;
    parseFlowMatch(frame, match);
    const flow = this.flows.hit(match, frame.length);
    if (flow === null || this.tooLong(frame, flow.actions)) {
      if (this.mailbox === null) this.counts.noController++;
      else if (this.mailbox.packetIn(packetIn(frame, match))) this.upcalls++;
      else this.counts.upcallQueueFull++;
      return;
    }
    this.hits++;
    if (flow.actions.length === 0) this.counts.droppedByFlow++;
    else this.run(frame, flow.actions, inPort);
  }

  private tooLong(frame: Uint8Array, actions: readonly FlowAction[]): boolean {
    if (this.tunnelFrameLimit === Infinity) return false;
    const growth = tunnelTagGrowth(actions, TUNNEL_OFPORT);
    return growth !== null && frame.length > longestServed(growth, this.tunnelFrameLimit);
  }

  private run(frame: Uint8Array, actions: readonly FlowAction[], inPort: number): void {
    const output: OutputFrame = (port, out, key, dst) => {
      if (port === inPort) this.counts.ownPort++;
      else this.output(port === IN_PORT ? inPort : port, out, key, dst);
    };
    runActions(frame, actions, output);
  }

  private output(ofport: number, frame: Uint8Array, tunnelKey: number, tunnelDst: number): void {
    const port = this.ports.get(ofport);
    if (port === undefined) this.counts.noSuchPort++;
    else if (!port.state.up) this.counts.portDown++;
    else if (port.receiver === null) this.toTunnel(frame, tunnelKey, tunnelDst);
    else if (this.toVms.length >= (this.options.vmQueueLength ?? 65_536)) this.counts.vmQueueFull++;
    else {
      this.counts.toVms++;
      this.toVms.push({ port, receiver: port.receiver, frame });
    }
  }

  private toTunnel(inner: Uint8Array, vni: number, dst: number): void {
    if (dst === 0) this.counts.noTunnelDst++;
    else if (dst === this.tunnelIp) this.counts.tunnelToSelf++;
    else if (inner.length > Math.min(MAX_INNER_BYTES, this.tunnelFrameLimit)) this.counts.tooLong++;
    else {
      parseFlowMatch(inner, this.inner);
      this.counts.toTunnel++;
      const datagram = encapsulate({ vni, src: this.tunnelIp, dst, inner }, flowSourcePort(this.inner));
      this.around.transmit(dst, datagram);
    }
  }
}
