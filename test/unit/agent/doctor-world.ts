/** A host on which everything is in order, to break one thing at a time; its store is a real one, in memory. */
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { HostId } from "#core/base";
import { Collectors, Nsdb, type NsdbStore } from "#core/nsdb";
import { parseTopologyDocument } from "#core/topology";
import { readOptions } from "#apps/cli";
import { examine } from "../../../src/apps/agent/doctor/examine.ts";
import type { InterfaceFacts, Probes } from "../../../src/apps/agent/doctor/examination.ts";
import type { Finding } from "../../../src/apps/agent/doctor/finding.ts";
import { AGENT_OPTIONS, type AgentOptionValues } from "../../../src/apps/agent/options.ts";

export const HOST_A = "0a000000-0000-4000-8000-00000000000a" as HostId;
export const HOST_B = "0b000000-0000-4000-8000-00000000000b" as HostId;
export const COLLECTOR = "http://192.0.2.9:8181";
export const READYZ = "http://127.0.0.1:8182/readyz";
export const NOW_MS = 1_767_225_600_000;

export const TOPOLOGY = {
  hosts: [
    { name: "host-a", id: HOST_A },
    { name: "host-b", id: HOST_B },
  ],
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: { "host-a": "192.0.2.1", "host-b": "192.0.2.2" } }],
  bridges: [
    {
      name: "net",
      tenant: "red",
      ports: [
        { name: "vm-1", bind: { host: "host-a", interface: "vm-1" } },
        { name: "vm-2", bind: { host: "host-b", interface: "vm-2" } },
      ],
    },
  ],
};

type Database = NonNullable<Awaited<ReturnType<Probes["database"]>>["value"]>;

const PORT = { type: "", ofport: 1, error: null };

export const DATABASE: Database = {
  applied: true,
  blocked: [],
  choice: { type: "netdev", because: "configured" },
  bridges: [
    {
      name: "br-int",
      datapathType: "netdev",
      ours: true,
      ports: [
        { ...PORT, name: "br-int", type: "internal" },
        { ...PORT, name: "vm-1" },
      ],
    },
    {
      name: "br-phy",
      datapathType: "netdev",
      ours: false,
      ports: [
        { ...PORT, name: "br-phy", type: "internal" },
        { ...PORT, name: "eth1" },
      ],
    },
  ],
};

export const INTERFACES: readonly InterfaceFacts[] = [
  { name: "lo", up: true, mtu: 65_536, addresses: ["127.0.0.1"] },
  { name: "br-phy", up: true, mtu: 1500, addresses: ["192.0.2.1"] },
  { name: "eth1", up: true, mtu: 1500, addresses: [] },
  { name: "vm-1", up: true, mtu: 1450, addresses: [] },
];

export interface World {
  readonly probes: Partial<Probes>;
  /** Of the state directory, by name. */
  readonly files: Readonly<Record<string, string>>;
  readonly options: Partial<AgentOptionValues>;
  readonly topology: object;
  /** The store after the topology was applied; null: it does not answer. */
  readonly store: ((nsdb: Nsdb, store: NsdbStore) => Promise<void>) | null;
}

const HEALTHY: World = {
  probes: {},
  files: { "host-id": `${HOST_A}\n` },
  options: {},
  topology: TOPOLOGY,
  store: healthyStore,
};

async function healthyStore(nsdb: Nsdb, store: NsdbStore): Promise<void> {
  await nsdb.state.setAlive(HOST_A);
  await nsdb.state.setAlive(HOST_B);
  await new Collectors(store).register({ id: "api-1", url: COLLECTOR });
}

const http = (status: number, body: object, dateMs: number = NOW_MS) => ({
  value: {
    status,
    body: JSON.stringify(body),
    date: new Date(dateMs).toUTCString(),
    sentAtMs: NOW_MS,
    receivedAtMs: NOW_MS + 5,
  },
  trouble: null,
});

export const ready = (more: object = {}) => http(200, { ready: true, waitingFor: [], hostId: HOST_A, ...more });
export const notReady = (...waitingFor: string[]) => http(503, { ready: false, waitingFor, hostId: HOST_A });
export const clockAt = (offsetMs: number) => http(200, { status: "ok" }, NOW_MS + offsetMs);

/** What the doctor finds on the healthy host with some things changed. */
export async function doctor(changes: Partial<World> = {}): Promise<readonly Finding[]> {
  const world = { ...HEALTHY, ...changes };
  const { values } = readOptions(AGENT_OPTIONS, { argv: [], env: {}, loadConfig: () => ({}) });
  const options = {
    ...(values as AgentOptionValues),
    store: "memory:",
    datapath: "netdev",
    "state-dir": "/state",
    ...world.options,
  } as AgentOptionValues;
  const store = openEmbeddedStore("memory:");
  await store.start();
  const nsdb = new Nsdb(store, systemRandom, systemClock);
  if (world.store !== null) {
    await nsdb.initialize();
    await nsdb.apply(parseTopologyDocument(world.topology));
    await world.store(nsdb, store);
  }
  const probes: Probes = {
    kernelRelease: () => "6.1.0-18-amd64",
    userId: () => 0,
    directory: () => ({ isDirectory: true, uid: 0, mode: 0o750, unwritable: null }),
    readText: (path) => world.files[path.replace("/state/", "")] ?? null,
    interfaces: () => INTERFACES,
    module: async () => "missing",
    daemon: async () => ({ value: { pid: 77, version: "3.1.0" }, trouble: null }),
    database: async () => ({ value: DATABASE, trouble: null }),
    management: async () => null,
    store: async () =>
      world.store === null ? { value: null, trouble: "connection refused" } : { value: store, trouble: null },
    ping: async () => "answered",
    http: async (url) => (url === READYZ ? ready() : clockAt(0)),
    clockSynchronized: async () => true,
    monotonicMs: () => systemClock.monotonicMs(),
    ...world.probes,
  };
  try {
    return await examine({ options, probes, scheduler: systemScheduler, found: () => undefined });
  } finally {
    await store.stop();
  }
}
