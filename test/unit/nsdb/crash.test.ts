import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import type { TraceRequestId } from "#core/base";
import { applyDocument, checkStore, type Nsdb, NsdbTxError, NsdbUnavailable } from "#core/nsdb";
import { EXAMPLE } from "./documents.ts";
import { bridge, chain, host, openRig, refused, rigFor, type Rig, router, TENANT_2, trace } from "./rig.ts";

/** What is to be interrupted: `prepare` makes the world, `work` is the operation. */
interface Scene {
  readonly name: string;
  readonly prepare: (n: Nsdb) => Promise<string>;
  readonly work: (n: Nsdb, id: string) => Promise<unknown>;
}

const bareBridge = async (n: Nsdb): Promise<string> => (await trace(n, "BRIDGE", await bridge(n))).id;
const enabled = async (n: Nsdb): Promise<string> => (await trace(n, "BRIDGE", await bridge(n), { enabled: true })).id;
const filtered = async (n: Nsdb): Promise<string> => {
  const c = await chain(n);
  return (await trace(n, "BRIDGE", await bridge(n, { inboundFilterId: c.id }))).id;
};
const loadedBridge = async (n: Nsdb): Promise<string> => {
  const [b, r] = [await bridge(n), await router(n)];
  const [p, q] = [await n.ports.createOnBridge(b.id, {}), await n.ports.createOnRouter(r.id, {})];
  const bound = await n.ports.createOnBridge(b.id, {});
  await n.ports.link(p.id, q.id);
  await n.ports.bind({ portId: bound.id, hostId: await host(n), interfaceName: "e" });
  await trace(n, "PORT", p, { enabled: true });
  await trace(n, "BRIDGE", b, { enabled: true });
  await trace(n, "BRIDGE", b, { enabled: true });
  return b.id;
};

const loadedRouter = async (n: Nsdb): Promise<string> => {
  const r = await router(n);
  const p = await n.ports.createOnRouter(r.id, { portAddress: "10.0.0.1", networkLength: 24 });
  const q = await n.ports.createOnRouter(r.id, {});
  await n.ports.link(p.id, q.id);
  await trace(n, "PORT", p, { enabled: true });
  await trace(n, "ROUTER", r, { enabled: true });
  return r.id;
};
const grouped = async (n: Nsdb): Promise<string> => {
  const p = await n.ports.createOnBridge((await bridge(n)).id, {});
  const group = await n.portGroups.create({ name: "g" });
  await n.portGroups.addPort(group.id, p.id);
  await n.bridgeTables.setMac(p.deviceId, { mac: "02:00:00:00:00:01", portId: p.id, vlan: 0 });
  await n.ports.bind({ portId: p.id, hostId: await host(n), interfaceName: "e" });
  await trace(n, "PORT", p, { enabled: true });
  return p.id;
};
const shared = async (n: Nsdb): Promise<string> => {
  const [c, other] = [await chain(n), await chain(n)];
  await n.rules.create(other.id, { type: "jump", jumpChainId: c.id, condition: {}, meterName: null });
  const b = await bridge(n, { inboundFilterId: c.id });
  await trace(n, "BRIDGE", b, { enabled: true });
  await trace(n, "ROUTER", await router(n, { inboundFilterId: c.id, outboundFilterId: c.id }), { enabled: true });
  return c.id;
};

const asTrace = (id: string): TraceRequestId => id as TraceRequestId;

const SCENES: readonly Scene[] = [
  { name: "enable on a bare device", prepare: bareBridge, work: (n, id) => n.traces.enable(asTrace(id)) },
  { name: "enable on a filtered device", prepare: filtered, work: (n, id) => n.traces.enable(asTrace(id)) },
  { name: "disable", prepare: enabled, work: (n, id) => n.traces.disable(asTrace(id)) },
  { name: "delete", prepare: enabled, work: (n, id) => n.traces.delete(asTrace(id)) },
  { name: "delete of a device with everything", prepare: loadedBridge, work: (n, id) => n.bridges.delete(id as never) },
  { name: "delete of a router with everything", prepare: loadedRouter, work: (n, id) => n.routers.delete(id as never) },
  { name: "delete of a port with everything", prepare: grouped, work: (n, id) => n.ports.delete(id as never) },
  { name: "delete of a chain that many use", prepare: shared, work: (n, id) => n.chains.delete(id as never) },
  {
    name: "a device changes hands",
    prepare: loadedRouter,
    work: (n, id) => n.routers.update(id as never, { tenantId: TENANT_2 }),
  },
  { name: "apply", prepare: async () => "", work: (n) => applyDocument(n, EXAMPLE) },
  {
    name: "change of the infilter",
    prepare: async (n) => {
      await n.chains.create({ name: "other" });
      return enabled(n);
    },
    work: async (n, id) => {
      const c = (await n.chains.list()).find((x) => x.name === "other");
      return n.bridges.update((await n.traces.get(id)).deviceId as never, { inboundFilterId: c?.id });
    },
  },
];

async function dump(rig: Rig, path = "/"): Promise<string[]> {
  const lines: string[] = [];
  for (const name of await rig.store.children(path)) {
    const child = path === "/" ? `/${name}` : `${path}/${name}`;
    const node = await rig.store.get(child);
    lines.push(`${child} ${node?.version} ${node?.data}`, ...(await dump(rig, child)));
  }
  return lines;
}

describe("crash at every store operation", () => {
  for (const scene of SCENES) {
    for (const moment of ["before", "after"] as const)
      it(`${scene.name}, ${moment} the commit: wholly done or not at all`, async () => {
        for (let n = 1; ; n++) {
          const rig = await openRig();
          const id = await scene.prepare(rig.nsdb);
          const before = await dump(rig);
          const start = rig.store.commits;
          let calls = 0;
          const crash = (): void => {
            if (++calls === n) throw new Error("crash");
          };
          if (moment === "before") rig.store.before = crash;
          else rig.store.after = crash;
          const crashed = await scene.work(rig.nsdb, id).then(
            () => false,
            () => true,
          );
          rig.store.before = () => {};
          rig.store.after = () => {};
          assert.deepEqual(await checkStore(rig.store), []);
          if (crashed && moment === "before" && n === 1) assert.deepEqual(await dump(rig), before);
          // Whoever comes back finds a store that they can go on with.
          if (crashed) await scene.work(rig.nsdb, id).catch(() => {});
          assert.deepEqual(await checkStore(rig.store), []);
          const commits = rig.store.commits - start;
          await rig.stop();
          if (crashed) continue;
          assert.equal(commits, 1, "one store transaction");
          break;
        }
      });
  }
});

describe("failures of the store", () => {
  const failing = async (t: TestContext, error: Error): Promise<Rig> => {
    const rig = await rigFor(t);
    rig.store.before = () => {
      throw error;
    };
    return rig;
  };

  it("unavailable becomes STORE_UNAVAILABLE", async (t) => {
    const rig = await failing(t, new NsdbUnavailable("gone"));
    await refused(bridge(rig.nsdb), "STORE_UNAVAILABLE");
    rig.store.get = () => Promise.reject(new NsdbUnavailable("gone"));
    rig.store.getMany = () => Promise.reject(new NsdbUnavailable("gone"));
    await refused(
      rig.nsdb.bridges.list().then(() => rig.nsdb.bridges.get("11111111-1111-4111-8111-111111111111")),
      "STORE_UNAVAILABLE",
    );
    await refused(rig.nsdb.state.setAlive("11111111-1111-4111-8111-111111111111" as never), "STORE_UNAVAILABLE");
  });

  it("endless contention becomes CONFLICT", async (t) => {
    const rig = await failing(t, new NsdbTxError("BAD_VERSION", 0, "/x"));
    await refused(bridge(rig.nsdb), "CONFLICT", /gave up after 24 attempts/);
  });

  it("too much becomes TOO_LARGE, and a bad path a defect", async (t) => {
    const rig = await failing(t, new NsdbTxError("TOO_LARGE", 0, "/x"));
    await refused(bridge(rig.nsdb), "TOO_LARGE");
    rig.store.before = () => {
      throw new NsdbTxError("BAD_PATH", 0, "/x");
    };
    await refused(bridge(rig.nsdb), "INTERNAL");
  });

  it("one failure does not hold up what comes after it", async (t) => {
    const rig = await failing(t, new Error("once"));
    const first = bridge(rig.nsdb);
    const second = first.catch(() => {
      rig.store.before = () => {};
      return bridge(rig.nsdb);
    });
    await assert.rejects(first, /once/);
    assert.ok(await second);
  });
});
