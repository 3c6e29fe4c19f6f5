import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { inlineDeeply, keepPausesShort, neverPretenure, systemClock, systemScheduler } from "#adapters/platform";
import { Agent, type AgentOptions } from "#apps/agent";
import { type HostId, SeededRandom } from "#core/base";
import { type Datapath, type DatapathListener, type FlowEntry, packetIn } from "#core/datapath";
import { type FlowAction, FlowMatch } from "#core/flows";
import { Nsdb, type NsdbStore } from "#core/nsdb";
import { formatIpv4, formatMac } from "#core/packets";
import { parseTopologyDocument } from "#core/topology";
import type { TraceSink } from "#core/tracing";
import { serverIp, serverMac, SERVERS } from "./conversations.ts";

/*
 * An agent with its whole work: store, topology, bridge → router → bridge with a chain of 10 rules before and after each,
 * learned MACs and neighbours. Half of the servers are behind the tunnel.
 */

export const AGENT_HOST = "0a000000-0000-4000-8000-00000000000a" as HostId;
const OTHER_HOST = "0b000000-0000-4000-8000-00000000000b" as HostId;
/** None of them matches: a packet is compared with all. */
export const RULES = [
  { type: "drop", match: "ip6" },
  { type: "drop", match: "src net 192.168.7.0/24" },
  { type: "accept", match: "icmp and dst host 10.0.9.9" },
  { type: "drop", match: "tcp and dst port 23" },
  { type: "drop", match: "ether src 02:00:00:00:99:01" },
  { type: "accept", match: "udp and dst net 10.200.0.0/16" },
  { type: "drop", match: "tcp and dst portrange 135-139" },
  { type: "reject", match: "src net 172.16.0.0/12" },
  { type: "accept", match: "udp and src portrange 67-68" },
  { type: "drop", match: "dst net 169.254.0.0/16" },
];

/** @param interfaces name of the VM's interface and of the servers'. */
export function sceneDocument(vm: string, server: (n: number) => string): object {
  const chain = (name: string) => ({ name, tenant: "t", rules: RULES });
  const filters = (of: string) => ({ inFilter: `${of}-in`, outFilter: `${of}-out` });
  const servers = Array.from({ length: SERVERS }, (_, n) => ({
    name: `s${n}`,
    bind: { host: n % 2 === 0 ? "h1" : "h2", interface: server(n) },
  }));
  return {
    hosts: [
      { name: "h1", id: AGENT_HOST },
      { name: "h2", id: OTHER_HOST },
    ],
    tunnelZones: [{ name: "tz", type: "vxlan", hosts: { h1: "192.0.2.1", h2: "192.0.2.2" } }],
    chains: ["web-in", "web-out", "r-in", "r-out", "db-in", "db-out"].map(chain),
    bridges: [
      {
        name: "web",
        tenant: "t",
        ...filters("web"),
        ports: [{ name: "vm", bind: { host: "h1", interface: vm } }, { name: "up" }],
      },
      { name: "db", tenant: "t", ...filters("db"), ports: [...servers, { name: "up" }] },
    ],
    routers: [
      {
        name: "r",
        tenant: "t",
        ...filters("r"),
        ports: [
          { name: "web", address: "10.0.1.1/24", mac: "ac:ca:ba:00:00:01", link: "web/up" },
          { name: "db", address: "10.0.2.1/24", mac: "ac:ca:ba:00:00:02", link: "db/up" },
        ],
        routes: [
          { type: "Normal", dst: "10.0.1.0/24", port: "web" },
          { type: "Normal", dst: "10.0.2.0/24", port: "db" },
        ],
      },
    ],
  };
}

/** A switch that takes everything and does nothing. */
export class NullDatapath implements Datapath {
  listener: DatapathListener | null = null;
  installed = 0;
  sent = 0;
  readonly tunnelFrameLimit = Infinity;
  private readonly cookies: number[] = [];
  private readonly from = new FlowMatch();

  listen(listener: DatapathListener): void {
    this.listener = listener;
  }

  /** A packet comes up that no flow covers. */
  arrive(frame: Uint8Array, inPort: number): void {
    this.from.inPort = inPort;
    this.listener?.packetIn(packetIn(frame, this.from));
  }

  async start(): Promise<void> {
    this.listener?.portChanged("tunnel", { ofport: 1, name: "tunnel", kind: "tunnel", up: true });
    this.listener?.portChanged("vm", { ofport: 2, name: "vm", kind: "vm", up: true });
    for (let n = 0; n < SERVERS; n++)
      this.listener?.portChanged(`s${n}`, { ofport: 10 + n, name: `s${n}`, kind: "vm", up: true });
  }

  async stop(): Promise<void> {}

  install(entry: FlowEntry): void {
    this.installed++;
    this.cookies.push(entry.cookie);
  }

  /** The flows end, as those of a switch do. */
  expire(): void {
    for (const cookie of this.cookies.splice(0))
      this.listener?.flowRemoved({ cookie, reason: "idle", packets: 1, bytes: 60 });
  }

  remove(): void {}
  forward(): void {
    this.sent++;
  }
  packetOut(_frame: Uint8Array, _actions: readonly FlowAction[], _inPort: number): void {
    this.sent++;
  }
  counters(): null {
    return null;
  }
  readMatch(): boolean {
    return false;
  }
  stats() {
    return { hits: 0, upcalls: 0, upcallsLost: 0, flows: 0 };
  }
  bindInterfaces(): void {}
  setPeers(): void {}
  retireEarlierFlows(): void {}
  waitingFor(): readonly string[] {
    return [];
  }
}

/** The other host's agent has learned its servers, and the router's neighbours are known. */
async function teach(nsdb: Nsdb): Promise<void> {
  const [bridges, routers, ports] = [await nsdb.bridges.list(), await nsdb.routers.list(), await nsdb.ports.list()];
  const db = bridges.find((b) => b.name === "db")?.id;
  const router = routers[0]?.id;
  if (db === undefined || router === undefined) throw new Error("the scene has a bridge db and a router");
  for (let n = 0; n < SERVERS; n++) {
    const port = ports.find((p) => p.name === `s${n}`);
    if (port === undefined) throw new Error(`the scene has a port s${n}`);
    await nsdb.state.putMac(db, { mac: formatMac(serverMac(n)), portId: port.id, vlan: 0 });
    const times = { lastArpMs: 0, staleMs: 0, expiryMs: 0 };
    await nsdb.state.putArp(router, { ip: formatIpv4(serverIp(n)), mac: formatMac(serverMac(n)), ...times });
  }
}

const NO_SINK: TraceSink = { segment: () => {}, lost: () => {} };

export interface AgentScene {
  readonly agent: Agent;
  /** The agent's session. */
  readonly store: NsdbStore;
  /** An administrator's. */
  readonly nsdb: Nsdb;
  readonly stop: () => Promise<void>;
}

/**
 * @param datapath whose ports are called `vm` and `s0` to `s15`, and a tunnel.
 * @param more other parts of the agent, made when its store session is there.
 */
export async function agentScene(
  datapath: Datapath,
  sink: TraceSink = NO_SINK,
  more: (store: NsdbStore) => Promise<Partial<AgentOptions>> = () => Promise.resolve({}),
): Promise<AgentScene> {
  // As the program does.
  neverPretenure();
  keepPausesShort();
  inlineDeeply();
  const random = new SeededRandom(1);
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  const admin = server.session();
  await admin.start();
  const nsdb = new Nsdb(admin, random, systemClock);
  await nsdb.initialize();
  await nsdb.apply(parseTopologyDocument(sceneDocument("vm", (n) => `s${n}`)));
  const store = server.session();
  await store.start();
  for (const port of await nsdb.ports.list()) {
    if (port.hostId === OTHER_HOST) await nsdb.state.setPortActive(port.id, OTHER_HOST);
  }
  await teach(nsdb);
  const agent = new Agent({
    hostId: AGENT_HOST,
    hostName: "h1",
    store,
    datapath,
    clock: systemClock,
    scheduler: systemScheduler,
    random,
    sink,
    log: (level, message, fields) => {
      if (level === "warn" || level === "error") console.error(message, fields);
    },
    ...(await more(store)),
  });
  await agent.start();
  return {
    agent,
    store,
    nsdb,
    stop: async () => {
      await agent.stop();
      await store.stop();
      await admin.stop();
      await server.stop();
    },
  };
}
