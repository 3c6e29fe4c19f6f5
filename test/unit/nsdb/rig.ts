import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import {
  type BridgeId,
  type ChainId,
  type HostId,
  MidotraceError,
  type PortId,
  type RouterId,
  type RuleId,
  SeededRandom,
  type TenantId,
  type TraceRequestId,
} from "#core/base";
import { checkStore, Nsdb, type NsdbOp, type NsdbOptions, type NsdbStore, type TraceInput } from "#core/nsdb";
import type { TraceRequestRecord } from "#core/topology";
import { VirtualTime } from "../../support/virtual-time.ts";

/** A store that counts its commits and questions, and calls `before` (which may throw) ahead of each commit. */
export class WatchedStore implements NsdbStore {
  commits = 0;
  questions = 0;
  lastOps: readonly NsdbOp[] = [];
  before: (ops: readonly NsdbOp[]) => void | Promise<void> = () => {};
  after: () => void = () => {};
  readonly inner: NsdbStore;

  constructor(inner: NsdbStore) {
    this.inner = inner;
  }

  get sessionEpoch(): number {
    return this.inner.sessionEpoch;
  }
  start = () => this.inner.start();
  stop = () => this.inner.stop();
  get = (path: string) => this.asked(() => this.inner.get(path));
  getMany = (paths: readonly string[]) => this.asked(() => this.inner.getMany(paths));
  children = (path: string) => this.asked(() => this.inner.children(path));
  watch: NsdbStore["watch"] = (prefix, listener) => this.inner.watch(prefix, listener);
  onSession: NsdbStore["onSession"] = (listener) => this.inner.onSession(listener);

  private asked<T>(question: () => T): T {
    this.questions++;
    return question();
  }

  async commit(ops: readonly NsdbOp[]): Promise<void> {
    await this.before(ops);
    await this.inner.commit(ops);
    this.commits++;
    this.lastOps = ops;
    this.after();
  }
}

export interface Rig {
  readonly store: WatchedStore;
  readonly nsdb: Nsdb;
  /** A second server on the same tree, with a session of its own. */
  readonly other: Nsdb;
  readonly otherStore: WatchedStore;
  readonly time: VirtualTime;
  /** Asserts that `work` is exactly one store transaction. */
  readonly once: <T>(work: () => Promise<T>) => Promise<T>;
  /** Asserts that `work` writes nothing. */
  readonly silent: <T>(work: () => Promise<T>) => Promise<T>;
  readonly sound: () => Promise<void>;
  readonly stop: () => Promise<void>;
}

export async function openRig(options: NsdbOptions = {}, seed = 1): Promise<Rig> {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  const [store, otherStore] = [new WatchedStore(server.session()), new WatchedStore(server.session())];
  await store.start();
  await otherStore.start();
  const time = new VirtualTime();
  const nsdb = new Nsdb(store, new SeededRandom(seed), time, options);
  const other = new Nsdb(otherStore, new SeededRandom(seed + 1000), time, options);
  await nsdb.initialize();
  const count = async <T>(work: () => Promise<T>, expected: number): Promise<T> => {
    const before = store.commits;
    const result = await work();
    assert.equal(store.commits - before, expected, "store transactions");
    return result;
  };
  return {
    store,
    nsdb,
    other,
    otherStore,
    time,
    once: (work) => count(work, 1),
    silent: (work) => count(work, 0),
    sound: async () => assert.deepEqual(await checkStore(store), []),
    stop: () => server.stop(),
  };
}

/** A rig that ends with the test, after a last check that the store is sound. */
export async function rigFor(t: TestContext, options: NsdbOptions = {}): Promise<Rig> {
  const rig = await openRig(options);
  t.after(() => rig.stop());
  return rig;
}

export async function refused(work: Promise<unknown>, code: MidotraceError["code"], text?: RegExp): Promise<void> {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof MidotraceError, `not a MidotraceError: ${String(error)}`);
    assert.equal(error.code, code, error.message);
    if (text !== undefined) assert.match(error.message, text);
    return true;
  });
}

export const NO_ID = "00000000-0000-4000-8000-00000000dead";
export const TENANT = "tenant-1" as TenantId;
export const TENANT_2 = "tenant-2" as TenantId;

type AnyDevice = { readonly id: BridgeId | RouterId | PortId };

export const bridge = async (n: Nsdb, more: Parameters<Nsdb["bridges"]["create"]>[0] = {}) =>
  n.bridges.create({ name: "b", tenantId: TENANT, ...more });
export const router = async (n: Nsdb, more: Parameters<Nsdb["routers"]["create"]>[0] = {}) =>
  n.routers.create({ name: "r", tenantId: TENANT, ...more });
export const chain = async (n: Nsdb, name = "c") => n.chains.create({ name, tenantId: TENANT });
export const accept = async (n: Nsdb, id: ChainId, position?: number) =>
  n.rules.create(id, { type: "accept", condition: {}, meterName: null }, position);
export const trace = async (
  n: Nsdb,
  deviceType: TraceRequestRecord["deviceType"],
  device: AnyDevice,
  more: Partial<TraceInput> = {},
) => n.traces.create({ name: "t", deviceType, deviceId: device.id, condition: { nwProto: 6 }, ...more });

/** A host in a tunnel zone, so that ports can be bound to it. */
export async function host(n: Nsdb, name = "h"): Promise<HostId> {
  const h = await n.hosts.create({ name });
  const zone = (await n.tunnelZones.list())[0] ?? (await n.tunnelZones.create({ name: "tz", type: "vxlan" }));
  await n.tunnelZones.addMember({ tunnelZoneId: zone.id, hostId: h.id, ipAddress: "192.0.2.1" });
  return h.id;
}

export const ids = (records: readonly { readonly id: string }[]): string[] => records.map((r) => r.id).sort();
export const ruleTypes = async (n: Nsdb, id: ChainId): Promise<string[]> => (await n.rules.list(id)).map((r) => r.type);
export type { ChainId, RuleId, TraceRequestId };
