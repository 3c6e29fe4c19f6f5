import type { Cancel, Clock, Scheduler } from "#core/base";
import { formatIpv4 } from "#core/packets";
import type { HostNetwork } from "./host-network.ts";
import { nextHop } from "./routes.ts";
import type { CommandReplies, SwitchCommand } from "./unixctl.ts";

/** The kernel's table is read this often; a peer's new MAC is known to the switch after as long. */
const ROUND_MS = 1000;
/** While a peer's MAC is not known yet. */
const FAST_ROUND_MS = 25;
const FAST_ROUNDS = 40;
/** An unknown peer is looked for this often, a known one is asked whether it is still there. */
const LOOK_MS = 1000;
const VERIFY_MS = 15_000;
/** The switch forgets after 900 s (`tnl/neigh/aging`); we tell it again long before. */
const TELL_MS = 60_000;

export interface KeeperOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly network: HostNetwork;
  /** Commands for the switch daemon, see `controlSwitch`. */
  readonly control: (commands: readonly SwitchCommand[]) => Promise<CommandReplies>;
  readonly tunnelIp: string;
}

interface Peer {
  /** u32 */
  readonly ip: number;
  readonly address: string;
  lookedMs: number;
}

/** What the switch is to know of a next hop: its MAC, and the device (the switch's bridge) that leads there. */
interface Entry {
  readonly mac: string;
  readonly device: string;
}

interface Told extends Entry {
  atMs: number;
}

/**
 * A userspace switch sends tunnelled packets by a neighbour table of its own, and drops the first packet to a peer that is
 * not in it. This keeps the table filled from the kernel's, which is kept filled by asking for each peer.
 */
export class NeighbourKeeper {
  private readonly options: KeeperOptions;
  private peers: Peer[] = [];
  /** By next hop. Kept over a restart of the switch, whose bridge takes the kernel's neighbours with it when it goes. */
  private readonly told = new Map<string, Told>();
  private fastRounds = 0;
  private timer: Cancel | null = null;
  private running = false;
  private round: Promise<void> | null = null;
  private trouble: string | null = null;

  constructor(options: KeeperOptions) {
    this.options = options;
  }

  /** Why the switch cannot be told; null: it can. */
  get problem(): string | null {
    return this.trouble;
  }

  start(): void {
    if (this.running) return;
    this.running = true;
    this.soon();
  }

  async stop(): Promise<void> {
    this.running = false;
    this.timer?.cancel();
    await this.round;
  }

  /** @param addresses u32 */
  setPeers(addresses: readonly number[]): void {
    const known = new Map(this.peers.map((p) => [p.ip, p]));
    this.peers = [...new Set(addresses)]
      .map((ip) => known.get(ip) ?? { ip, address: formatIpv4(ip), lookedMs: Number.NEGATIVE_INFINITY })
      .filter((peer) => peer.address !== this.options.tunnelIp);
    this.soon();
  }

  /** The switch began anew and knows nobody: tells it what was known. Resolves when it was told, or cannot be. */
  async retell(): Promise<void> {
    await this.round;
    for (const told of this.told.values()) told.atMs = Number.NEGATIVE_INFINITY;
    for (const peer of this.peers) peer.lookedMs = Number.NEGATIVE_INFINITY;
    this.trouble = (await this.options.control([...this.told].map(tell))).trouble;
    this.soon();
  }

  private soon(): void {
    if (!this.running) return;
    this.fastRounds = FAST_ROUNDS;
    this.next(0);
  }

  private next(delayMs: number): void {
    this.timer?.cancel();
    this.timer = this.options.scheduler.after(delayMs, () => {
      if (this.round !== null) return this.next(FAST_ROUND_MS);
      this.round = this.turn();
    });
  }

  private async turn(): Promise<void> {
    const complete = await this.look();
    this.round = null;
    if (!this.running) return;
    const fast = !complete && this.fastRounds > 0;
    if (fast) this.fastRounds--;
    this.next(fast ? FAST_ROUND_MS : ROUND_MS);
  }

  /** One look at every peer. @returns whether the switch knows all of them. */
  private async look(): Promise<boolean> {
    if (this.peers.length === 0) return true;
    const nowMs = this.options.clock.monotonicMs();
    const wanted = await this.lookAtKernel(nowMs);
    // The switch empties its table by itself when something about the underlay's bridge changes, so it is asked.
    const shown = await this.options.control([["tnl/neigh/show"]]);
    this.trouble = shown.trouble;
    if (shown.trouble !== null) return false;
    const has = new Set((shown.texts[0] ?? "").split("\n").map((line) => line.trim().replaceAll(/ +/g, " ")));
    const missing = [...wanted.hops].filter(([hop, { mac, device }]) => {
      const told = this.told.get(hop);
      return !has.has(`${hop} ${mac} ${device}`) || told === undefined || nowMs - told.atMs >= TELL_MS;
    });
    this.trouble = (await this.options.control(missing.map(tell))).trouble;
    if (this.trouble !== null) return false;
    for (const [hop, entry] of missing) this.told.set(hop, { ...entry, atMs: nowMs });
    if (wanted.complete) for (const hop of this.told.keys()) if (!wanted.hops.has(hop)) this.told.delete(hop);
    return wanted.complete;
  }

  /** Next hops of all peers as far as the kernel knows them; it is asked to look for the others. */
  private async lookAtKernel(nowMs: number): Promise<{ complete: boolean; hops: ReadonlyMap<string, Entry> }> {
    const { network, tunnelIp } = this.options;
    const [neighbours, routes] = await Promise.all([network.neighbours(), network.routes()]).catch(
      () => [[], []] as const,
    );
    const macs = new Map(neighbours.map((n) => [`${n.address} ${n.device}`, n.mac]));
    const hops = new Map<string, Entry>();
    let complete = true;
    for (const peer of this.peers) {
      const hop = nextHop(routes, peer.ip);
      const address = hop === null ? "" : formatIpv4(hop.address);
      const mac = hop === null ? undefined : macs.get(`${address} ${hop.device}`);
      if (nowMs - peer.lookedMs >= (mac === undefined ? LOOK_MS : VERIFY_MS)) {
        peer.lookedMs = nowMs;
        network.provoke(tunnelIp, peer.address);
      }
      if (hop === null || mac === undefined) complete = false;
      else hops.set(address, { mac, device: hop.device });
    }
    return { complete, hops };
  }
}

function tell([hop, { mac, device }]: readonly [string, Entry]): SwitchCommand {
  return ["tnl/neigh/set", device, hop, mac];
}
