import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { byId, isRowId, type Operation, type RowId, type SessionEffect, wire } from "#protocols/ovsdb";
import { bytes, sampleId, sampleSession, SERVER_MESSAGES } from "../../support/ovsdb-samples.ts";

type Session = ReturnType<typeof sampleSession>;

const id = (n: number): RowId => {
  const text = sampleId(n);
  assert.ok(isRowId(text));
  return text;
};
const kinds = (effects: readonly SessionEffect[]): string[] => effects.map((e) => e.kind);
const sent = (effects: readonly SessionEffect[]): unknown[] =>
  effects.flatMap((e) => (e.kind === "send" ? [JSON.parse(Buffer.from(e.bytes).toString()) as unknown] : []));
const ended = (effects: readonly SessionEffect[]): string | undefined =>
  effects.map((e) => (e.kind === "ended" ? e.reason : undefined)).find((reason) => reason !== undefined);

const OPERATIONS: readonly Operation[] = [
  { op: "insert", table: "Interface", row: { name: "x" }, "uuid-name": "i" },
  { op: "update", table: "Interface", where: byId(id(2)), row: { ofport: 1 } },
];

function ready(): Session {
  const session = sampleSession();
  session.open(0);
  assert.deepEqual(kinds(session.receive(bytes(SERVER_MESSAGES[0]), 0)), ["ready"]);
  return session;
}

/** A session in which a transaction waits for its answer, which has id 2. */
function transacting(): Session {
  const session = ready();
  assert.equal(session.transact(OPERATIONS, 0).ticket, 2);
  return session;
}

describe("OVSDB session", () => {
  it("monitors exactly the columns it was told, and is ready with the first contents", () => {
    const session = sampleSession();
    assert.deepEqual(sent(session.open(0)), [
      {
        id: 1,
        method: "monitor",
        params: [
          "Open_vSwitch",
          "midotrace",
          {
            Open_vSwitch: { columns: ["bridges", "cur_cfg"] },
            Interface: { columns: ["name", "ofport", "up", "external_ids"] },
          },
        ],
      },
    ]);
    assert.ok(!session.isReady);
    assert.deepEqual(kinds(session.receive(bytes(SERVER_MESSAGES[0]), 0)), ["ready"]);
    assert.ok(session.isReady);
    assert.deepEqual(session.rows.Open_vSwitch.get(id(1)), { bridges: [id(9)], cur_cfg: 3 });
    assert.deepEqual(session.rows.Interface.get(id(2))?.external_ids, new Map([["a", '{"}\\']]));
    assert.equal(session.rows.Interface.get(id(3))?.ofport, null);
  });

  it("follows updates: rows change, go and come", () => {
    const session = ready();
    assert.deepEqual(kinds(session.receive(bytes(SERVER_MESSAGES[2]), 0)), ["changed"]);
    assert.equal(session.rows.Interface.get(id(2))?.ofport, 8);
    assert.equal(session.rows.Interface.has(id(3)), false);
    const row = { name: "n", ofport: 1, up: true, external_ids: ["map", []] };
    const update = { id: null, method: "update", params: ["midotrace", { Interface: { [id(3)]: { new: row } } }] };
    session.receive(bytes(update), 0);
    assert.equal(session.rows.Interface.get(id(3))?.name, "n");
  });

  it("answers echo with what was asked", () => {
    assert.deepEqual(sent(ready().receive(bytes(SERVER_MESSAGES[1]), 0)), [
      { id: "echo", result: [1, { two: [] }], error: null },
    ]);
  });

  it("transacts, several at once, in whatever order the answers come", () => {
    const session = ready();
    const first = session.transact(OPERATIONS, 0);
    assert.deepEqual(sent(first.effects), [
      {
        id: 2,
        method: "transact",
        params: [
          "Open_vSwitch",
          { op: "insert", table: "Interface", row: { name: "x" }, "uuid-name": "i" },
          { op: "update", table: "Interface", where: [["_uuid", "==", ["uuid", id(2)]]], row: { ofport: 1 } },
        ],
      },
    ]);
    const second = session.transact([{ op: "comment", comment: "x" }], 0);
    const answers = [{ id: 3, error: null, result: [{}] }, SERVER_MESSAGES[3]];
    assert.deepEqual(session.receive(bytes(answers.map((a) => JSON.stringify(a)).join("")), 0), [
      { kind: "transacted", ticket: second.ticket, result: { ok: true, counts: [null] } },
      { kind: "transacted", ticket: first.ticket, result: { ok: true, counts: [1, 1] } },
    ]);
  });

  it("finds errors of operations, of the ones after them, and of the commit", () => {
    const cases: readonly (readonly [unknown[], unknown])[] = [
      [
        [{ error: "constraint violation", details: "twice" }, null],
        [{ operation: 0, reason: "constraint violation: twice" }],
      ],
      [[{}, { error: "timed out" }, null], [{ operation: 1, reason: "timed out" }]],
      [
        [{}, { count: 0 }, { error: "referential integrity violation", details: "no row" }],
        [{ operation: null, reason: "referential integrity violation: no row" }],
      ],
    ];
    for (const [result, errors] of cases) {
      const effects = transacting().receive(bytes({ id: 2, error: null, result }), 0);
      assert.deepEqual(effects, [{ kind: "transacted", ticket: 2, result: { ok: false, errors } }]);
    }
  });

  const row = { name: "n", ofport: 1, up: true, external_ids: ["map", []] };
  const update = (params: unknown[]): unknown => ({ id: null, method: "update", params });
  const unexpected: readonly (readonly [string, unknown, RegExp])[] = [
    ["no JSON", "{,}", /^a message is not JSON \(/],
    ["no object", "[]", /^a message begins with 0x5b/],
    ["neither request nor reply", { id: 5 }, /^an object with "id" is neither request nor reply$/],
    ["a method without name", { id: 5, method: 1, params: [] }, /^a method is 1, not a name$/],
    ["params that are no array", { id: 5, method: "echo", params: {} }, /^params of "echo" are an object/],
    ["an unknown request", { id: 5, method: "steal", params: [] }, /^an unexpected request "steal"$/],
    ["an unknown notification", { id: null, method: "moved", params: [] }, /^an unexpected notification "moved"$/],
    ["a reply to nothing", { id: 99, result: [], error: null }, /^a reply to 99, which was not asked$/],
    ["a reply to a string", { id: "2", result: [], error: null }, /^a reply to "2", which was not asked$/],
    ["a refusal", { id: 2, result: null, error: "unknown database" }, /^transact was refused: unknown database$/],
    ["a refusal in an object", { id: 2, result: null, error: { error: "x", details: "y" } }, /refused: x: y$/],
    ["a result that is none", { id: 2, result: {}, error: null }, /^a transaction's result is an object with nothing$/],
    ["too few results", { id: 2, result: [{}], error: null }, /^1 results for 2 operations$/],
    ["too many results", { id: 2, result: [{}, {}, {}, {}], error: null }, /^4 results for 2 operations$/],
    ["one result too many", { id: 2, result: [{}, {}, {}], error: null }, /^one result too many, and it is no error$/],
    ["undone for no reason", { id: 2, result: [null, {}], error: null }, /^operation 0 was not done/],
    ["a result of a string", { id: 2, result: ["x", {}], error: null }, /^result 0 is "x"$/],
    ["an update of another monitor", update(["other", {}]), /^an update of an unknown monitor "other"$/],
    ["an update without tables", update(["midotrace"]), /^table updates are nothing$/],
    [
      "an update of another table",
      update(["midotrace", { Port: {} }]),
      /^an update of table "Port", which was not asked/,
    ],
    ["rows in an array", update(["midotrace", { Interface: [] }]), /^updates of table Interface are an array of 0$/],
    [
      "a row without UUID",
      update(["midotrace", { Interface: { x: { new: row } } }]),
      /row "x": the row's id is not a UUID/,
    ],
    ["a change that is none", update(["midotrace", { Interface: { [id(2)]: 1 } }]), /the change is 1$/],
    ["a change without rows", update(["midotrace", { Interface: { [id(2)]: {} } }]), /neither an old nor a new row$/],
    ["a row that was not there", update(["midotrace", { Interface: { [id(8)]: { old: {} } } }]), /not there$/],
    [
      "a row with a wrong column",
      update(["midotrace", { Interface: { [id(2)]: { new: { ...row, ofport: "1" } } } }]),
      /^table Interface, row ".*": column ofport: "1" is not an integer$/,
    ],
  ];
  for (const [name, message, words] of unexpected) {
    it(`ends, naming it: ${name}`, () => {
      const session = transacting();
      const effects = session.receive(bytes(message), 0);
      assert.match(ended(effects) ?? "", words);
      assert.deepEqual(session.receive(bytes(SERVER_MESSAGES[3]), 0), [], "nothing happens any more");
      assert.deepEqual(session.tick(1e9), []);
    });
  }

  it("an update is applied wholly or not at all", () => {
    const session = ready();
    const before = session.rows.Interface.get(id(2));
    const rows = { [id(2)]: { new: { ...row, name: "changed" } }, [id(3)]: { new: { ...row, up: 1 } } };
    assert.match(ended(session.receive(bytes(update(["midotrace", { Interface: rows }])), 0)) ?? "", /column up/);
    assert.deepEqual(session.rows.Interface.get(id(2)), before);
  });

  it("an update before the first contents is refused, and so is a monitor", () => {
    const early = sampleSession();
    early.open(0);
    assert.match(ended(early.receive(bytes(SERVER_MESSAGES[2]), 0)) ?? "", /before the first contents/);
    const refused = sampleSession();
    refused.open(0);
    const words = { error: "unknown column", details: "no column up in table Interface" };
    assert.match(
      ended(refused.receive(bytes({ id: 1, result: null, error: words }), 0)) ?? "",
      /^monitor was refused: /,
    );
  });

  it("what came before the trouble is still handed on", () => {
    const effects = transacting().receive(bytes(`${JSON.stringify(SERVER_MESSAGES[3])}{"x":1}`), 0);
    assert.deepEqual(kinds(effects), ["transacted", "ended"]);
  });

  it("survives nesting without end", () => {
    const deep = `{"id":7,"method":"echo","params":[${"[".repeat(200_000)}${"]".repeat(200_000)}]}`;
    const effects = ready().receive(bytes(deep), 0);
    assert.match(ended(effects) ?? sent(effects).length.toString(), /nested too deeply|not JSON|^1$/);
    const object = `${'{"a":'.repeat(200_000)}1${"}".repeat(200_000)}`;
    assert.match(ended(ready().receive(bytes(object), 0)) ?? "", /neither request nor reply|not JSON/);
  });

  it("a lock is held, or waited for until it is, and may be stolen", () => {
    const session = ready();
    const held = (effects: readonly SessionEffect[]): boolean[] =>
      effects.flatMap((e) => (e.kind === "lock" ? [e.held] : []));
    assert.deepEqual(sent(session.lock("midotrace_br", 0)), [{ id: 2, method: "lock", params: ["midotrace_br"] }]);
    assert.deepEqual(held(session.receive(bytes({ id: 2, result: { locked: false }, error: null }), 0)), [false]);
    assert.deepEqual(held(session.receive(bytes({ id: null, method: "locked", params: ["midotrace_br"] }), 0)), [true]);
    assert.deepEqual(held(session.receive(bytes({ id: null, method: "stolen", params: ["midotrace_br"] }), 0)), [
      false,
    ]);

    const odd = ready();
    odd.lock("x", 0);
    assert.match(
      ended(odd.receive(bytes({ id: 2, result: { locked: 1 }, error: null }), 0)) ?? "",
      /^an answer to lock/,
    );
    assert.deepEqual(sampleSession().lock("x", 0), []);
  });

  it("asks a silent server for an echo, and gives it up when there is none", () => {
    const session = ready();
    assert.deepEqual(session.tick(4999), []);
    assert.deepEqual(sent(session.tick(5000)), [{ id: 2, method: "echo", params: [] }]);
    assert.deepEqual(session.tick(9999), []);
    assert.equal(ended(session.tick(10_000)), "no sign of life");

    const alive = ready();
    alive.tick(5000);
    assert.deepEqual(alive.receive(bytes({ id: 2, result: [], error: null }), 9000), []);
    assert.deepEqual(alive.tick(13_999), []);
    assert.equal(sent(alive.tick(14_000)).length, 1);
    // Anything is a sign of life.
    alive.receive(bytes(SERVER_MESSAGES[2]), 18_000);
    assert.deepEqual(alive.tick(19_000), []);
  });

  it("gives up a server that echoes but does not answer", () => {
    const session = transacting();
    for (let nowMs = 1000; nowMs < 15_000; nowMs += 1000) {
      session.receive(bytes({ id: "e", method: "echo", params: [] }), nowMs);
      assert.deepEqual(session.tick(nowMs), []);
    }
    session.receive(bytes({ id: "e", method: "echo", params: [] }), 15_000);
    assert.equal(ended(session.tick(15_000)), "no answer to transact");
  });

  it("does nothing before it is ready", () => {
    const session = sampleSession();
    assert.deepEqual(session.tick(1e6), []);
    session.open(0);
    assert.deepEqual(session.transact(OPERATIONS, 0).effects, []);
  });

  it("writes values as the RFC has them", () => {
    const nested = wire.set([wire.uuid(id(1)), wire.named("i"), wire.map([["a", "b"]])]);
    assert.equal(JSON.stringify(nested), `["set",[["uuid","${id(1)}"],["named-uuid","i"],["map",[["a","b"]]]]]`);
  });
});
