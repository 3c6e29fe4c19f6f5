import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { RuleId, TraceRequestId } from "#core/base";
import { accept, chain, NO_ID, refused, type Rig, rigFor, router, ruleTypes, trace } from "./rig.ts";

const on = (): boolean => true;
const off = (): boolean => false;
const NO_TRACE = NO_ID as TraceRequestId;

/** How many questions the store is asked by the work, its commit apart. */
async function questions({ store }: Rig, work: () => Promise<unknown>): Promise<number> {
  const before = store.questions;
  await work();
  return store.questions - before;
}

describe("switching a trace", () => {
  it("asks one question when a trace on the same device was switched before", async (t) => {
    const rig = await rigFor(t);
    const { nsdb, once, sound } = rig;
    const r = await router(nsdb);
    const [a, b, c] = [await trace(nsdb, "ROUTER", r), await trace(nsdb, "ROUTER", r), await trace(nsdb, "ROUTER", r)];
    const first = await questions(rig, () => nsdb.traces.switch(a.id, on));
    assert.ok(first > 1, "the first has to ask for the device after the request");
    assert.equal(await questions(rig, () => once(() => nsdb.traces.switch(b.id, on))), 1);
    await nsdb.traces.switch(a.id, off);
    assert.equal(await questions(rig, () => once(() => nsdb.traces.switch(c.id, on))), 1);
    const { inboundFilterId } = await nsdb.routers.get(r.id);
    assert.ok(inboundFilterId !== null);
    assert.deepEqual(await ruleTypes(nsdb, inboundFilterId), ["trace", "trace"]);
    await sound();
  });
  it("goes by what the device is now, whatever others have made of it since", async (t) => {
    const { nsdb, other, sound } = await rigFor(t);
    const r = await router(nsdb);
    const [a, b] = [await trace(nsdb, "ROUTER", r), await trace(nsdb, "ROUTER", r)];
    const infilter = async () => (await nsdb.routers.get(r.id)).inboundFilterId;
    await nsdb.traces.switch(a.id, on);
    const made = await infilter();
    // With its last rule the chain is gone.
    await other.traces.disable(a.id);
    await nsdb.traces.switch(b.id, on);
    const anew = await infilter();
    assert.ok(anew !== null && anew !== made);
    const another = await chain(other);
    await other.routers.update(r.id, { inboundFilterId: another.id });
    await nsdb.traces.switch(a.id, on);
    assert.equal(await infilter(), another.id);
    assert.deepEqual(await ruleTypes(nsdb, another.id), ["trace", "trace"]);
    await sound();
    await other.routers.delete(r.id);
    await refused(nsdb.traces.switch(a.id, off), "NOT_FOUND", /trace request/);
    await sound();
  });
  it("is done anew when a device that was asked for ahead changes meanwhile", async (t) => {
    const { nsdb, other, store, sound } = await rigFor(t);
    const r = await router(nsdb);
    const [a, b] = [await trace(nsdb, "ROUTER", r), await trace(nsdb, "ROUTER", r)];
    await nsdb.traces.switch(a.id, on);
    const another = await chain(nsdb);
    store.before = async () => {
      store.before = () => {};
      await other.routers.update(r.id, { inboundFilterId: another.id });
    };
    await nsdb.traces.switch(b.id, on);
    assert.deepEqual(await ruleTypes(nsdb, another.id), ["trace", "trace"]);
    await sound();
  });
  it("is not hindered by other devices that were asked for ahead and changed meanwhile", async (t) => {
    const { nsdb, other, store, once, sound } = await rigFor(t);
    const routers = [await router(nsdb), await router(nsdb), await router(nsdb)];
    const traces = await Promise.all(routers.map((r) => trace(nsdb, "ROUTER", r)));
    const [a, b, c] = traces.map(({ id }) => id) as [TraceRequestId, TraceRequestId, TraceRequestId];
    await nsdb.traces.switch(a, on);
    await nsdb.traces.switch(b, on);
    let attempts = 0;
    store.before = async () => {
      attempts++;
      for (const r of routers.slice(0, 2)) await other.routers.update(r.id, { name: `r${attempts}` });
    };
    await once(() => nsdb.traces.switch(c, on));
    assert.equal(attempts, 1);
    await sound();
  });
  it("asks for no more ahead, however many devices there are", async (t) => {
    const { nsdb, store } = await rigFor(t);
    const sizes: number[] = [];
    const { getMany } = store;
    store.getMany = (paths) => {
      sizes.push(paths.length);
      return getMany(paths);
    };
    for (let n = 0; n < 30; n++) {
      const r = await router(nsdb);
      const { id } = await trace(nsdb, "ROUTER", r);
      sizes.length = 0;
      await nsdb.traces.switch(id, on);
      assert.ok(Math.max(...sizes) <= 9, `a question for ${Math.max(...sizes)} nodes`);
    }
  });
  it("asks ahead for the devices of the latest switches, not of the first ones", async (t) => {
    const rig = await rigFor(t);
    const { nsdb } = rig;
    const own = await router(nsdb);
    for (let n = 0; n < 6; n++) {
      const others = await router(nsdb);
      await nsdb.traces.switch((await trace(nsdb, "ROUTER", others)).id, on);
      const { id } = await trace(nsdb, "ROUTER", own);
      const asked = await questions(rig, () => nsdb.traces.switch(id, on));
      assert.equal(asked === 1, n > 0, `the ${n + 1}th asks ${asked} questions`);
    }
  });
  it("off does not look at all others that are on, and at the last knows that it is the last", async (t) => {
    const { nsdb, store, sound } = await rigFor(t);
    const r = await router(nsdb);
    const ids: TraceRequestId[] = [];
    for (let n = 0; n < 40; n++) ids.push((await trace(nsdb, "ROUTER", r, { enabled: true })).id);
    const infilter = async () => (await nsdb.routers.get(r.id)).inboundFilterId;
    const made = await infilter();
    assert.ok(made !== null);
    let asked = 0;
    const { getMany } = store;
    store.getMany = (paths) => {
      asked += paths.length;
      return getMany(paths);
    };
    for (const [n, id] of ids.slice(2).entries()) {
      asked = 0;
      await nsdb.traces.switch(id, off);
      assert.ok(asked < 12, `the ${n + 1}th asks for ${asked} nodes`);
      assert.ok(store.lastOps.length < 12, `the ${n + 1}th sends ${store.lastOps.length} operations`);
      assert.equal(await infilter(), made);
    }
    await accept(nsdb, made, 1);
    await nsdb.traces.switch(ids[0] ?? NO_TRACE, off);
    await sound();
    assert.deepEqual(await ruleTypes(nsdb, made), ["accept", "trace"]);
    // With the last trace rule the chain is left to whose the other rule is.
    await nsdb.traces.switch(ids[1] ?? NO_TRACE, off);
    await sound();
    assert.deepEqual(await ruleTypes(nsdb, made), ["accept"]);
    assert.equal(await infilter(), made);
    await nsdb.rules.delete((await nsdb.rules.list(made))[0]?.id as RuleId);
    await nsdb.traces.switch(ids[0] ?? NO_TRACE, on);
    await nsdb.traces.switch(ids[0] ?? NO_TRACE, off);
    assert.equal(await infilter(), made, "it is no chain of ours any more");
    await sound();
  });
  it("leaves the request as it is when that is decided, and passes on what the decision throws", async (t) => {
    const { nsdb, silent, sound } = await rigFor(t);
    const r = await router(nsdb);
    const { id } = await trace(nsdb, "ROUTER", r);
    await silent(() => nsdb.traces.switch(id, () => undefined));
    await silent(() => nsdb.traces.switch(id, off));
    await silent(() =>
      assert.rejects(
        nsdb.traces.switch(id, () => {
          throw new TypeError("no");
        }),
        TypeError,
      ),
    );
    for (const unknown of [NO_ID, "../x", ""])
      await refused(nsdb.traces.switch(unknown as TraceRequestId, on), "NOT_FOUND");
    await sound();
  });
});
