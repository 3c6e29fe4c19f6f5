import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it, type TestContext } from "node:test";
import { MidotraceError, type TraceRequestId } from "#core/base";
import { type NodeChange, NsdbUnavailable, type TraceQuota } from "#core/nsdb";
import { chain, NO_ID, refused, type Rig, rigFor, router, ruleTypes, TENANT, trace } from "./rig.ts";

const on = (): boolean => true;
const off = (): boolean => false;
const NO_TRACE = NO_ID as TraceRequestId;

interface Many extends Rig {
  readonly ids: readonly TraceRequestId[];
  readonly enabled: () => Promise<number>;
}

/** So many requests, none enabled, on one router that has an infilter. */
async function manyFor(t: TestContext, count: number, options: Parameters<typeof rigFor>[1] = {}): Promise<Many> {
  const rig = await rigFor(t, options);
  const { nsdb } = rig;
  const { id: inboundFilterId } = await chain(nsdb);
  const r = await router(nsdb, { inboundFilterId });
  const ids: TraceRequestId[] = [];
  for (let n = 0; n < count; n++) ids.push((await trace(nsdb, "ROUTER", r)).id);
  const enabled = async () => {
    await rig.sound();
    const { length } = await ruleTypes(nsdb, inboundFilterId);
    assert.equal((await nsdb.traces.list({ enabled: true })).length, length);
    return length;
  };
  return { ...rig, ids, enabled };
}

/** Commits that the work makes. */
async function commits({ store }: Rig, work: () => Promise<unknown>): Promise<number> {
  const before = store.commits;
  await work();
  return store.commits - before;
}

const codes = async (works: readonly Promise<unknown>[]): Promise<string[]> =>
  (await Promise.allSettled(works)).map((outcome) => {
    if (outcome.status === "fulfilled") return "done";
    return outcome.reason instanceof MidotraceError ? outcome.reason.code : String(outcome.reason);
  });

describe("traces that are switched at once", () => {
  it("are few transactions of bounded size, the first one alone", async (t) => {
    const rig = await manyFor(t, 100);
    const { nsdb, store, ids, enabled } = rig;
    const sizes: number[] = [];
    store.before = (ops) => void sizes.push(ops.filter(({ op }) => op === "create").length);
    assert.equal(await commits(rig, () => Promise.all(ids.map((id) => nsdb.traces.switch(id, on)))), 5);
    assert.deepEqual(sizes, [1, 32, 32, 32, 3]);
    assert.equal(await enabled(), 100);
    await Promise.all(ids.map((id) => nsdb.traces.switch(id, off)));
    assert.equal(await enabled(), 0);
  });
  it("have each its own outcome", async (t) => {
    const { nsdb, ids, enabled } = await manyFor(t, 8);
    const fails = (): never => {
      throw new TypeError("no");
    };
    const asked: [TraceRequestId, () => boolean][] = ids.map((id) => [id, on]);
    asked.splice(3, 0, [NO_TRACE, on]);
    asked.splice(6, 0, [ids[0] ?? NO_TRACE, fails]);
    const works = asked.map(([id, decide]) => nsdb.traces.switch(id, decide));
    const done = new Array<string>(8).fill("done");
    assert.deepEqual(await codes(works), done.toSpliced(3, 0, "NOT_FOUND").toSpliced(6, 0, "TypeError: no"));
    assert.equal(await enabled(), 8);
  });
  it("count one after the other what a tenant may have", async (t) => {
    const { nsdb, ids, enabled } = await manyFor(t, 10);
    const quota: TraceQuota = { traces: null, enabledTraces: 4 };
    const outcomes = await codes(ids.map((id) => nsdb.traces.switch(id, on, quota)));
    const refusals = new Array<string>(6).fill("LIMIT_EXCEEDED");
    assert.deepEqual(outcomes, ["done", "done", "done", "done", ...refusals]);
    assert.equal(await enabled(), 4);
    assert.equal((await nsdb.traces.list({ tenantId: TENANT })).length, 10);
  });
  it("see what those before them have made of the same request", async (t) => {
    const rig = await manyFor(t, 2);
    const { nsdb, ids, enabled } = rig;
    const [first = NO_TRACE, id = NO_TRACE] = ids;
    const saw: boolean[] = [];
    const as = (wanted: boolean) => (stored: { readonly enabledRule: unknown }) => {
      saw.push(stored.enabledRule !== null);
      return wanted;
    };
    const work = () =>
      Promise.all([
        nsdb.traces.switch(first, on),
        ...[true, false, true, false].map((wanted) => nsdb.traces.switch(id, as(wanted))),
      ]);
    assert.equal(await commits(rig, work), 1, "in the end nothing has changed but the first");
    assert.deepEqual(saw, [false, true, false, true]);
    assert.equal(await enabled(), 1);
  });
  it("are told each its own changes, in the asynchronous context of who asked", async (t) => {
    const who = new AsyncLocalStorage<number>();
    const told: [number | undefined, readonly NodeChange[]][] = [];
    const committed = (changes: readonly NodeChange[]): void => void told.push([who.getStore(), changes]);
    const { nsdb, ids } = await manyFor(t, 6, { committed });
    told.length = 0;
    await Promise.all(ids.map((id, n) => who.run(n, () => nsdb.traces.switch(id, on))));
    assert.deepEqual(
      told.map(([n]) => n),
      [0, 1, 2, 3, 4, 5],
    );
    let list: string | null | undefined;
    for (const [n = -1, changes] of told) {
      const kinds = new Set(changes.map(({ path }) => path.split("/")[1]));
      assert.deepEqual([kinds, changes.length], [new Set(["chains", "rules", "traces"]), 3]);
      assert.ok(changes.some(({ path, before }) => path === `/traces/${ids[n]}` && before !== null));
      assert.ok(changes.some(({ path, before }) => path.startsWith("/rules/") && before === null));
      const rules = changes.find(({ path }) => path.startsWith("/chains/"));
      // Each begins with what the one before it has left.
      if (list !== undefined) assert.equal(rules?.before, list);
      list = rules?.after;
    }
  });
  it("are done again when another server was quicker", async (t) => {
    const { nsdb, other, store, ids, enabled } = await manyFor(t, 9);
    const [last = NO_TRACE, ...rest] = ids.toReversed();
    let refusals = 0;
    store.before = async (ops) => {
      if (ops.length < 10 || refusals++ > 0) return;
      await other.traces.enable(last);
    };
    await Promise.all(rest.map((id) => nsdb.traces.switch(id, on)));
    assert.equal(refusals, 2);
    assert.equal(await enabled(), 9);
  });
  it("have each its own outcome also when one fails in a later attempt only", async (t) => {
    const { nsdb, other, store, ids, enabled } = await manyFor(t, 9);
    const [last = NO_TRACE, ...rest] = ids.toReversed();
    let refused = false;
    store.before = async (ops) => {
      if (ops.length < 10 || refused) return;
      refused = true;
      await other.traces.enable(last);
    };
    const works = rest.map((id, n) =>
      nsdb.traces.switch(id, () => {
        if (n === 4 && refused) throw new TypeError("no more");
        return true;
      }),
    );
    assert.deepEqual(await codes(works), new Array<string>(8).fill("done").with(4, "TypeError: no more"));
    assert.ok(refused);
    assert.equal(await enabled(), 8);
  });
  it("fail all when it is not known whether they were done, and are not done again", async (t) => {
    const { nsdb, store, ids, enabled } = await manyFor(t, 6);
    const switchAll = () => codes(ids.map((id) => nsdb.traces.switch(id, on)));
    const away = new Array<string>(5).fill("STORE_UNAVAILABLE");
    store.before = (ops) => {
      if (ops.length > 5) throw new NsdbUnavailable("gone");
    };
    assert.deepEqual(await switchAll(), ["done", ...away]);
    assert.equal(await enabled(), 1);
    store.before = () => {};
    // Committed, and the answer lost.
    let answers = 0;
    store.after = () => {
      answers++;
      throw new Error("cut");
    };
    const [first, ...others] = await switchAll();
    assert.equal(first, "done", "there was nothing to do");
    assert.deepEqual(others, new Array<string>(5).fill("Error: cut"));
    assert.equal(answers, 1);
    store.after = () => {};
    assert.equal(await enabled(), 6);
    await refused(nsdb.traces.switch(NO_TRACE, on), "NOT_FOUND");
  });
});
