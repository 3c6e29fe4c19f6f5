import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import {
  type ChainId,
  type HostId,
  type PortId,
  type RuleId,
  SeededRandom,
  type TenantId,
  type TraceRequestId,
} from "#core/base";
import {
  BRIDGE,
  chainRulesPath,
  Nsdb,
  type NsdbEvent,
  type NsdbNode,
  type NsdbStore,
  type NsdbWatcher,
  PORT,
  portActivePath,
  RULE,
} from "#core/nsdb";
import { TopologyCache } from "../../../src/apps/agent/topology-cache.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const T = "t" as TenantId;

let server: EmbeddedNsdb;
let session: EmbeddedSession;
let tool: EmbeddedSession;
let nsdb: Nsdb;
let time: VirtualTime;
let cache: TopologyCache;
/** Called with each answer of the store before the cache gets it. */
let answered: (paths: readonly string[]) => Promise<void>;
let problems: string[];
/** Of the cache's watch. */
let wants: NsdbWatcher["wants"];
let loaded: (kind: string, id: string) => void;

beforeEach(async () => {
  server = new EmbeddedNsdb("memory:");
  await server.start();
  session = server.session();
  await session.start();
  tool = server.session();
  await tool.start();
  time = new VirtualTime();
  nsdb = new Nsdb(tool, new SeededRandom(1), time);
  await nsdb.initialize();
  answered = async () => {};
  problems = [];
  loaded = () => {};
  const store = {
    get: async (path: string): Promise<NsdbNode | null> => {
      const answer = await session.get(path);
      await answered([path]);
      return answer;
    },
    getMany: async (paths: readonly string[]): Promise<(NsdbNode | null)[]> => {
      const answer = await session.getMany(paths);
      await answered(paths);
      return answer;
    },
    children: async (path: string): Promise<string[]> => {
      const answer = await session.children(path);
      await answered([`${path}/*`]);
      return answer;
    },
    watch: (prefixes, listener) => {
      wants = listener.wants?.bind(listener);
      return session.watch(prefixes, listener);
    },
  } satisfies Partial<NsdbStore> as unknown as NsdbStore;
  cache = new TopologyCache(store, time, (_port, _host, said) => said, {
    invalidate: () => {},
    armed: () => {},
    disarmed: () => {},
    loaded: (kind, id) => loaded(kind, id),
    problem: (message, error) => void problems.push(`${message}: ${String(error)}`),
  });
  await cache.start();
});

afterEach(async () => {
  cache.stop();
  await server.stop();
});

/** Does it once, right behind the first answer to a question that holds the path. */
function behindTheAnswer(path: string, work: () => Promise<unknown>): void {
  let done = false;
  answered = async (paths) => {
    if (done || !paths.includes(path)) return;
    done = true;
    await work();
  };
}

async function hostInZone(): Promise<HostId> {
  const { id } = await nsdb.hosts.create({ name: "h" });
  const zone = await nsdb.tunnelZones.create({ name: "tz", type: "vxlan" });
  await nsdb.tunnelZones.addMember({ tunnelZoneId: zone.id, hostId: id, ipAddress: "192.0.2.1" });
  return id;
}

test("a change behind the answer to the first reading of a device is not missed", async () => {
  const bridge = await nsdb.bridges.create({ name: "before", tenantId: T });
  const elsewhere = await nsdb.bridges.create({ name: "elsewhere", tenantId: T });
  const port = await nsdb.ports.createOnBridge(elsewhere.id, {});
  const path = `${BRIDGE.directory}/${bridge.id}`;
  behindTheAnswer(path, () => nsdb.bridges.update(bridge.id, { name: "after" }));
  cache.load("bridge", bridge.id);
  await time.advance(1_000);
  assert.equal(cache.bridge(bridge.id)?.name, "after");

  behindTheAnswer(`${PORT.directory}/${port.id}`, () => nsdb.ports.update(port.id, { adminStateUp: false }));
  cache.load("port", port.id);
  await time.advance(1_000);
  assert.equal(cache.port(port.id)?.adminUp, false);
});

test("which of a router's ports are up is asked of all of them at once", async () => {
  const router = await nsdb.routers.create({ name: "r", tenantId: T });
  const host = await hostInZone();
  const unasked = new Set<string>();
  for (let n = 1; n <= 3; n++) {
    const port = await nsdb.ports.createOnRouter(router.id, { portAddress: `10.0.${n}.1`, networkLength: 24 });
    await nsdb.ports.bind({ portId: port.id, hostId: host, interfaceName: `i${n}` });
    const from = { srcNetworkAddr: "0.0.0.0", srcNetworkLength: 0 };
    const to = { dstNetworkAddr: `10.0.${n}.0`, dstNetworkLength: 24 };
    const hop = { type: "Normal", nextHopPort: port.id, nextHopGateway: null, weight: 1 } as const;
    await nsdb.routes.create(router.id, { ...from, ...to, ...hop });
    unasked.add(`${portActivePath(port.id)}/*`);
  }
  // Nobody is answered before all have asked.
  const all = Promise.withResolvers<void>();
  answered = async (paths) => {
    if (!paths.some((path) => unasked.delete(path))) return;
    if (unasked.size === 0) all.resolve();
    await all.promise;
  };
  cache.load("router", router.id);
  await time.advance(1_000);
  assert.equal(unasked.size, 0);
  assert.equal(cache.router(router.id)?.name, "r");
});

test("a trace that is enabled on a device with a filter is armed without asking the store, one elsewhere asks nothing", async () => {
  const chain = await nsdb.chains.create({ name: "c", tenantId: T });
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: T, inboundFilterId: chain.id });
  const elsewhere = await nsdb.bridges.create({ name: "elsewhere", tenantId: T });
  cache.load("bridge", bridge.id);
  await time.advance(1_000);
  const asked: string[] = [];
  answered = async (paths) => void asked.push(...paths);
  const trace = (deviceId: string) =>
    nsdb.traces.create({
      name: "t",
      deviceType: "BRIDGE",
      deviceId,
      condition: { nwProto: 6 },
      limit: 1n,
      enabled: true,
    });
  await trace(elsewhere.id);
  await trace(bridge.id);
  await time.advance(1_000);
  assert.equal(cache.armedCount, 1);
  assert.deepEqual(asked, []);
});

test("a device is never known without its traces, also when somebody else has just asked for its filter", async () => {
  const chain = await nsdb.chains.create({ name: "c", tenantId: T });
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: T, inboundFilterId: chain.id });
  const input = { name: "t", deviceType: "BRIDGE", deviceId: bridge.id, condition: {}, enabled: true } as const;
  await nsdb.traces.create(input);
  const traces: (number | undefined)[] = [];
  loaded = (kind) => void (kind === "bridge" && traces.push(cache.bridge(bridge.id)?.traces?.size));
  behindTheAnswer(`${BRIDGE.directory}/${bridge.id}`, async () => cache.load("chain", chain.id));
  cache.load("bridge", bridge.id);
  await time.advance(1_000);
  assert.deepEqual(traces, [1]);
});

test("what did not change is compiled once: devices while traces come and go, rules while others do", async () => {
  const chain = await nsdb.chains.create({ name: "c", tenantId: T });
  const router = await nsdb.routers.create({ name: "r", tenantId: T, inboundFilterId: chain.id });
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: T, inboundFilterId: chain.id });
  const port = await nsdb.ports.createOnBridge(bridge.id, { inboundFilterId: chain.id });
  const drop = (nwProto: number) =>
    nsdb.rules.create(chain.id, { type: "drop", condition: { nwProto }, meterName: null });
  await drop(6);
  cache.load("router", router.id);
  cache.load("bridge", bridge.id);
  cache.load("port", port.id);
  cache.load("chain", chain.id);
  await time.advance(1_000);
  const devices = () => [cache.router(router.id), cache.bridge(bridge.id), cache.port(port.id)];
  const [before, filter] = [devices(), cache.chain(chain.id)];
  const ids: TraceRequestId[] = [];
  for (const [deviceType, { id }] of [
    ["ROUTER", router],
    ["BRIDGE", bridge],
    ["PORT", port],
  ] as const) {
    const input = { name: "t", deviceType, deviceId: id, condition: { nwProto: 17 }, enabled: true } as const;
    ids.push((await nsdb.traces.create(input)).id);
    await time.advance(1_000);
  }
  const traces = [...cache.armedTraces()];
  assert.equal(traces.length, 3);
  assert.ok(devices().every((device, i) => device === before[i] && device?.traces?.size === 1));
  assert.equal(cache.chain(chain.id), filter);

  await drop(1);
  await nsdb.traces.disable(ids[0] as TraceRequestId);
  await time.advance(1_000);
  assert.ok(devices().every((device, i) => device === before[i]));
  assert.deepEqual(
    devices().map((device) => device?.traces?.size),
    [undefined, 1, 1],
  );
  assert.ok([...cache.armedTraces()].every((trace) => traces.includes(trace)));
  const rules = cache.chain(chain.id)?.rules;
  assert.equal(rules?.length, 2);
  assert.equal(rules[1]?.condition, filter?.rules[0]?.condition);
});

test("of a burst of changes the store is asked when it is read, and not with each of them", async () => {
  const chain = await nsdb.chains.create({ name: "c", tenantId: T });
  cache.load("chain", chain.id);
  await time.advance(1_000);
  const asked: string[] = [];
  answered = async (paths) => void asked.push(...paths);
  const rules: RuleId[] = [];
  for (let i = 0; i < 20; i++)
    rules.push((await nsdb.rules.create(chain.id, { type: "drop", condition: {}, meterName: null })).id);
  await time.advance(1_000);
  assert.equal(cache.chain(chain.id)?.rules.length, 20);
  // The first was told with its change; what came in the pause after it is asked for, once.
  assert.deepEqual(
    asked.toSorted(),
    [chainRulesPath(chain.id), ...rules.slice(1).map((id) => `${RULE.directory}/${id}`)].toSorted(),
  );
});

test("there is no hurry to hear of what nobody depends on, nor of anything in the pause after a reading", async () => {
  const chain = await nsdb.chains.create({ name: "c", tenantId: T });
  cache.load("chain", chain.id);
  await time.advance(1_000);
  const list: NsdbEvent = { kind: "changed", path: chainRulesPath(chain.id) };
  const rule: NsdbEvent = { kind: "created", path: `${RULE.directory}/r` };
  // The rule comes before the list that names it; alone it is of no use yet.
  assert.equal(wants?.([rule]), null);
  assert.deepEqual(wants?.([rule, list]), [rule.path, list.path]);
  assert.deepEqual(wants?.([list]), [list.path]);
  assert.equal(wants?.([{ kind: "changed", path: chainRulesPath("other" as ChainId) }]), null);
  await nsdb.rules.create(chain.id, { type: "drop", condition: {}, meterName: null });
  await cache.settled();
  assert.equal(cache.chain(chain.id)?.rules.length, 1);
  assert.equal(wants?.([rule, list]), null);
  await time.advance(50);
  assert.deepEqual(wants?.([list]), [list.path]);
});

test("a chain that a device has just got is not missed changing while the device is read", async () => {
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: T });
  cache.load("bridge", bridge.id);
  await time.advance(100);
  const first = await nsdb.traces.create({
    name: "1",
    deviceType: "BRIDGE",
    deviceId: bridge.id,
    condition: { nwProto: 6 },
    limit: 1n,
    enabled: false,
  });
  const second = await nsdb.traces.create({
    name: "2",
    deviceType: "BRIDGE",
    deviceId: bridge.id,
    condition: { nwProto: 17 },
    limit: 1n,
    enabled: false,
  });
  let done = false;
  answered = async (paths) => {
    if (done || !paths.some((p) => p.endsWith("/rules"))) return;
    done = true;
    await nsdb.traces.enable(second.id);
  };
  await nsdb.traces.enable(first.id);
  await time.advance(1_000);
  assert.equal(done, true);
  assert.equal(cache.armedCount, 2);
});

test("a node that cannot be read keeps nothing but its own device as it was, and is read when it is repaired", async () => {
  const [good, bad] = [
    await nsdb.bridges.create({ name: "good", tenantId: T }),
    await nsdb.bridges.create({ name: "bad", tenantId: T }),
  ];
  for (const { id } of [good, bad]) cache.load("bridge", id);
  await time.advance(1_000);
  const path = `${BRIDGE.directory}/${bad.id}`;
  const whole = (await tool.get(path))?.data as string;
  await tool.commit([{ op: "set", path, data: "rubbish" }]);
  await nsdb.bridges.update(good.id, { name: "better" });
  await time.advance(1_000);
  assert.equal(cache.bridge(good.id)?.name, "better");
  assert.equal(cache.bridge(bad.id)?.name, "bad", "as it was last known");
  assert.match(problems.join("\n"), new RegExp(`malformed data at ${path}`));

  // After a gap everything is read together.
  await nsdb.bridges.update(good.id, { name: "best" });
  cache.refreshAll();
  await time.advance(1_000);
  assert.equal(cache.bridge(good.id)?.name, "best");

  const said = problems.length;
  await time.advance(60_000);
  assert.ok(problems.length - said <= 2, `${problems.length - said} complaints in a minute`);
  await tool.commit([{ op: "set", path, data: whole.replace('"bad"', '"repaired"') }]);
  await time.advance(2_000);
  assert.equal(cache.bridge(bad.id)?.name, "repaired");
});

test("a device with a port that cannot be read has its other ports; a broken rule lets nothing else be forgotten", async () => {
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: T });
  const host = await hostInZone();
  const ports: PortId[] = [];
  for (let i = 0; i < 3; i++) {
    const { id } = await nsdb.ports.createOnBridge(bridge.id, {});
    await nsdb.ports.bind({ portId: id, hostId: host, interfaceName: `eth${i}` });
    ports.push(id);
  }
  await tool.commit([{ op: "set", path: `${PORT.directory}/${ports[1]}`, data: "{}" }]);
  const chain: ChainId = (await nsdb.chains.create({ name: "c", tenantId: T })).id;
  const rule = await nsdb.rules.create(chain, { type: "drop", condition: { nwProto: 6 }, meterName: null });
  cache.load("bridge", bridge.id);
  cache.load("chain", chain);
  await time.advance(1_000);
  assert.deepEqual(new Set(cache.bridge(bridge.id)?.exteriorPorts), new Set([ports[0], ports[2]]));
  assert.ok(cache.chain(chain));
  const before = cache.chain(chain);
  await tool.commit([{ op: "set", path: `${RULE.directory}/${rule.id}`, data: "" }]);
  await time.advance(1_000);
  assert.equal(cache.chain(chain), before, "a filter is not let go because one of its rules is broken");
});
