import assert from "node:assert/strict";
import { type IncomingHttpHeaders, request } from "node:http";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { type ApiLog, ApiServer, type ApiServerOptions } from "#apps/api";
import { parseExactJson, stringifyExactJson } from "#core/api-contract";
import { SeededRandom } from "#core/base";
import { Nsdb } from "#core/nsdb";
import { parseTopologyDocument } from "#core/topology";
import { VirtualTime } from "../support/virtual-time.ts";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON, integers exact. */
  readonly json: unknown;
}

/** The value at a path such as "flows.0.cursor"; undefined where there is none. */
export function at(value: unknown, path: string): unknown {
  let here = value;
  for (const key of path.split(".")) here = (here as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  return here;
}

export interface Ask {
  readonly headers?: Readonly<Record<string, string>>;
  /** A value is sent as JSON (bigints exact), a text as it is. */
  readonly body?: unknown;
}

export const media = (name: string): string => `application/vnd.org.midonet.${name}+json`;
export const listMedia = (name: string): string => `application/vnd.org.midonet.collection.${name}+json`;

/** One request on a connection of its own, exactly as said: no header is added but Host and Content-Length. */
export function send(url: string, method: string, ask: Ask = {}): Promise<Answer> {
  const body = ask.body === undefined ? null : typeof ask.body === "string" ? ask.body : stringifyExactJson(ask.body);
  return new Promise((resolve, reject) => {
    const headers = { ...ask.headers, ...(body === null ? {} : { "content-length": String(Buffer.byteLength(body)) }) };
    const req = request(url, { method, headers, agent: false }, (res) => {
      const chunks: Buffer[] = [];
      res.on("data", (chunk: Buffer) => chunks.push(chunk));
      res.on("error", reject);
      res.on("end", () => {
        const text = Buffer.concat(chunks).toString("utf8");
        resolve({
          status: res.statusCode ?? 0,
          headers: res.headers,
          text,
          get json(): unknown {
            return parseExactJson(text);
          },
        });
      });
    });
    req.on("error", reject);
    req.end(body ?? undefined);
  });
}

export interface Rig {
  readonly url: string;
  /** ".../midonet-api" */
  readonly base: string;
  readonly nsdb: Nsdb;
  readonly traceStore: MemoryTraceStore;
  readonly time: VirtualTime;
  readonly server: ApiServer;
  readonly log: string[];
  stop(): Promise<void>;
  /** A request below the base; the path may be a whole URI. */
  ask(method: string, path: string, ask?: Ask): Promise<Answer>;
  /** POST, checked to be 201; @returns the id at the end of Location. */
  make(path: string, body: unknown): Promise<string>;
}

/** A server on an ephemeral port over a memory store; to be stopped after the file's tests. */
export async function startRig(options: Partial<ApiServerOptions> = {}): Promise<Rig> {
  const time = new VirtualTime();
  const random = new SeededRandom(7);
  const store = openEmbeddedStore("memory:");
  await store.start();
  const traceStore = new MemoryTraceStore({ clock: time });
  const lines: string[] = [];
  const log: ApiLog = {
    info: (message) => void lines.push(message),
    error: (message, fields) => void lines.push(`${message} ${JSON.stringify(fields)}`),
  };
  const server = new ApiServer({
    store,
    traceStore,
    clock: time,
    scheduler: time,
    random,
    log,
    host: "127.0.0.1",
    port: 0,
    version: "1.2.3",
    renderMetrics: prometheusPage,
    ...options,
  });
  const { url } = await server.start();
  const stop = async (): Promise<void> => {
    await server.stop();
    await store.stop();
  };
  const base = `${url}/midonet-api`;
  const ask: Rig["ask"] = (method, path, request) =>
    send(path.startsWith("http") ? path : base + path, method, request);
  const make: Rig["make"] = async (path, body) => {
    const answer = await ask("POST", path, { body });
    if (answer.status !== 201) throw new Error(`POST ${path}: ${answer.status} ${answer.text}`);
    return String(answer.headers.location).split("/").at(-1) ?? "";
  };
  return { url, base, nsdb: new Nsdb(store, random, time), traceStore, time, server, log: lines, ask, make, stop };
}

/** Two hosts; a bridge of tenant red with a VM port on each behind router r1 with an uplink bridge of tenant blue. */
export const SMALL_NETWORK = {
  hosts: [{ name: "h1" }, { name: "h2" }],
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: { h1: "172.16.0.1", h2: "172.16.0.2" } }],
  chains: [{ name: "in", tenant: "red", rules: [{ type: "drop", match: "tcp and dst port 23" }] }],
  bridges: [
    {
      name: "red-a",
      tenant: "red",
      inFilter: "in",
      ports: [
        { name: "vm1", bind: { host: "h1", interface: "tap1" } },
        { name: "up", link: "r1/a" },
      ],
    },
    {
      name: "red-b",
      tenant: "red",
      ports: [
        { name: "vm2", bind: { host: "h2", interface: "tap2" } },
        { name: "up", link: "r1/b" },
      ],
    },
  ],
  routers: [
    {
      name: "r1",
      tenant: "red",
      ports: [
        { name: "a", address: "10.0.1.1/24", mac: "02:00:00:00:01:01" },
        { name: "b", address: "10.0.2.1/24", mac: "02:00:00:00:02:01" },
      ],
      routes: [
        { dst: "10.0.1.0/24", port: "a" },
        { dst: "10.0.2.0/24", port: "b" },
      ],
    },
  ],
} as const;

/** Ids of the network's objects by "device" and "device/port" names. */
export async function applySmallNetwork(rig: Rig): Promise<ReadonlyMap<string, string>> {
  await rig.nsdb.apply(parseTopologyDocument(SMALL_NETWORK));
  const records = await rig.nsdb.readTopology();
  const ids = new Map<string, string>();
  for (const list of [records.hosts, records.chains, records.bridges, records.routers])
    for (const { id, name } of list) ids.set(name, id);
  const devices = new Map<string, string>([...records.bridges, ...records.routers].map((d) => [d.id, d.name]));
  for (const p of records.ports) ids.set(`${devices.get(p.deviceId)}/${p.name}`, p.id);
  return ids;
}

/** What a client does, in short words; `rig` is asked each time, because it starts in a `before`. */
export function clientOf(rig: () => Rig) {
  const get = async (path: string): Promise<unknown> => {
    const answer = await rig().ask("GET", path, { body: "{}" });
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.json;
  };
  return {
    get,
    status: async (method: string, path: string, body?: unknown): Promise<number> =>
      (await rig().ask(method, path, body === undefined ? { body: "{}" } : { body })).status,
    violation: (answer: Answer): unknown => at(answer.json, "violations.0.property"),
    /** GET, change, PUT, GET: what the client does. */
    change: async (path: string, changes: object): Promise<unknown> => {
      const body = { ...((await get(path)) as object), ...changes };
      const answer = await rig().ask("PUT", path, { body });
      assert.deepEqual([answer.status, answer.text], [204, ""]);
      return get(path);
    },
  };
}
