import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { ChainId, PortId } from "#core/base";
import { isTraceChainName, LIMIT_MAX, traceChainName } from "#core/topology";
import {
  accept,
  bridge,
  chain,
  ids,
  NO_ID,
  refused,
  rigFor,
  router,
  ruleTypes,
  TENANT,
  TENANT_2,
  trace,
} from "./rig.ts";
import type { TraceRequestId } from "#core/base";

const NO_TRACE = NO_ID as TraceRequestId;

describe("trace requests: MidoNet's scenarios (midonet-semantics 9.3)", () => {
  it("creation, listing, deletion", async (t) => {
    const { nsdb, sound, once } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await once(() => trace(nsdb, "BRIDGE", b, { condition: { tpDst: { start: 500, end: 500 } } }));
    const read = await nsdb.traces.get(made.id);
    assert.notEqual(read, made);
    assert.deepEqual(read, made);
    assert.equal(read.limit, LIMIT_MAX);
    assert.deepEqual(ids(await nsdb.traces.list()), [made.id]);
    await once(() => nsdb.traces.delete(made.id));
    assert.deepEqual(await nsdb.traces.list(), []);
    await sound();
  });

  it("listing by tenant", async (t) => {
    const { nsdb } = await rigFor(t);
    const b = await bridge(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const r = await router(nsdb, { tenantId: TENANT_2 });
    const mine = [await trace(nsdb, "BRIDGE", b), await trace(nsdb, "PORT", p)];
    await trace(nsdb, "ROUTER", r);
    assert.deepEqual(ids(await nsdb.traces.list({ tenantId: TENANT })), ids(mine));
    assert.equal((await nsdb.traces.list()).length, 3);
    assert.equal(await nsdb.traces.tenant(mine[1]?.id ?? NO_TRACE), TENANT);
  });

  it("non-existing device, and one of another type", async (t) => {
    const { nsdb } = await rigFor(t);
    const b = await bridge(nsdb);
    await refused(trace(nsdb, "BRIDGE", { id: NO_ID as PortId }), "NOT_FOUND", /bridge 00000000/);
    await refused(trace(nsdb, "ROUTER", b), "NOT_FOUND", /router/);
    assert.deepEqual(await nsdb.traces.list(), []);
  });

  it("deleted with the device", async (t) => {
    const { nsdb, sound, once } = await rigFor(t);
    const [b, r] = [await bridge(nsdb), await router(nsdb)];
    const bp = await nsdb.ports.createOnBridge(b.id, {});
    const [rp1, rp2] = [await nsdb.ports.createOnRouter(r.id, {}), await nsdb.ports.createOnRouter(r.id, {})];
    await trace(nsdb, "ROUTER", r, { enabled: true });
    await trace(nsdb, "BRIDGE", b, { enabled: true });
    for (const p of [bp, rp1, rp2]) await trace(nsdb, "PORT", p, { enabled: true });
    const left = async () => (await nsdb.traces.list()).length;
    await once(() => nsdb.ports.delete(rp1.id));
    assert.equal(await left(), 4);
    await once(() => nsdb.routers.delete(r.id));
    assert.equal(await left(), 2);
    await once(() => nsdb.ports.delete(bp.id));
    assert.equal(await left(), 1);
    await once(() => nsdb.bridges.delete(b.id));
    assert.equal(await left(), 0);
    assert.deepEqual(await nsdb.chains.list(), []);
    await sound();
  });

  it("race with device deletion", async (t) => {
    const { nsdb, other, store, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    store.before = async () => {
      store.before = () => {};
      await other.bridges.delete(b.id);
    };
    await refused(trace(nsdb, "BRIDGE", b, { enabled: true }), "NOT_FOUND");
    assert.deepEqual([await nsdb.traces.list(), await nsdb.bridges.list(), await nsdb.chains.list()], [[], [], []]);
    await sound();
  });

  it("enabling adds the rule, disabling deletes it", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const made = await trace(nsdb, "PORT", p, { condition: { tpSrc: { start: 5000, end: 5000 } }, limit: 7n });
    assert.equal((await nsdb.ports.get(p.id)).inboundFilterId, null);
    const on = await once(() => nsdb.traces.enable(made.id));
    const filter = (await nsdb.ports.get(p.id)).inboundFilterId as ChainId;
    const auto = await nsdb.chains.get(filter);
    assert.equal(auto.name, traceChainName(made.id));
    assert.equal(auto.tenantId, TENANT);
    const [rule] = await nsdb.rules.list(filter);
    assert.ok(rule?.type === "trace");
    assert.deepEqual([rule.requestId, rule.deviceId, rule.limit, rule.condition], [made.id, p.id, 7n, made.condition]);
    assert.deepEqual([on.enabledRule, on.enabledChain, rule.chainId], [rule.id, filter, filter]);
    const again = await silent(() => nsdb.traces.enable(made.id));
    assert.equal(again.enabledRule, rule.id);
    await sound();
    await once(() => nsdb.traces.disable(made.id));
    await silent(() => nsdb.traces.disable(made.id));
    assert.equal((await nsdb.traces.get(made.id)).enabledRule, null);
    assert.deepEqual([await nsdb.rules.find(rule.id), await nsdb.chains.find(filter)], [null, null]);
    assert.equal((await nsdb.ports.get(p.id)).inboundFilterId, null);
    const second = await nsdb.traces.enable(made.id);
    assert.notEqual(second.enabledRule, rule.id, "limits are counted per enabling");
    await sound();
  });

  it("enable and disable of a missing trace", async (t) => {
    const { nsdb } = await rigFor(t);
    for (const work of [nsdb.traces.enable, nsdb.traces.disable, nsdb.traces.delete])
      await refused(work(NO_TRACE), "NOT_FOUND", /trace request/);
    assert.deepEqual(await nsdb.chains.list(), []);
  });

  it("enable on a deleted device", async (t) => {
    const { nsdb } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b);
    await nsdb.bridges.delete(b.id);
    await refused(nsdb.traces.enable(made.id), "NOT_FOUND");
  });

  it("preexisting infilter", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const c = await chain(nsdb);
    await accept(nsdb, c.id);
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    const made = await trace(nsdb, "BRIDGE", b);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["accept"]);
    await nsdb.traces.enable(made.id);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["trace", "accept"]);
    await nsdb.rules.create(c.id, { type: "drop", condition: {}, meterName: null }, 1);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["drop", "trace", "accept"]);
    await nsdb.traces.disable(made.id);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["drop", "accept"]);
    await sound();
  });

  it("last rule in a chain that is not a trace chain", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const own = await accept(nsdb, c.id);
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    await nsdb.rules.delete(own.id);
    await nsdb.traces.disable(made.id);
    assert.deepEqual(await ruleTypes(nsdb, c.id), []);
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, c.id);
    await sound();
  });

  it("enabled on creation, disabled on delete", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await once(() => trace(nsdb, "BRIDGE", b, { enabled: true }));
    const filter = (await nsdb.bridges.get(b.id)).inboundFilterId as ChainId;
    assert.deepEqual(await ruleTypes(nsdb, filter), ["trace"]);
    await once(() => nsdb.traces.delete(made.id));
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, null);
    assert.deepEqual([await nsdb.chains.list(), (await nsdb.readTopology()).rules], [[], []]);
    await sound();
  });

  it("disable on device delete", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    await trace(nsdb, "BRIDGE", b, { enabled: true });
    await nsdb.bridges.delete(b.id);
    assert.deepEqual(await ruleTypes(nsdb, c.id), []);
    await sound();
  });
});

describe("trace requests: flaws of MidoNet that are not repeated (midonet-semantics 11.1)", () => {
  it("1 shared chain leak: the rule names the device it was asked for", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const a = await bridge(nsdb, { inboundFilterId: c.id });
    const b = await bridge(nsdb, { inboundFilterId: c.id, tenantId: TENANT_2 });
    await trace(nsdb, "BRIDGE", a, { enabled: true });
    await trace(nsdb, "BRIDGE", b, { enabled: true });
    const devices = (await nsdb.rules.list(c.id)).map((r) => (r.type === "trace" ? r.deviceId : null));
    assert.deepEqual(devices, [b.id, a.id]);
    await sound();
  });

  it("2 rule order: enabling puts the rule first, later rules at 1 do not lose it", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const a = await bridge(nsdb, { inboundFilterId: c.id });
    const made = await trace(nsdb, "BRIDGE", a, { enabled: true });
    await accept(nsdb, c.id, 1);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["accept", "trace"]);
    const again = await trace(nsdb, "BRIDGE", a, { enabled: true });
    assert.equal((await nsdb.rules.list(c.id))[0]?.id, again.enabledRule);
    assert.equal((await nsdb.rules.list(c.id))[2]?.id, made.enabledRule);
    await sound();
  });

  it("3 a PUT of the device without the auto chain, or with an older infilter, keeps the rule", async (t) => {
    const { nsdb, once, silent, sound } = await rigFor(t);
    const old = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", old, { enabled: true });
    // The echo of what was read before: nothing to write at all.
    await silent(() => nsdb.bridges.update(old.id, old));
    assert.equal((await nsdb.bridges.get(old.id)).inboundFilterId, made.enabledChain);
    const c = await chain(nsdb);
    await accept(nsdb, c.id);
    await once(() => nsdb.bridges.update(old.id, { inboundFilterId: c.id }));
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["trace", "accept"]);
    assert.equal((await nsdb.rules.list(c.id))[0]?.id, made.enabledRule, "the same rule: its limit goes on");
    assert.equal(await nsdb.chains.find(made.enabledChain as string), null, "the auto chain went with its last rule");
    await sound();
    await refused(nsdb.bridges.update(old.id, { inboundFilterId: made.enabledChain }), "NOT_FOUND", /chain/);
    const renamed = await nsdb.bridges.update(old.id, { name: "new", inboundFilterId: null });
    assert.notEqual(renamed.inboundFilterId, null);
    assert.equal((await nsdb.traces.get(made.id)).enabledChain, renamed.inboundFilterId);
    assert.deepEqual(await ruleTypes(nsdb, c.id), ["accept"]);
    await sound();
    await nsdb.traces.disable(made.id);
    assert.equal((await nsdb.bridges.get(old.id)).inboundFilterId, null);
  });

  it("3 a PUT that races with enabling", async (t) => {
    const { nsdb, other, store, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const c = await chain(nsdb);
    const made = await trace(nsdb, "BRIDGE", b);
    store.before = async () => {
      store.before = () => {};
      await other.bridges.update(b.id, { inboundFilterId: c.id });
    };
    const on = await nsdb.traces.enable(made.id);
    assert.equal(on.enabledChain, c.id);
    await sound();
  });

  it("4 deleting the rule or the chain by hand disables the request", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    const p = await nsdb.ports.createOnBridge(b.id, {});
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const onPort = await trace(nsdb, "PORT", p, { enabled: true });
    await once(() => nsdb.rules.delete(made.enabledRule ?? ("" as never)));
    assert.equal((await nsdb.traces.get(made.id)).enabledRule, null);
    await once(() => nsdb.rules.delete(onPort.enabledRule ?? ("" as never)));
    assert.equal((await nsdb.ports.get(p.id)).inboundFilterId, null, "and the auto chain goes");
    await nsdb.traces.enable(made.id);
    const auto = await nsdb.traces.enable(onPort.id);
    await once(() => nsdb.chains.delete(c.id));
    await once(() => nsdb.chains.delete(auto.enabledChain ?? ("" as never)));
    for (const id of [made.id, onPort.id]) {
      const now = await nsdb.traces.get(id);
      assert.deepEqual([now.enabledRule, now.enabledChain], [null, null]);
      await nsdb.traces.delete(id);
    }
    await nsdb.bridges.delete(b.id);
    await sound();
  });

  for (const order of ["first", "second"] as const)
    it(`5 two requests in one auto chain, the ${order} disabled first`, async (t) => {
      const { nsdb, sound } = await rigFor(t);
      const b = await bridge(nsdb);
      const first = await trace(nsdb, "BRIDGE", b, { enabled: true });
      const second = await trace(nsdb, "BRIDGE", b, { enabled: true });
      assert.equal(second.enabledChain, first.enabledChain);
      const [one, two] = order === "first" ? [first, second] : [second, first];
      await nsdb.traces.disable(one.id);
      assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, first.enabledChain);
      await sound();
      await nsdb.traces.delete(two.id);
      assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, null);
      assert.deepEqual(await nsdb.chains.list(), []);
      await sound();
    });

  it("6 a device with several enabled requests can be deleted", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const c = await chain(nsdb);
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    for (let i = 0; i < 3; i++) await trace(nsdb, "BRIDGE", b, { enabled: true });
    await once(() => nsdb.bridges.delete(b.id));
    assert.deepEqual([await nsdb.traces.list(), await ruleTypes(nsdb, c.id)], [[], []]);
    await sound();
  });

  it("7 nothing scans all chains or all requests", async (t) => {
    const { nsdb, store } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b);
    const listed: string[] = [];
    const children = store.children;
    store.children = (path) => {
      listed.push(path);
      return children(path);
    };
    await nsdb.traces.enable(made.id);
    await nsdb.traces.disable(made.id);
    await nsdb.bridges.delete(b.id);
    for (const top of ["/chains", "/traces", "/rules"]) assert.ok(!listed.includes(top), `${top} was listed`);
  });

  it("8 device deletion and the clean-up of its requests are one transaction", async (t) => {
    const { nsdb, store, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    await trace(nsdb, "BRIDGE", b, { enabled: true });
    store.before = () => {
      throw new Error("power cut");
    };
    await assert.rejects(nsdb.bridges.delete(b.id), /power cut/);
    store.before = () => {};
    assert.equal((await nsdb.traces.list()).length, 1);
    await sound();
    await nsdb.bridges.delete(b.id);
    assert.deepEqual(await nsdb.traces.list(), []);
  });
});

describe("trace requests: the rest of decision 4", () => {
  it("rules of a user in an auto chain make it theirs", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const c = made.enabledChain as ChainId;
    const own = await accept(nsdb, c, 2);
    await nsdb.traces.disable(made.id);
    assert.deepEqual(await ruleTypes(nsdb, c), ["accept"]);
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, c);
    await nsdb.traces.enable(made.id);
    await nsdb.rules.delete(own.id);
    await nsdb.traces.disable(made.id);
    assert.deepEqual(await ruleTypes(nsdb, c), [], "it is the user's now, like any chain");
    await sound();
  });

  it("a user's rule that came and went leaves the auto chain what it was", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const own = await accept(nsdb, made.enabledChain as ChainId, 2);
    await nsdb.rules.delete(own.id);
    await nsdb.traces.disable(made.id);
    assert.deepEqual(await nsdb.chains.list(), []);
    await sound();
  });

  it("a chain of a user whose name looks like an auto chain's is never deleted", async (t) => {
    const { nsdb } = await rigFor(t);
    const c = await chain(nsdb, traceChainName(NO_TRACE));
    assert.ok(isTraceChainName(c.name));
    const b = await bridge(nsdb, { inboundFilterId: c.id });
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    await nsdb.traces.disable(made.id);
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, c.id);
  });

  it("an auto chain that others use goes with its last trace rule, and their filters are cleared", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const c = made.enabledChain as ChainId;
    const r = await router(nsdb, { inboundFilterId: c, outboundFilterId: c });
    const onRouter = await trace(nsdb, "ROUTER", r, { enabled: true });
    const mine = await chain(nsdb, "mine");
    await nsdb.rules.create(mine.id, { type: "jump", jumpChainId: c, condition: {}, meterName: null });
    await nsdb.traces.disable(made.id);
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, c);
    await sound();
    await nsdb.traces.disable(onRouter.id);
    const now = await nsdb.routers.get(r.id);
    assert.deepEqual([now.inboundFilterId, now.outboundFilterId], [null, null]);
    assert.deepEqual(await ruleTypes(nsdb, mine.id), []);
    await sound();
  });

  it("detaching an auto chain with a user's rules moves the trace rules to a new one", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    const c = made.enabledChain as ChainId;
    await accept(nsdb, c, 2);
    const after = await nsdb.bridges.update(b.id, { inboundFilterId: null });
    assert.notEqual(after.inboundFilterId, c);
    assert.deepEqual(await ruleTypes(nsdb, c), ["accept"]);
    await sound();
  });

  it("several rules move in their order", async (t) => {
    const { nsdb, sound } = await rigFor(t);
    const b = await bridge(nsdb);
    for (let i = 0; i < 3; i++) await trace(nsdb, "BRIDGE", b, { enabled: true });
    const before = (await nsdb.rules.list((await nsdb.bridges.get(b.id)).inboundFilterId as ChainId)).map((r) => r.id);
    const c = await chain(nsdb);
    await accept(nsdb, c.id);
    await nsdb.bridges.update(b.id, { inboundFilterId: c.id });
    assert.deepEqual(
      (await nsdb.rules.list(c.id)).slice(0, 3).map((r) => r.id),
      before,
    );
    await sound();
  });

  it("trace rules cannot be made by hand", async (t) => {
    const { nsdb } = await rigFor(t);
    const c = await chain(nsdb);
    const rule = {
      type: "trace",
      requestId: NO_TRACE,
      deviceId: NO_ID,
      limit: 1n,
      condition: {},
      meterName: null,
    } as const;
    await refused(nsdb.rules.create(c.id, rule), "VALIDATION", /type: trace rules are made by enabling/);
  });

  it("duplicate id, bad id, bad limit", async (t) => {
    const { nsdb } = await rigFor(t);
    const b = await bridge(nsdb);
    const made = await trace(nsdb, "BRIDGE", b);
    await refused(trace(nsdb, "BRIDGE", b, { id: made.id }), "ALREADY_EXISTS", new RegExp(made.id));
    await refused(trace(nsdb, "BRIDGE", b, { id: "x/y" as TraceRequestId }), "VALIDATION", /id/);
    await refused(trace(nsdb, "BRIDGE", b, { limit: LIMIT_MAX + 1n }), "VALIDATION", /limit/);
    await refused(nsdb.traces.update(made.id, { limit: -1n }), "VALIDATION", /limit/);
  });

  it("an update keeps the rule's id, also on another device", async (t) => {
    const { nsdb, once, sound } = await rigFor(t);
    const [b, r] = [await bridge(nsdb), await router(nsdb)];
    const made = await trace(nsdb, "BRIDGE", b, { enabled: true });
    await once(() => nsdb.traces.update(made.id, { limit: 3n, condition: { nwProto: 17 }, name: "n" }));
    await sound();
    const moved = await once(() => nsdb.traces.update(made.id, { deviceType: "ROUTER", deviceId: r.id }));
    assert.equal(moved.enabledRule, made.enabledRule);
    assert.equal((await nsdb.bridges.get(b.id)).inboundFilterId, null);
    await sound();
    await once(() => nsdb.traces.update(made.id, { deviceType: "BRIDGE", deviceId: b.id, enabled: false }));
    assert.deepEqual(await nsdb.chains.list(), []);
    const on = await once(() => nsdb.traces.update(made.id, { enabled: true }));
    assert.notEqual(on.enabledRule, made.enabledRule);
    await sound();
  });
});
