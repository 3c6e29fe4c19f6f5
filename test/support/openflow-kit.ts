import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { OvsDatapath, type SwitchConfig, type SwitchConfigListener } from "#adapters/datapath-ovs";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { DatapathPort } from "#core/datapath";
import { RecordingListener } from "./datapath-rig.ts";
import { FakeSwitch } from "./fake-switch.ts";

export const TUNNEL_PORT = 100;

/** The configuration of a switch that is always right, and says what a test wants it to say. */
export class FakeConfig implements SwitchConfig {
  tunnelFrameLimit = Infinity;
  readonly datapathType = "netdev";
  private listener: SwitchConfigListener | null = null;
  private readonly socket: string;

  constructor(socket: string) {
    this.socket = socket;
  }

  listen(listener: SwitchConfigListener): void {
    this.listener = listener;
  }

  async start(): Promise<void> {
    this.port({ ofport: 1, name: "vm1", kind: "vm", up: true });
    this.port({ ofport: TUNNEL_PORT, name: "vx0", kind: "tunnel", up: true });
    this.bridgeReady();
  }

  async stop(): Promise<void> {}
  bindInterfaces(): void {}
  setPeers(): void {}

  waitingFor(): readonly string[] {
    return [];
  }

  bridgeReady(): void {
    this.listener?.bridgeReady(this.socket);
  }

  bridgeTaken(): void {
    this.listener?.bridgeTaken();
  }

  port(port: DatapathPort): void {
    this.listener?.portChanged(port.name, port);
  }
}

/** One datapath of one run of an agent. */
export class FakeRun {
  readonly config: FakeConfig;
  readonly heard = new RecordingListener();
  readonly datapath: OvsDatapath;
  readonly lines: string[] = [];

  constructor(socket: string, lanes?: number) {
    this.config = new FakeConfig(socket);
    this.datapath = new OvsDatapath({
      config: this.config,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: (level, message, fields) => this.lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
      ...(lanes === undefined ? {} : { lanes }),
    });
    this.datapath.listen(this.heard);
  }
}

/** A fake switch in a directory of its own, and the runs that were made for it; all of it ends with `close`. */
export class FakeStage {
  private readonly directory = mkdtempSync(join(tmpdir(), "midotrace-of-"));
  readonly fake: FakeSwitch;
  private readonly runs: FakeRun[] = [];

  private constructor(over: "unix" | "tcp") {
    this.fake = new FakeSwitch(over === "tcp" ? "tcp:127.0.0.1:0" : join(this.directory, "br-int.mgmt"));
  }

  static async play(act: (stage: FakeStage) => Promise<void>, over: "unix" | "tcp" = "unix"): Promise<void> {
    const stage = new FakeStage(over);
    await stage.fake.listen();
    try {
      await act(stage);
    } finally {
      await stage.close();
    }
  }

  run(lanes?: number): FakeRun {
    const run = new FakeRun(this.fake.address, lanes);
    this.runs.push(run);
    return run;
  }

  async started(lanes?: number): Promise<FakeRun> {
    const run = this.run(lanes);
    await run.datapath.start();
    return run;
  }

  private async close(): Promise<void> {
    for (const run of this.runs) await run.datapath.stop();
    await this.fake.close();
    rmSync(this.directory, { recursive: true });
  }
}

/** Waits for a condition. @throws Error naming `what` after the deadline. */
export async function until(what: string, condition: () => boolean, deadlineMs = 5_000): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`never seen: ${what}`);
    await sleep(2);
  }
}
