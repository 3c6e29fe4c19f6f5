import { run } from "#adapters/testbed";
import type { VmNamespace } from "#adapters/testbed";
import type { Cancel, Random, Scheduler } from "#core/base";
import { formatIpv4 } from "#core/packets";
import type { Errand } from "../traffic.ts";
import { UDP_ECHO_PORT } from "../vm.ts";
import type { VmSpec } from "../vm-table.ts";

export interface RealTrafficOptions {
  readonly vms: ReadonlyMap<string, { readonly vm: VmNamespace; readonly spec: VmSpec }>;
  readonly errands: readonly Errand[];
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly meanGapMs: number;
}

/** Seconds that an errand waits for its answer. */
const PATIENCE = "1";

/** Keeps the VMs busy with commands that run in them: the table's errands by turns, with pauses of random length. */
export class RealTraffic {
  private readonly o: RealTrafficOptions;
  private next = 0;
  private timer: Cancel | null = null;
  private readonly ending = new AbortController();

  constructor(options: RealTrafficOptions) {
    this.o = options;
  }

  start(): void {
    if (this.o.errands.length > 0) this.wait(0);
  }

  stop(): void {
    this.timer?.cancel();
    this.ending.abort();
  }

  private wait(ms: number): void {
    this.timer = this.o.scheduler.after(ms, () => {
      const errand = this.o.errands[this.next++ % this.o.errands.length];
      if (errand !== undefined) void this.do(errand);
      this.wait(this.o.meanGapMs * (0.5 + this.o.random.next()));
    });
  }

  /** Refused and lost is what some of them are there for. */
  private async do({ from, to, deed, port }: Errand): Promise<void> {
    const sender = this.o.vms.get(from);
    const receiver = this.o.vms.get(to);
    if (sender === undefined || receiver === undefined) return;
    const [command, ...args] = commandOf(deed, formatIpv4(receiver.spec.ip), port ?? 80);
    const { name } = sender.vm.namespace;
    await run("ip", ["netns", "exec", name, command, ...args], { signal: this.ending.signal }).catch(() => undefined);
  }
}

function commandOf(deed: Errand["deed"], ip: string, port: number): [string, ...string[]] {
  switch (deed) {
    case "ping":
      return ["ping", "-c", "2", "-i", "0.2", "-W", PATIENCE, ip];
    case "udp-echo":
      return [
        "timeout",
        PATIENCE,
        "bash",
        "-c",
        `exec 3<>/dev/udp/${ip}/${UDP_ECHO_PORT}; echo hello >&3; head -n1 <&3`,
      ];
    case "tcp":
      return ["timeout", PATIENCE, "bash", "-c", `exec 3<>/dev/tcp/${ip}/${port}; cat <&3`];
  }
}
