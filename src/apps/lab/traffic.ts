import { type Cancel, type Random, type Scheduler, utf8Encode } from "#core/base";
import type { Answer, AnswerKind } from "./vm-answer.ts";
import { UDP_ECHO_PORT, type Vm } from "./vm.ts";

/** What a VM does to another. */
export type Deed = "ping" | "udp-echo" | "tcp";

/** One line of the traffic table: `from` does it to `to`; for TCP, to this port. */
export interface Errand {
  readonly from: string;
  readonly to: string;
  readonly deed: Deed;
  /** L4 port, for "tcp". */
  readonly port?: number;
}

export interface TrafficOptions {
  readonly vms: readonly Vm[];
  readonly errands: readonly Errand[];
  readonly random: Random;
  readonly scheduler: Scheduler;
  /** Mean time between two errands in milliseconds; the real one is between half and one and a half of it. */
  readonly meanGapMs: number;
}

export type TrafficCounts = Readonly<Record<AnswerKind | "errands", number>>;

/**
 * Keeps the VMs busy: the first errand at once, every other after a pause, in an order shuffled anew each round by the
 * seeded random, so that every errand comes up and the same seed gives the same order.
 */
export class Traffic {
  private readonly options: TrafficOptions;
  private readonly vms: ReadonlyMap<string, Vm>;
  private readonly counts: Record<AnswerKind | "errands", number> = {
    errands: 0,
    reply: 0,
    "icmp-error": 0,
    refused: 0,
    unresolved: 0,
    timeout: 0,
  };
  private timer: Cancel | null = null;
  private round: Errand[] = [];

  constructor(options: TrafficOptions) {
    this.options = options;
    this.vms = new Map(options.vms.map((vm) => [vm.name, vm]));
  }

  start(): void {
    if (this.timer !== null || this.options.errands.length === 0) return;
    // The table's own order first: it begins with what is worth seeing first.
    this.round = [...this.options.errands];
    this.timer = this.options.scheduler.after(0, () => this.next());
  }

  /** What was begun still ends, by answer or timeout. */
  stop(): void {
    this.timer?.cancel();
    this.timer = null;
  }

  counters(): TrafficCounts {
    return { ...this.counts };
  }

  private next(): void {
    const { random, scheduler, meanGapMs } = this.options;
    this.timer = scheduler.after(meanGapMs * (0.5 + random.next()), () => this.next());
    if (this.round.length === 0) this.round = shuffled(this.options.errands, random);
    const errand = this.round.shift();
    if (errand !== undefined) void this.run(errand).then((answers) => this.count(answers));
  }

  private async run({ from, to, deed, port }: Errand): Promise<readonly Answer[]> {
    const sender = this.vms.get(from);
    const receiver = this.vms.get(to);
    if (sender === undefined || receiver === undefined) return [];
    this.counts.errands++;
    const { ip } = receiver.config;
    switch (deed) {
      case "ping":
        return sender.ping(ip, { count: 2 });
      case "udp-echo":
        return [await sender.udp(ip, UDP_ECHO_PORT, utf8Encode(`hello from ${from}`))];
      case "tcp":
        return [await sender.tcpConnect(ip, port ?? 80)];
    }
  }

  private count(answers: readonly Answer[]): void {
    for (const answer of answers) this.counts[answer.kind]++;
  }
}

/** Fisher and Yates. */
function shuffled<T>(list: readonly T[], random: Random): T[] {
  const out = [...list];
  for (let i = out.length - 1; i > 0; i--) {
    const j = Math.floor(random.next() * (i + 1));
    [out[i], out[j]] = [out[j] as T, out[i] as T];
  }
  return out;
}
