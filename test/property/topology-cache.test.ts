import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import type { BridgeId, ChainId, PortId, RouterId, RuleId } from "#core/base";
import { deviceTag, type FlowTag } from "#core/flows";
import { type NsdbStore, NsdbTxError, portActivePath } from "#core/nsdb";
import { type ArmedTrace, type CompiledChain, effectiveEmptiness, sameCondition } from "#core/topology";
import { type KnownObject, KnownObjects, type ObjectKind } from "../../src/apps/agent/known-objects.ts";
import { TopologyCache } from "../../src/apps/agent/topology-cache.ts";
import { allowed, type Operation, restWork, type Step, step, traceWork } from "../support/nsdb-operations.ts";
import type { VirtualTime } from "../support/virtual-time.ts";
import { host, openRig } from "../unit/nsdb/rig.ts";

/** An agent's view with what it was told to do about it. */
class Watcher {
  readonly cache: TopologyCache;
  readonly stale = new Set<FlowTag>();
  readonly armed = new Set<RuleId>();
  readonly disarmed = new Set<RuleId>();
  readonly problems: unknown[] = [];

  constructor(store: NsdbStore, time: VirtualTime) {
    this.cache = new TopologyCache(store, time, (_port, _host, said) => said, {
      invalidate: (tags) => tags.forEach((tag) => this.stale.add(tag)),
      armed: (_device, traces) => traces.forEach((trace) => this.armed.add(trace.ruleId)),
      disarmed: (rules) => rules.forEach((rule) => this.disarmed.add(rule)),
      loaded: () => {},
      problem: (message, error) => void this.problems.push(`${message}: ${String(error)}`),
    });
  }

  object(kind: ObjectKind, id: string): KnownObject | null | undefined {
    switch (kind) {
      case "bridge":
        return this.cache.bridge(id as BridgeId);
      case "router":
        return this.cache.router(id as RouterId);
      case "port":
        return this.cache.port(id as PortId);
      case "chain":
        return this.cache.chain(id as ChainId);
      case "group":
        return this.cache.ipAddrGroup(id);
    }
  }

  forget(): void {
    for (const set of [this.stale, this.armed, this.disarmed]) set.clear();
  }
}

/** An agent says that a port is up, or no longer. */
const upOrDown: Operation = async (n, t, s) => {
  const port = t.ports[s.a % (t.ports.length + 1)];
  if (port?.hostId === null || port === undefined) return;
  const path = `${portActivePath(port.id)}/${port.hostId}`;
  const up = (await n.store.get(path)) !== null;
  await n.store.commit([up ? { op: "delete", path } : { op: "create", path, data: "" }]).catch((error: unknown) => {
    if (!(error instanceof NsdbTxError)) throw error;
  });
};

type Wanted = ReadonlyMap<string, { readonly kind: ObjectKind; readonly id: string }>;

/** What a view that has just read everything says of all that is wanted. */
async function anew(store: NsdbStore, time: VirtualTime, wanted: Wanted): Promise<Watcher> {
  const watcher = new Watcher(store, time);
  await watcher.cache.start();
  for (const { kind, id } of wanted.values()) watcher.cache.load(kind, id);
  await caughtUp(watcher, time);
  watcher.cache.stop();
  return watcher;
}

/** The pauses between readings pass. */
async function caughtUp(watcher: Watcher, time: VirtualTime): Promise<void> {
  await time.advance(1_000);
  await watcher.cache.settled();
}

/** Tags that the step from one view to the other makes stale. */
function staleBetween(before: Watcher, after: Watcher, wanted: Wanted): FlowTag[] {
  const known = new KnownObjects();
  for (const { kind, id } of wanted.values()) known.put(kind, id, after.object(kind, id) ?? null);
  const empty = (w: Watcher) => effectiveEmptiness((id) => w.object("chain", id) as CompiledChain | null | undefined);
  return [...wanted.values()].flatMap(({ kind, id }) => {
    const old = before.object(kind, id);
    return old === undefined ? [] : known.diff(kind, id, old, empty(before), empty(after));
  });
}

/** Infilters of the devices with the tag. */
function infiltersOf(before: Watcher, wanted: Wanted, tag: FlowTag): ChainId[] {
  return [...wanted.values()].flatMap(({ kind, id }) => {
    const device = before.object(kind, id);
    const known = device !== null && device !== undefined && "inFilter" in device && device.tag === tag;
    return known && device.inFilter !== null ? [device.inFilter] : [];
  });
}

const byRule = (w: Watcher): Map<RuleId, ArmedTrace> => new Map([...w.cache.armedTraces()].map((t) => [t.ruleId, t]));

async function play(work: readonly Operation[], steps: readonly Step[]): Promise<void> {
  const rig = await openRig();
  const { time, nsdb } = rig;
  const watcher = new Watcher(rig.otherStore, time);
  const wanted = new Map<string, { readonly kind: ObjectKind; readonly id: string }>();
  try {
    const shared = await nsdb.chains.create({ name: "shared" });
    const bridge = await nsdb.bridges.create({ inboundFilterId: shared.id });
    const router = await nsdb.routers.create({ inboundFilterId: shared.id });
    const up = await nsdb.ports.createOnBridge(bridge.id, {});
    const down = await nsdb.ports.createOnRouter(router.id, { portAddress: "10.0.0.9", networkLength: 24 });
    await nsdb.ports.link(up.id, down.id);
    const bound = await nsdb.ports.createOnBridge(bridge.id, {});
    await nsdb.ports.bind({ portId: bound.id, hostId: await host(nsdb), interfaceName: "eth0" });
    await watcher.cache.start();
    let before = await anew(rig.store, time, wanted);
    let flight: Promise<void>[] = [];
    const land = async (): Promise<void> => {
      await Promise.all(flight);
      flight = [];
      await caughtUp(watcher, time);
      const now = await anew(rig.store, time, wanted);
      for (const { kind, id } of wanted.values())
        assert.deepEqual(watcher.object(kind, id), now.object(kind, id), `${kind} ${id}`);
      assert.deepEqual(byRule(watcher), byRule(now));
      assert.equal(watcher.cache.armedCount, now.cache.armedCount);
      const stale = staleBetween(before, now, wanted).filter((tag) => !watcher.stale.has(tag));
      // When a filter was emptied first and left then, its own tag was enough: whatever entered the device passed it.
      assert.deepEqual(
        stale.filter((tag) => !infiltersOf(before, wanted, tag).some((chain) => watcher.stale.has(deviceTag(chain)))),
        [],
      );
      const [was, is] = [byRule(before), byRule(now)];
      for (const [rule, trace] of is) {
        const then = was.get(rule);
        const asksMore =
          then === undefined ||
          then.limit !== trace.limit ||
          !sameCondition(then.condition.source, trace.condition.source);
        // Of a device that was not known nobody is told: there are no flows through it.
        const device = ["port", "bridge", "router"].map((kind) => before.object(kind as ObjectKind, trace.deviceId));
        if (asksMore && device.some((d) => d !== null && d !== undefined))
          assert.ok(watcher.armed.has(rule), `nobody was told of ${rule}`);
      }
      for (const rule of was.keys()) if (!is.has(rule)) assert.ok(watcher.disarmed.has(rule), `${rule} is not let go`);
      assert.deepEqual(watcher.problems, []);
      const topology = await nsdb.readTopology();
      const lists = {
        bridge: topology.bridges,
        router: topology.routers,
        port: topology.ports,
        chain: topology.chains,
      };
      for (const [kind, records] of Object.entries(lists) as [ObjectKind, readonly { readonly id: string }[]][])
        for (const { id } of records) wanted.set(`${kind} ${id}`, { kind, id });
      for (const { kind, id } of wanted.values()) watcher.cache.load(kind, id);
      await caughtUp(watcher, time);
      watcher.forget();
      before = await anew(rig.store, time, wanted);
    };
    for (const s of steps) {
      if (!s.together || flight.length >= 4) await land();
      const operation = work[s.what % work.length] as Operation;
      flight.push(allowed(operation(s.server === 0 ? nsdb : rig.other, await nsdb.readTopology(), s)));
    }
    await land();
  } finally {
    watcher.cache.stop();
    await rig.stop();
  }
}

describe("an agent's view of the topology: whatever changed, it is as one that was read anew", () => {
  const options = { numRuns: Number(process.env["FC_RUNS"] ?? 40) };

  it("trace requests, filters, chains and rules", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), (steps) => play(traceWork, steps)),
      options,
    );
  });

  it("everything", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 20, maxLength: 60 }), (steps) =>
        play([...traceWork, ...restWork, upOrDown, upOrDown], steps),
      ),
      options,
    );
  });
});
