import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TRACE_STATE_TTL_MS, type TraceArrival, TraceTable, type TraceState } from "#core/tracing";
import { flowId, PING, requestId, STATE, token } from "../../support/tracing-samples.ts";

const FROM = "172.16.0.1";
const at = (more: Partial<TraceArrival> = {}): TraceArrival => ({
  fromIp: FROM,
  tunnelKey: 5,
  key: PING,
  token: STATE.token,
  ...more,
});
const flow = (n: number, more: Partial<TraceState> = {}): TraceState => ({ ...STATE, flowTraceId: flowId(n), ...more });

describe("trace table, state before packet", () => {
  it("gives the flow trace and its requests", () => {
    const table = new TraceTable<string>();
    assert.deepEqual(table.put(STATE, FROM, 0), []);
    assert.deepEqual(table.match(at(), 1), {
      flowTraceId: STATE.flowTraceId,
      requestIds: STATE.requestIds,
      duplicate: false,
    });
  });

  it("wants sender, token, trace key and tunnel key to agree", () => {
    const table = new TraceTable<string>();
    table.put(STATE, FROM, 0);
    for (const other of [
      { fromIp: "172.16.0.2" },
      { token: token(1) },
      { tunnelKey: 6 },
      { key: { ...PING, srcPort: 8 } },
      { key: { ...PING, networkDst: null } },
    ])
      assert.equal(table.match(at(other), 1), null);
  });

  it("marks the second copy of one packet as a duplicate, not as another flow", () => {
    const table = new TraceTable<string>();
    table.put({ ...STATE, tunnelKeys: [5, 6] }, FROM, 0);
    assert.equal(table.match(at(), 1)?.duplicate, false);
    assert.equal(table.match(at({ tunnelKey: 6 }), 1)?.duplicate, false);
    assert.equal(table.match(at(), 2)?.duplicate, true);
  });

  it("gives byte-identical packets of two flow traces to each in turn", () => {
    const table = new TraceTable<string>();
    table.put(flow(1), FROM, 0);
    table.put(flow(2), FROM, 0);
    const got = [1, 2, 3].map((now) => table.match(at(), now));
    assert.deepEqual(
      got.map((m) => [m?.flowTraceId, m?.duplicate]),
      [
        [flowId(1), false],
        [flowId(2), false],
        [flowId(2), true],
      ],
    );
  });

  it("takes a repeated message as nothing new, and a second part as more of the same", () => {
    const table = new TraceTable<string>();
    table.put(STATE, FROM, 0);
    table.put(STATE, FROM, 1);
    table.put({ ...STATE, requestIds: [requestId(9)], tunnelKeys: [6] }, FROM, 2);
    assert.equal(table.size, 1);
    assert.deepEqual(table.match(at(), 3)?.requestIds, [...STATE.requestIds, requestId(9)]);
    assert.equal(table.match(at({ tunnelKey: 6 }), 3)?.duplicate, false);
  });

  it("forgets after 5 s", () => {
    const table = new TraceTable<string>();
    table.put(STATE, FROM, 0);
    assert.notEqual(table.match(at(), TRACE_STATE_TTL_MS - 1), null);
    assert.equal(table.match(at(), TRACE_STATE_TTL_MS), null);
    assert.equal(table.size, 0);
  });

  it("throws out the oldest when full, and counts it", () => {
    const table = new TraceTable<string>({ maxEntries: 2 });
    for (const n of [1, 2, 3]) table.put(flow(n, { token: token(n) }), FROM, 0);
    assert.equal(table.evicted, 1);
    assert.equal(table.match(at({ token: token(1) }), 1), null);
    assert.equal(table.match(at({ token: token(3) }), 1)?.flowTraceId, flowId(3));
  });
});

describe("trace table, packet before state", () => {
  it("joins when the state comes", () => {
    const table = new TraceTable<string>();
    assert.equal(table.match(at(), 0), null);
    table.hold(at(), "a", 0);
    const joined = table.put(STATE, FROM, 100);
    assert.deepEqual(
      joined.map((j) => [j.payload, j.match.flowTraceId, j.match.duplicate]),
      [["a", STATE.flowTraceId, false]],
    );
    assert.equal(table.heldCount, 0);
    assert.equal(table.match(at(), 101)?.duplicate, true);
  });

  it("calls it an orphan after 5 s", () => {
    const table = new TraceTable<string>();
    table.hold(at(), "a", 10);
    assert.equal(table.nextExpiryMs(), 10 + TRACE_STATE_TTL_MS);
    assert.deepEqual(table.expire(9 + TRACE_STATE_TTL_MS), []);
    assert.deepEqual(table.expire(10 + TRACE_STATE_TTL_MS), [{ arrival: at(), payload: "a", match: null }]);
    assert.deepEqual(table.put(STATE, FROM, 11 + TRACE_STATE_TTL_MS), []);
    assert.equal(table.nextExpiryMs(), null);
  });

  it("lets the second of two byte-identical packets wait for the second state", () => {
    const table = new TraceTable<string>();
    table.hold(at(), "a", 0);
    table.hold(at(), "b", 1);
    assert.deepEqual(
      table.put(flow(1), FROM, 2).map((j) => j.payload),
      ["a"],
    );
    assert.deepEqual(
      table.put(flow(2), FROM, 3).map((j) => [j.payload, j.match.flowTraceId]),
      [["b", flowId(2)]],
    );
  });

  it("calls it a duplicate when no second state came", () => {
    const table = new TraceTable<string>();
    table.hold(at(), "a", 0);
    table.hold(at(), "b", 1);
    table.put(flow(1), FROM, 2);
    const [late] = table.expire(1 + TRACE_STATE_TTL_MS);
    assert.equal(late?.payload, "b");
    assert.deepEqual(late?.match, { flowTraceId: flowId(1), requestIds: STATE.requestIds, duplicate: true });
  });

  it("gives up the oldest when full, and counts it", () => {
    const table = new TraceTable<string>({ maxHeld: 1 });
    assert.deepEqual(table.hold(at(), "a", 0), []);
    assert.deepEqual(
      table.hold(at({ tunnelKey: 6 }), "b", 1).map((r) => [r.payload, r.match]),
      [["a", null]],
    );
    assert.equal(table.overflowed, 1);
    assert.equal(table.heldCount, 1);
  });
});
