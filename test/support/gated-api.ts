import { type ChildProcess, spawn } from "node:child_process";
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { endChild } from "#adapters/testbed";
import { CLI } from "./fault-lab.ts";
import { eventually, type TestLab } from "./real-lab.ts";
import { type GateMoment, ZookeeperGate } from "./zookeeper-gate.ts";

const START_MS = 20_000;

/** An API server more, whose way to the store leads through a gate: it can be killed at any of its requests. */
export class GatedApi {
  private readonly lab: TestLab;
  private readonly gate: ZookeeperGate;
  private child: ChildProcess | null = null;
  private url = "";

  constructor(lab: TestLab) {
    this.lab = lab;
    const [server] = lab.lab.zookeeper.servers;
    assert.ok(server !== undefined);
    this.gate = new ZookeeperGate(server.host, server.ports.client);
  }

  /** Requests to the store since it was last told when to die. */
  get requests(): readonly number[] {
    return this.gate.seen;
  }

  /** Transactions of those that the store has done. */
  get committed(): number {
    return this.gate.committed;
  }

  /** Resolves when it is ready. Nothing happens when it runs. */
  async start(): Promise<void> {
    if (!this.gate.listening) await this.gate.start();
    if (this.child !== null) return;
    const { storeUrl, testbed, zookeeper, logDirectory } = this.lab.lab;
    const store = storeUrl.replace(/^zookeeper:\/\/[^/]+/, `zookeeper://127.0.0.1:${this.gate.port}`);
    // On the address where the store listens the agents reach it.
    const collect = `${zookeeper.servers[0]?.host}:0`;
    const args = [
      "--conditions=source",
      CLI,
      "api",
      "--store",
      store,
      "--listen",
      "127.0.0.1:0",
      "--collect",
      collect,
      "--insecure",
    ];
    const log = openSync(join(logDirectory, "api-under-test.log"), "a");
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", log] });
    closeSync(log);
    this.child = child;
    child.once("exit", () => {
      this.child = null;
    });
    await once(child, "spawn");
    if (child.pid !== undefined) await testbed.noteProcess("API server under test", child.pid);
    let said = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
    await eventually(async () => {
      const url = /^listening on (\S+)/m.exec(said)?.[1];
      assert.ok(url !== undefined, `the API server does not listen: ${said}`);
      this.url = url;
      const ready = await fetch(`${url}/readyz`).catch(() => null);
      assert.equal(ready?.status, 200);
    }, START_MS);
  }

  /** PUT to a resource of the API, by its path there. @returns the status, or null when the server died of it. */
  async put(path: string, body: unknown): Promise<number | null> {
    const init = { method: "PUT", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
    const response = await fetch(`${this.url}${path}`, init).catch(() => null);
    if (response === null && this.child !== null) await once(this.child, "exit");
    return response?.status ?? null;
  }

  /** SIGKILL at the `nth` request to the store from now. */
  dieAt(nth: number, moment: GateMoment): void {
    this.gate.arm(nth, moment, () => this.child?.kill("SIGKILL"));
  }

  /** It was not killed, and will not be. */
  spare(): void {
    this.gate.disarm();
  }

  async stop(): Promise<void> {
    if (this.child !== null) await endChild(this.child, "SIGKILL");
    await this.gate.stop();
  }
}
