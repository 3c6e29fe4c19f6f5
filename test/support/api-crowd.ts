/** Many clients who work on one virtual network at once through several API servers, each at random and none with regard to the others. */
import assert from "node:assert/strict";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { ApiServer } from "#apps/api";
import { SeededRandom } from "#core/base";
import type { NsdbStore } from "#core/nsdb";
import { at, send } from "../integration/api-support.ts";
import { VirtualTime } from "./virtual-time.ts";

/** An API server over one session of the store. */
export async function apiOver(store: NsdbStore, seed: number, log: string[]): Promise<ApiServer> {
  const time = new VirtualTime();
  const server = new ApiServer({
    store,
    traceStore: new MemoryTraceStore({ clock: time }),
    clock: time,
    scheduler: time,
    random: new SeededRandom(seed),
    log: { info: () => {}, error: (message, fields) => void log.push(`${message} ${JSON.stringify(fields)}`) },
    host: "127.0.0.1",
    port: 0,
  });
  await server.start();
  return server;
}

/** What the clients know to exist: shared, so that they get into each other's way. Some of it may be gone already. */
class Known {
  readonly bridges: string[] = [];
  readonly routers: string[] = [];
  readonly ports: string[] = [];
  readonly chains: string[] = [];
  readonly rules: string[] = [];
  readonly traces: string[] = [];
}

export interface CrowdReport {
  readonly requests: number;
  /** Answers by "METHOD status". */
  readonly answers: Readonly<Record<string, number>>;
}

const MAY = new Set([200, 201, 204, 400, 404, 409]);
const TENANTS = ["red", "blue", ""];

export class Crowd {
  private readonly urls: readonly string[];
  private readonly known = new Known();
  private readonly answers = new Map<string, number>();
  private requests = 0;

  /** @param urls of the servers; clients are spread over them. */
  constructor(urls: readonly string[]) {
    this.urls = urls;
  }

  /** Each client does one thing after the other until `more` says no. */
  async run(clients: number, seed: number, more: (done: number) => boolean): Promise<CrowdReport> {
    await Promise.all(
      Array.from({ length: clients }, async (_, i) => {
        const client = new Client(
          this,
          this.urls[i % this.urls.length] as string,
          new SeededRandom(seed + i),
          this.known,
        );
        for (let done = 0; more(done); done++) await client.act();
      }),
    );
    return { requests: this.requests, answers: Object.fromEntries(this.answers) };
  }

  async ask(url: string, method: string, path: string, body?: unknown): Promise<{ status: number; location: string }> {
    const answer = await send(`${url}/midonet-api${path}`, method, body === undefined ? {} : { body });
    this.requests++;
    const key = `${method} ${answer.status}`;
    this.answers.set(key, (this.answers.get(key) ?? 0) + 1);
    assert.ok(MAY.has(answer.status), `${method} ${path}: ${answer.status} ${answer.text}`);
    if (answer.status === 409) assert.doesNotMatch(String(at(answer.json, "message")), /gave up/);
    return {
      status: answer.status,
      location: (answer.headers.location ?? "").split("/").at(-1) ?? "",
    };
  }
}

class Client {
  private readonly crowd: Crowd;
  private readonly url: string;
  private readonly random: SeededRandom;
  private readonly known: Known;

  constructor(crowd: Crowd, url: string, random: SeededRandom, known: Known) {
    this.crowd = crowd;
    this.url = url;
    this.random = random;
    this.known = known;
  }

  private below(n: number): number {
    return Math.floor(this.random.next() * n);
  }

  private one<T>(from: readonly T[]): T | undefined {
    return from[this.below(from.length)];
  }

  /** Prefers what was made lately: most of the old is gone. */
  private late(from: readonly string[]): string {
    return this.one(from.slice(-12)) ?? "00000000-0000-4000-8000-00000000dead";
  }

  private async make(list: string[], path: string, body: object): Promise<void> {
    const { status, location } = await this.crowd.ask(this.url, "POST", path, body);
    if (status === 201) list.push(location);
  }

  private async drop(list: readonly string[], collection: string): Promise<void> {
    await this.crowd.ask(this.url, "DELETE", `/${collection}/${this.late(list)}`);
  }

  private device(): { deviceType: string; deviceId: string } {
    const { bridges, routers, ports } = this.known;
    const kinds = [["BRIDGE", bridges] as const, ["ROUTER", routers] as const, ["PORT", ports] as const];
    const [deviceType, ids] = kinds[this.below(3)] as (typeof kinds)[number];
    return { deviceType, deviceId: this.late(ids) };
  }

  /** One thing, as likely as it is in the daily life of a network whose traces everybody plays with. */
  async act(): Promise<void> {
    const k = this.known;
    const tenantId = this.one(TENANTS);
    const put = (path: string, body: object) => this.crowd.ask(this.url, "PUT", path, body);
    const filter = (): string | null => (this.below(4) === 0 ? null : this.late(k.chains));
    switch (this.below(20)) {
      case 0:
        return this.make(k.bridges, "/bridges", { name: "b", tenantId });
      case 1:
        return this.make(k.routers, "/routers", { name: "r", tenantId });
      case 2:
        return this.make(k.ports, `/bridges/${this.late(k.bridges)}/ports`, { type: "Bridge" });
      case 3: {
        const portSubnet = [`10.${this.below(200)}.0.1/24`];
        return this.make(k.ports, `/routers/${this.late(k.routers)}/ports`, { type: "Router", portSubnet });
      }
      case 4:
        return this.make(k.chains, "/chains", { name: "c", tenantId });
      case 5:
        return this.make(k.rules, `/chains/${this.late(k.chains)}/rules`, { type: "accept" });
      case 6:
        return this.make(k.rules, `/chains/${this.late(k.chains)}/rules`, {
          type: "jump",
          jumpChainId: this.late(k.chains),
        });
      case 7:
      case 8:
        return this.make(k.traces, "/traces", { name: "t", ...this.device(), enabled: this.below(2) === 0 });
      case 9:
      case 10:
        await put(`/traces/${this.late(k.traces)}`, { enabled: true });
        return;
      case 11:
        await put(`/traces/${this.late(k.traces)}`, { enabled: false });
        return;
      case 12:
        await put(`/bridges/${this.late(k.bridges)}`, { name: "b", tenantId, inboundFilterId: filter() });
        return;
      case 13:
        await put(`/routers/${this.late(k.routers)}`, { name: "r", tenantId, outboundFilterId: filter() });
        return;
      case 14: {
        const peerId = this.late(k.ports);
        await this.crowd.ask(this.url, "POST", `/ports/${this.late(k.ports)}/link`, { peerId });
        return;
      }
      case 15:
        await this.crowd.ask(this.url, "DELETE", `/ports/${this.late(k.ports)}/link`);
        return;
      case 16:
        return this.drop(k.traces, "traces");
      case 17:
        return this.drop(this.below(2) === 0 ? k.rules : k.chains, this.below(2) === 0 ? "rules" : "chains");
      case 18:
        return this.drop(k.ports, "ports");
      default:
        return this.below(2) === 0 ? this.drop(k.bridges, "bridges") : this.drop(k.routers, "routers");
    }
  }
}
