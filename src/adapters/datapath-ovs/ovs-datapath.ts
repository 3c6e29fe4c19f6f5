import { type Cancel, type Clock, MidotraceError, type Random, type Scheduler } from "#core/base";
import {
  type Datapath,
  type DatapathCounters,
  type DatapathListener,
  type DatapathPort,
  type FlowCounters,
  type FlowEntry,
  NONE,
  type PacketIn,
} from "#core/datapath";
import type { FlowAction, FlowMatch } from "#core/flows";
import type { FlowRecord, PacketInMessage } from "#protocols/openflow";
import { PROGRAM_ROUND, roundOf, wireCookie } from "./cookies.ts";
import { EarlierFlows } from "./earlier-flows.ts";
import { FlowKeeper } from "./flow-keeper.ts";
import type { FoundFlows } from "./found-flows.ts";
import { type Log, RareLog } from "./log.ts";
import { PacketOuts } from "./packet-out.ts";
import { MISS_COOKIE } from "./program.ts";
import type { SwitchConfig } from "./switch-config.ts";
import { SwitchLink } from "./switch-link.ts";
import { Upcall } from "./upcall.ts";

export interface OvsDatapathOptions {
  readonly config: SwitchConfig;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: Log;
  /** OpenFlow connections for changes of entries, beside the one for packets. Default 4. */
  readonly lanes?: number;
}

const TICK_MS = 1_000;
/** The datapath on Open vSwitch: flows and packets by OpenFlow, bridge and ports by `SwitchConfig`. */
export class OvsDatapath implements Datapath {
  private readonly config: SwitchConfig;
  private readonly scheduler: Scheduler;
  private readonly log: Log;
  private readonly rarely: RareLog;
  private readonly link: SwitchLink;
  private readonly keeper: FlowKeeper;
  private readonly earlier: EarlierFlows;
  private readonly packetOuts = new PacketOuts();
  private readonly upcall = new Upcall();
  private readonly tellPacket = (listener: DatapathListener): void => listener.packetIn(this.upcall);
  private listener: DatapathListener | null = null;
  private running = false;
  private readonly firstAttached: (() => void)[] = [];
  private ticking: Cancel | null = null;
  private tunnel: DatapathPort | null = null;
  private upcalls = 0;

  constructor(options: OvsDatapathOptions) {
    const { config, clock, scheduler, random, log } = options;
    this.config = config;
    this.scheduler = scheduler;
    this.log = log;
    this.rarely = new RareLog(log, clock);
    const lanes = options.lanes ?? 4;
    this.link = new SwitchLink({
      clock,
      scheduler,
      random,
      log,
      lanes,
      handler: {
        packetIn: (message, bytes) => this.packetIn(message, bytes),
        flowRemoved: (record) => this.flowRemoved(record),
        refused: (text, cookie) => this.keeper.refused(text, cookie),
        attached: (found) => this.attached(found),
        detached: () => this.detached(),
      },
    });
    this.keeper = new FlowKeeper({
      clock,
      scheduler,
      log,
      config,
      link: this.link,
      lanes,
      removed: (removed) => this.tell((listener) => listener.flowRemoved(removed)),
    });
    this.earlier = new EarlierFlows(scheduler, (ended) => log("info", "flows of earlier runs are gone", { ended }));
  }

  /** @throws MidotraceError INTERNAL when called twice. */
  listen(listener: DatapathListener): void {
    if (this.listener !== null) throw new MidotraceError("INTERNAL", "the datapath has its listener already");
    this.listener = listener;
  }

  /** Resolves when the bridge is there and the switch takes entries; waits as long as that takes. @throws MidotraceError INTERNAL before `listen`. */
  async start(): Promise<void> {
    if (this.running) return;
    if (this.listener === null) throw new MidotraceError("INTERNAL", "start before listen");
    this.running = true;
    this.config.listen({
      bridgeReady: (managementSocket) => {
        if (this.running) this.link.connect(managementSocket);
      },
      bridgeTaken: () => this.link.leave(),
      portChanged: (name, port) => this.portChanged(name, port),
    });
    this.tick();
    const attached = new Promise<void>((resolve) => this.firstAttached.push(resolve));
    await this.config.start();
    await attached;
  }

  /** Entries stay in the switch and go on forwarding. */
  async stop(): Promise<void> {
    if (!this.running) return;
    this.running = false;
    this.ticking?.cancel();
    this.earlier.suspend();
    this.link.stop();
    for (const resolve of this.firstAttached.splice(0)) resolve();
    await this.config.stop();
  }

  install(entry: FlowEntry): void {
    this.keeper.install(entry, this.tunnelPort);
  }

  remove(cookie: number): void {
    this.keeper.remove(cookie);
  }

  packetOut(frame: Uint8Array, actions: readonly FlowAction[], inPort: number): void {
    const connection = this.link.connection;
    if (connection !== null) this.packetOuts.send(connection, frame, actions, inPort, this.tunnelPort);
  }

  forward(packet: PacketIn, actions: readonly FlowAction[]): void {
    const connection = this.link.connection;
    if (connection !== null) this.packetOuts.forward(connection, packet, actions, this.tunnelPort);
  }

  counters(cookie: number): FlowCounters | null {
    return this.keeper.counters(cookie);
  }

  readMatch(cookie: number, match: FlowMatch): boolean {
    return this.keeper.readMatch(cookie, match);
  }

  stats(): DatapathCounters {
    const { keeper, upcalls } = this;
    const { statistics } = keeper;
    statistics.wantTotals();
    return { hits: statistics.served + keeper.answered, upcalls, upcallsLost: statistics.lost, flows: keeper.size };
  }

  bindInterfaces(names: readonly string[]): void {
    this.config.bindInterfaces(names);
  }

  setPeers(addresses: readonly number[]): void {
    this.config.setPeers(addresses);
  }

  retireEarlierFlows(busy: () => boolean): void {
    this.earlier.retire(busy);
  }

  get tunnelFrameLimit(): number {
    return this.config.tunnelFrameLimit;
  }

  waitingFor(): readonly string[] {
    if (!this.running) return ["the datapath (not started)"];
    return [...this.config.waitingFor(), ...this.link.waitingFor()];
  }

  private get tunnelPort(): number {
    return this.tunnel?.ofport ?? 0;
  }

  private tick(): void {
    this.ticking = this.scheduler.after(TICK_MS, () => {
      this.link.tick();
      this.keeper.tick();
      if (this.running) this.tick();
    });
  }

  private portChanged(name: string, port: DatapathPort | null): void {
    if (!this.running) return;
    if (port?.kind === "tunnel") this.tunnel = port;
    else if (port === null && this.tunnel?.name === name) this.tunnel = null;
    this.keeper.checkFrameLimit();
    this.tell((listener) => listener.portChanged(name, port));
  }

  private attached(found: FoundFlows): void {
    this.keeper.attached(found);
    const { connection, run } = this.link;
    if (connection !== null && run !== null) this.earlier.found(found.notOf(run.round, wireCookie), connection);
    for (const resolve of this.firstAttached.splice(0)) resolve();
  }

  private detached(): void {
    this.earlier.suspend();
    this.keeper.detached();
  }

  private flowRemoved(record: FlowRecord): void {
    if (roundOf(record.cookieHigh) !== PROGRAM_ROUND) {
      this.keeper.flowRemoved(record);
      return;
    }
    this.rarely.say("warn", "somebody removed a part of the switch's program, it is written again", "flow removed");
    this.link.reprogram();
  }

  private packetIn(message: PacketInMessage, bytes: Uint8Array): void {
    if (message.cookieLow === MISS_COOKIE.low && message.cookieHigh === MISS_COOKIE.high)
      this.keeper.statistics.arrivals++;
    const { upcall } = this;
    upcall.begin(message, bytes);
    const lengthBytes = upcall.end - upcall.start;
    const entry = this.keeper.covering(upcall.match, lengthBytes);
    if (entry !== NONE) {
      const actions = this.keeper.actionsOf(entry);
      if (actions.length > 0) this.forward(upcall, actions);
      this.keeper.serve(entry, lengthBytes);
      return;
    }
    this.upcalls++;
    this.tell(this.tellPacket);
  }

  /** What a listener throws is a defect of its own; the stream of the switch is not to be torn by it. */
  private tell(say: (listener: DatapathListener) => void): void {
    if (!this.running || this.listener === null) return;
    try {
      say(this.listener);
    } catch (error) {
      this.log("error", "the listener of the datapath failed", { error: String(error) });
    }
  }
}
