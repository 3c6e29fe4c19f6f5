import { join } from "node:path";
import type { Clock, Scheduler } from "#core/base";
import type { DatapathPort } from "#core/datapath";
import { formatIpv4 } from "#core/packets";
import { describeErrors, type Operation } from "#protocols/ovsdb";
import { chooseDatapath, type DatapathType, kernelModule } from "./datapath-choice.ts";
import { type HostNetwork, KernelNetwork } from "./host-network.ts";
import type { Log } from "./log.ts";
import { NeighbourKeeper } from "./neighbour-keeper.ts";
import { OvsdbLink } from "./ovsdb-link.ts";
import { PortReporter } from "./port-reporter.ts";
import type { SwitchConfig, SwitchConfigListener, SwitchConfigOptions } from "./switch-config.ts";
import { type Change, type Plan, planSwitch } from "./switch-plan.ts";
import { bridgeOf, rootOf, type SwitchRows } from "./switch-tables.ts";
import { bridgeLife, SwitchWatch } from "./switch-watch.ts";
import { TunnelLimit } from "./tunnel-limit.ts";
import { controlSwitch, type SwitchCommand } from "./unixctl.ts";

export interface OvsSwitchConfigOptions extends SwitchConfigOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly log: Log;
  /** Default: the kernel of this process. */
  readonly network?: HostNetwork;
}

/** After a transaction that the database refused. */
const REFUSED_RETRY_MS = 1000;

/**
 * Keeps an Open vSwitch configured: whatever happens (daemons restart, somebody edits the database, devices come and go),
 * the next look finds what differs and changes only that.
 */
export class OvsSwitchConfig implements SwitchConfig {
  private readonly options: OvsSwitchConfigOptions;
  private readonly network: HostNetwork;
  private readonly link: OvsdbLink;
  private readonly watch: SwitchWatch;
  private readonly keeper: NeighbourKeeper;
  private readonly limit: TunnelLimit;
  private readonly reporter: PortReporter;
  private listener: SwitchConfigListener | null = null;
  private choice: DatapathType | null = null;
  private module: boolean | null = null;
  private bound: readonly string[] | null = null;
  private devices = new Map<string, number>();
  private plan: Plan = { changes: [], blocked: [] };
  private refused: string | null = null;
  private lostFor: string | null = null;
  /** The life of the bridge that was announced, and the one that is being looked at. */
  private announcedLife: string | null = null;
  private currentLife: string | null = null;
  /** A life whose configuration is in force once `cur_cfg` has come this far. */
  private confirm: { readonly life: string; readonly cfg: number } | null = null;
  private stepping = false;
  private again = false;
  private running = false;
  private notBeforeMs = 0;
  private othersSaid = false;
  private onStarted: (() => void) | null = null;

  constructor(options: OvsSwitchConfigOptions) {
    this.options = options;
    const { clock, scheduler, runDir } = options;
    this.network = options.network ?? new KernelNetwork();
    this.link = new OvsdbLink(join(runDir, "db.sock"), bridgeLock(options.bridge), clock, scheduler, {
      ready: () => {
        this.log("info", "connected to Open vSwitch's database", { runDir });
        this.lostFor = null;
        this.kick();
      },
      changed: () => this.kick(),
      lost: (reason, known) => this.lost(reason, known),
    });
    this.watch = new SwitchWatch(runDir, scheduler, (hint) => this.look(hint));
    const tunnelIp = formatIpv4(options.tunnelIp);
    this.limit = new TunnelLimit(this.network, tunnelIp, clock);
    const control = (commands: readonly SwitchCommand[]) => controlSwitch(runDir, scheduler, commands);
    this.keeper = new NeighbourKeeper({ clock, scheduler, network: this.network, control, tunnelIp });
    this.reporter = new PortReporter(options.bridge);
  }

  listen(listener: SwitchConfigListener): void {
    this.listener = listener;
  }

  async start(): Promise<void> {
    if (this.running) return;
    this.running = true;
    this.limit.look();
    const started = new Promise<void>((resolve) => {
      this.onStarted = resolve;
    });
    this.module = this.options.datapath === "auto" ? await kernelModule() : false;
    // It was stopped meanwhile.
    if (!this.running) return;
    this.link.start();
    this.watch.start();
    this.look("time");
    await started;
  }

  async stop(): Promise<void> {
    this.running = false;
    this.watch.stop();
    this.link.stop();
    await this.keeper.stop();
    this.network.close();
    this.started();
  }

  bindInterfaces(names: readonly string[]): void {
    this.bound = [...new Set(names)];
    this.lookAtDevices();
    this.kick();
  }

  setPeers(addresses: readonly number[]): void {
    this.keeper.setPeers(addresses);
  }

  get tunnelFrameLimit(): number {
    return this.limit.frameBytes;
  }

  get datapathType(): DatapathType | null {
    return this.choice;
  }

  waitingFor(): readonly string[] {
    const trouble = this.link.trouble;
    const rows = this.link.rows;
    if (rows === null)
      return [`Open vSwitch's database at ${join(this.options.runDir, "db.sock")} (${trouble ?? "no answer yet"})`];
    if (this.link.holdsLock === null) return ["Open vSwitch's database to say who drives the bridge"];
    if (!this.link.holdsLock) return [`another agent to leave bridge ${this.options.bridge}: it drives that now`];
    const waiting = [...this.plan.blocked];
    if (this.refused !== null) waiting.push(`Open vSwitch's database to take a change (${this.refused})`);
    if (this.currentLife === null) waiting.push("ovs-vswitchd to run (bridge and daemon are not there)");
    else if (!applied(rows)) waiting.push("ovs-vswitchd to apply its configuration");
    else waiting.push(...this.reporter.problems(rows));
    if (!this.limit.known) waiting.push(`an interface with the tunnel address ${formatIpv4(this.options.tunnelIp)}`);
    if (this.choice === "netdev" && this.keeper.problem !== null)
      waiting.push(`ovs-vswitchd to take tunnel neighbours (${this.keeper.problem})`);
    return waiting;
  }

  /** The same reason again, while it is tried again and again, is no news. */
  private lost(reason: string, known: boolean): void {
    const { runDir } = this.options;
    if (known) this.log("warn", "lost Open vSwitch's database", { runDir, reason });
    else if (reason !== this.lostFor) this.log("warn", "no connection to Open vSwitch's database", { runDir, reason });
    this.lostFor = reason;
  }

  private look(hint: "time" | "files"): void {
    if (hint === "files") this.link.retryNow();
    this.limit.look();
    const changed = this.lookAtDevices();
    if (changed || this.notBeforeMs > 0) this.kick();
    void this.lookAtLife();
  }

  private async lookAtLife(): Promise<string | null> {
    const life = await bridgeLife(this.options.runDir, this.options.bridge);
    if (life === this.currentLife) return life;
    if (life === null) this.log("warn", "the switch is gone", { bridge: this.options.bridge });
    this.currentLife = life;
    this.kick();
    return life;
  }

  /** @returns whether a device of a bound interface came, went or was exchanged. */
  private lookAtDevices(): boolean {
    const devices = new Map<string, number>();
    for (const name of this.bound ?? []) {
      const ifindex = this.network.ifindex(name);
      if (ifindex !== null) devices.set(name, ifindex);
    }
    const same = devices.size === this.devices.size && [...devices].every(([n, i]) => this.devices.get(n) === i);
    this.devices = devices;
    return !same;
  }

  /** One step at a time, never inside a call of ours; whatever happens meanwhile leads to one more. */
  private kick(): void {
    this.again = true;
    if (this.stepping) return;
    this.stepping = true;
    this.options.scheduler.after(0, () => {
      void this.steps().finally(() => {
        this.stepping = false;
        if (this.again && this.running) this.kick();
      });
    });
  }

  private async steps(): Promise<void> {
    this.again = false;
    const rows = this.link.rows;
    if (!this.running || rows === null || this.link.holdsLock === null) return;
    if (!this.link.holdsLock) return this.yield();
    this.othersSaid = false;
    if (!this.choose(rows) || this.choice === null) return;
    this.report(rows);
    const desired = {
      bridge: this.options.bridge,
      datapathType: this.choice,
      tunnelIp: formatIpv4(this.options.tunnelIp),
      devices: this.bound === null ? null : this.devices,
    };
    this.plan = planSwitch(rows, desired);
    const nowMs = this.options.clock.monotonicMs();
    // What was deleted must be seen by the switch before it is added again, so each plan waits for the one before.
    if (this.plan.changes.length > 0) {
      if ((applied(rows) || this.currentLife === null) && nowMs >= this.notBeforeMs)
        await this.change(this.plan.changes);
      return;
    }
    this.notBeforeMs = 0;
    this.refused = null;
    await this.confirmLife(rows);
  }

  /** Two agents on one bridge would both answer each packet, and end each other's flows: the second one waits. */
  private yield(): void {
    const { bridge } = this.options;
    if (!this.othersSaid) this.log("error", "another agent drives the bridge; waiting until it leaves", { bridge });
    this.othersSaid = true;
    this.confirm = null;
    if (this.announcedLife === null) return;
    this.announcedLife = null;
    this.listener?.bridgeTaken();
    for (const name of this.reporter.forget()) this.listener?.portChanged(name, null);
  }

  private choose(rows: SwitchRows): boolean {
    if (this.choice !== null) return true;
    const chosen = chooseDatapath(this.options.datapath, rows, this.options.bridge, this.module === true);
    if (chosen === null) return false;
    this.choice = chosen.type;
    const what = chosen.type === "system" ? "kernel datapath (system)" : "userspace datapath (netdev)";
    this.log("info", `${what}: ${chosen.because}`, { datapathType: chosen.type });
    if (chosen.type === "netdev") this.keeper.start();
    return true;
  }

  /** All at once; when that is refused one by one, so that one bad port does not keep the others out. */
  private async change(changes: readonly Change[]): Promise<void> {
    const all = await this.transact(changes.flatMap((c) => c.operations));
    if (all === null) return;
    if (all === "") {
      for (const { what } of changes) this.log("info", what, { bridge: this.options.bridge });
      return;
    }
    const reasons: string[] = [];
    for (const { what, operations } of changes) {
      const reason = changes.length === 1 ? all : await this.transact(operations);
      if (reason === null) return;
      if (reason === "") this.log("info", what, { bridge: this.options.bridge });
      else reasons.push(`${what}: ${reason}`);
    }
    if (reasons.length === 0) return;
    const refused = reasons.join("; ");
    if (refused !== this.refused) this.log("error", "Open vSwitch's database refused a change", { reason: refused });
    this.refused = refused;
    this.notBeforeMs = this.options.clock.monotonicMs() + REFUSED_RETRY_MS;
  }

  /** "": done. null: the connection went; otherwise the reason why the database refused. */
  private async transact(operations: readonly Operation[]): Promise<string | null> {
    const rows = this.link.rows;
    const root = rows === null ? null : rootOf(rows);
    if (root === null) return null;
    const where = [["_uuid", "==", ["uuid", root.id]]] as const;
    // Makes the daemon say by cur_cfg when it has done it.
    const bump: Operation = { op: "mutate", table: "Open_vSwitch", where, mutations: [["next_cfg", "+=", 1]] };
    const sent = [...operations, bump];
    const result = await this.link.transact(sent);
    if (result === null) return null;
    return result.ok ? "" : describeErrors(result.errors, sent);
  }

  /**
   * A new life of the bridge is announced when the daemon has the whole configuration in force: until then the database
   * holds the port numbers of its life before.
   */
  private async confirmLife(rows: SwitchRows): Promise<void> {
    const life = this.lifeOf(rows);
    if (life === null || life === this.announcedLife) return;
    if (this.confirm?.life !== life) {
      if ((await this.transact([])) !== "") return;
      const cfg = rootOf(this.link.rows ?? rows)?.row.next_cfg;
      if (cfg !== undefined) this.confirm = { life, cfg };
      this.again = true;
      return;
    }
    if ((rootOf(rows)?.row.cur_cfg ?? 0) < this.confirm.cfg) return;
    // The daemon may have made the bridge's socket anew on the way here: then this is not the life that was looked at.
    await this.lookAtLife();
    if (this.choice === "netdev") await this.keeper.retell();
    const now = this.link.rows;
    if (!this.running || now === null || this.lifeOf(now) !== life) return;
    const first = this.announcedLife === null;
    this.announcedLife = life;
    this.log("info", first ? "the switch is ready" : "the switch began anew", { bridge: this.options.bridge, life });
    this.listener?.bridgeReady(join(this.options.runDir, `${this.options.bridge}.mgmt`));
    this.report(now);
    this.started();
  }

  /** A bridge that was deleted and added is another one, also where the daemon kept its socket. */
  private lifeOf(rows: SwitchRows): string | null {
    const bridge = bridgeOf(rows, this.options.bridge);
    return bridge === null || this.currentLife === null ? null : `${this.currentLife}/${bridge.id}`;
  }

  private report(rows: SwitchRows): void {
    const settled = this.announcedLife !== null && this.announcedLife === this.lifeOf(rows) && applied(rows);
    const changes: [string, DatapathPort | null][] = this.reporter.changes(rows, this.bound, settled);
    for (const [name, port] of changes) this.listener?.portChanged(name, port);
  }

  private started(): void {
    this.onStarted?.();
    this.onStarted = null;
  }

  private log(level: Parameters<Log>[0], message: string, fields: Readonly<Record<string, unknown>>): void {
    this.options.log(level, message, fields);
  }
}

/** The lock of who drives a bridge: other characters than letters and digits as their numbers. */
function bridgeLock(bridge: string): string {
  return `midotrace_${bridge.replaceAll(/[^A-Za-z0-9]/g, (c) => `_${c.charCodeAt(0).toString(16)}_`)}`;
}

/** The daemon has done everything that the database asks for. */
function applied(rows: SwitchRows): boolean {
  const root = rootOf(rows)?.row;
  return root !== undefined && root.cur_cfg >= root.next_cfg;
}
