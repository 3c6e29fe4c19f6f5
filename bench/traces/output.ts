import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { HttpTraceSink } from "#adapters/trace-sink-http";
import { FileTraceSpool } from "#adapters/trace-spool-file";
import { type AgentOptions, BUDGET_LIMITS } from "#apps/agent";
import { Collectors, type NsdbStore } from "#core/nsdb";
import { buildUdp } from "#core/packets";
import { AGENT_HOST, agentScene, type AgentScene, NullDatapath } from "../agent-scene.ts";
import { ROUTER_MAC, serverIp, SERVERS, VM_IP, VM_MAC } from "../conversations.ts";

/** One packet in so many begins a flow that is traced. */
const TRACED_EVERY = 200;
const TRACED_PORT = 9;
const VM_PORT = 2;
/** Packets between two turns of files and network; switches hand up about as many at once. */
const BURST = 128;

export type Receiver = "no output" | "live collector" | "dead collector";

/** The whole agent on a switch that takes everything; what it traces goes nowhere, to a collector, or to one that is not there. */
export class OutputBench {
  readonly receiver: Receiver;
  traced = 0;
  private readonly datapath = new NullDatapath();
  private scene: AgentScene | null = null;
  private sink: HttpTraceSink | null = null;
  private taker: ChildProcess | null = null;
  private directory: string | null = null;
  private spool: FileTraceSpool | null = null;
  private next = 0;

  constructor(receiver: Receiver) {
    this.receiver = receiver;
  }

  async start(): Promise<void> {
    this.scene = await agentScene(this.datapath, undefined, (store) => this.parts(store));
    const { nsdb, agent } = this.scene;
    const [router] = await nsdb.routers.list();
    if (router === undefined) throw new Error("the scene has a router");
    const condition = { nwProto: 17, tpDst: { start: TRACED_PORT, end: TRACED_PORT } };
    const wanted = { name: "bench", deviceType: "ROUTER", deviceId: router.id, condition, enabled: true } as const;
    await nsdb.traces.create({ ...wanted, limit: 1_000_000_000n });
    for (let i = 0; i < 20; i++) {
      await setImmediate();
      await agent.settled();
    }
  }

  /** For so long; @returns packets per second. */
  async run(ms: number): Promise<number> {
    const { datapath } = this;
    const before = this.scene?.agent.counters().traced ?? 0;
    const start = performance.now();
    let packets = 0;
    while (performance.now() - start < ms) {
      for (let i = 0; i < BURST; i++) datapath.arrive(this.frame(), VM_PORT);
      packets += BURST;
      datapath.expire();
      await setImmediate();
    }
    const rate = (packets * 1_000) / (performance.now() - start);
    this.traced += (this.scene?.agent.counters().traced ?? 0) - before;
    return rate;
  }

  /** What the output did: delivered, waiting and lost. */
  counters(): string {
    if (this.sink === null) return "";
    const { delivered, waiting, lostBy } = this.sink.counters();
    return `delivered ${delivered}, waiting ${waiting}, in the spool ${this.spool?.segments}, lost ${JSON.stringify(lostBy)}`;
  }

  async stop(): Promise<void> {
    await this.scene?.agent.stop();
    await this.sink?.stop();
    await this.scene?.stop();
    this.taker?.kill();
    if (this.directory !== null) rmSync(this.directory, { recursive: true, force: true });
  }

  private frame(): Uint8Array {
    const n = this.next++;
    return buildUdp({
      ethSrc: VM_MAC,
      ethDst: ROUTER_MAC,
      ipSrc: VM_IP,
      ipDst: serverIp(n % SERVERS),
      srcPort: 1_024 + (n % 64_000),
      dstPort: n % TRACED_EVERY === 0 ? TRACED_PORT : 5_000 + (Math.floor(n / 64_000) % 50_000),
      payload: new Uint8Array(18),
    });
  }

  private async parts(store: NsdbStore): Promise<Partial<AgentOptions>> {
    if (this.receiver === "no output") return { budget: BUDGET_LIMITS };
    const directory = mkdtempSync(join(tmpdir(), "midotrace-bench-"));
    this.directory = directory;
    const log = (): void => undefined;
    const journal = new FileTraceJournal({ directory, log });
    journal.open();
    const spool = new FileTraceSpool({ directory: join(directory, "spool"), log });
    this.spool = spool;
    const sink = new HttpTraceSink({
      hostId: AGENT_HOST,
      store,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log,
      spool,
      kept: (ids) => journal.reported(ids),
      limits: { queueBytes: 64 * 1024 * 1024, queueSegments: 50_000 },
    });
    this.sink = sink;
    await new Collectors(store).register({ id: systemRandom.uuid(), url: await this.url() });
    await sink.start();
    return { budget: BUDGET_LIMITS, sink, journal };
  }

  private async url(): Promise<string> {
    // Nobody listens there.
    if (this.receiver === "dead collector") return "http://127.0.0.1:9";
    const script = join(import.meta.dirname, "taker.ts");
    const taker = spawn(process.execPath, ["--conditions=source", script], { stdio: ["pipe", "pipe", "inherit"] });
    this.taker = taker;
    const [line] = (await once(taker.stdout, "data")) as [Buffer];
    return line.toString().trim();
  }
}
