import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  EMPTY_LIST,
  type FlowRow,
  matchesFilter,
  MAX_ROWS,
  NO_FILTER,
  oldestCursor,
  readAnew,
  rowOf,
  type ShownFlow,
  windowOf,
  withArrived,
  withOlder,
} from "#apps/web/model";

const row = (n: number, about: Partial<FlowRow> = {}): FlowRow => ({
  id: `f${n}`,
  startedAtMs: n,
  key: null,
  verdict: "delivered",
  dropReason: null,
  why: "",
  completeness: "complete",
  hosts: [],
  pinned: false,
  cursor: null,
  arrivedAtMs: null,
  ...about,
});
const read = (n: number): FlowRow => row(n, { cursor: `c${n}` });
const ids = (state: { readonly rows: readonly FlowRow[] }): string[] => state.rows.map((r) => r.id);

describe("the list of flows", () => {
  it("puts what arrives on top, newest first, and changes what is there in its place", () => {
    let list = readAnew(EMPTY_LIST, [read(2), read(1)], true);
    list = withArrived(list, [row(3), row(1, { verdict: "dropped" }), row(4)]);
    assert.deepEqual(ids(list), ["f4", "f3", "f2", "f1"]);
    assert.deepEqual([list.rows[3]?.verdict, list.rows[3]?.cursor, list.arrived], ["dropped", "c1", 2]);
  });

  it("takes the last of several states of one flow", () => {
    const list = withArrived(EMPTY_LIST, [row(1, { verdict: "unknown" }), row(1)]);
    assert.deepEqual([ids(list), list.rows[0]?.verdict], [["f1"], "delivered"]);
  });

  it("adds older pages below, each flow once", () => {
    const list = withOlder(readAnew(EMPTY_LIST, [read(5), read(4)], true), [read(4), read(3)], false);
    assert.deepEqual([ids(list), list.more, oldestCursor(list)], [["f5", "f4", "f3"], false, "c3"]);
  });

  it("read anew, keeps on top what came by the stream meanwhile, and forgets what is older", () => {
    const before = withArrived(EMPTY_LIST, [row(1), row(9)]);
    assert.deepEqual(ids(readAnew(before, [read(8), read(7)], true)), ["f9", "f8", "f7"]);
    assert.deepEqual(ids(readAnew(before, [read(9), read(7)], true)), ["f9", "f7"]);
  });

  it("is bounded, and says that there is more then", () => {
    const many = Array.from({ length: MAX_ROWS + 5 }, (_, n) => row(n));
    const list = withArrived(EMPTY_LIST, many);
    assert.deepEqual([list.rows.length, list.more, list.rows[0]?.id], [MAX_ROWS, true, `f${MAX_ROWS + 4}`]);
  });

  it("only what is seen is in the page", () => {
    assert.deepEqual(windowOf(10_000, 38, 38_000, 380, 8), { from: 992, to: 1018 });
    assert.deepEqual(windowOf(3, 38, 0, 600), { from: 0, to: 3 });
    assert.deepEqual(windowOf(3, 38, 99_999, 600), { from: 3, to: 3 });
  });
});

describe("a filter on what the stream brings", () => {
  const flow = {
    flowTraceId: "x",
    traceRequestIds: [],
    startedAtMs: 0,
    key: { networkSrc: "10.0.0.1", networkDst: "10.0.0.2", srcPort: 4000, dstPort: 80 },
    verdict: "dropped",
    dropReason: "filter-drop",
    why: "",
    completeness: { state: "complete", missing: [] },
    segments: [
      {
        hostId: "h-1",
        hostName: "host-a",
        steps: [
          { seq: 1, withheld: true },
          { seq: 2, kind: "device-in", device: { type: "bridge", id: "b-1", name: "red-web" }, text: "", atMs: 0 },
        ],
      },
    ],
  } as unknown as ShownFlow;

  it("matches what the server's would", () => {
    const fits = (about: Partial<typeof NO_FILTER>): boolean => matchesFilter(flow, { ...NO_FILTER, ...about });
    for (const about of [{}, { verdict: "dropped" }, { host: "host-a" }, { host: "h-1" }, { address: "10.0.0.2" }])
      assert.ok(fits(about), JSON.stringify(about));
    for (const about of [{ l4Port: "80" }, { device: "b-1" }, { device: "red-web" }, { completeness: "complete" }])
      assert.ok(fits(about), JSON.stringify(about));
    for (const about of [{ verdict: "delivered" }, { host: "host-b" }, { address: "10.0.0.3" }, { l4Port: "81" }])
      assert.ok(!fits(about), JSON.stringify(about));
    assert.ok(!fits({ device: "red-db" }));
  });

  it("leaves the steps behind", () => assert.ok(!("segments" in rowOf(flow, null))));
});
