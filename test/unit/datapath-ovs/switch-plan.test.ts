import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isRowId, Replica, type RowId } from "#protocols/ovsdb";
import { chooseDatapath } from "../../../src/adapters/datapath-ovs/datapath-choice.ts";
import { PortReporter } from "../../../src/adapters/datapath-ovs/port-reporter.ts";
import { type DesiredSwitch, planSwitch } from "../../../src/adapters/datapath-ovs/switch-plan.ts";
import { type SwitchRows, TABLES } from "../../../src/adapters/datapath-ovs/switch-tables.ts";

const DESIRED: DesiredSwitch = { bridge: "br-int", datapathType: "netdev", tunnelIp: "192.0.2.1", devices: new Map() };
const map = (entries: Readonly<Record<string, string>>): unknown => ["map", Object.entries(entries)];
const OURS = { "midotrace-owner": "br-int" };

function id(n: number): RowId {
  const text = `00000000-0000-4000-8000-${String(n).padStart(12, "0")}`;
  assert.ok(isRowId(text));
  return text;
}

interface PortSpec {
  readonly name: string;
  readonly ids?: Readonly<Record<string, string>>;
  readonly type?: string;
  readonly options?: Readonly<Record<string, string>>;
  readonly ofport?: number;
  readonly request?: number;
}

const TUNNEL: PortSpec = {
  name: "midotrace-vxlan",
  ids: OURS,
  type: "vxlan",
  options: { key: "flow", remote_ip: "flow", local_ip: "192.0.2.1" },
  ofport: 65000,
  request: 65000,
};
const tap = (name: string, ifindex: number): PortSpec => ({
  name,
  ids: { ...OURS, "midotrace-ifindex": String(ifindex) },
  ofport: ifindex,
});

/** A database with one bridge. */
function rows(
  ports: readonly PortSpec[],
  bridge: Readonly<Record<string, unknown>> = {},
  types: readonly string[] = ["netdev", "system"],
): SwitchRows {
  const replica = new Replica(TABLES);
  const row = {
    name: "br-int",
    ports: ["set", ports.map((_, i) => ["uuid", id(100 + i)])],
    datapath_type: "netdev",
    fail_mode: "secure",
    protocols: "OpenFlow13",
    controller: ["set", []],
    stp_enable: false,
    external_ids: map(OURS),
    ...bridge,
  };
  const root = { bridges: ["uuid", id(2)], cur_cfg: 1, next_cfg: 1, datapath_types: ["set", types] };
  const trouble = replica.apply({
    Open_vSwitch: { [id(1)]: { new: root } },
    Bridge: { [id(2)]: { new: row } },
    Port: Object.fromEntries(
      ports.map((p, i) => [
        id(100 + i),
        { new: { name: p.name, interfaces: ["uuid", id(200 + i)], external_ids: map(p.ids ?? {}) } },
      ]),
    ),
    Interface: Object.fromEntries(
      ports.map((p, i) => {
        const fields = { name: p.name, type: p.type ?? "", options: map(p.options ?? {}), error: ["set", []] };
        const numbers = { ofport: p.ofport ?? ["set", []], ofport_request: p.request ?? ["set", []] };
        const states = { link_state: "up", admin_state: "up", external_ids: map(p.ids ?? {}) };
        return [id(200 + i), { new: { ...fields, ...numbers, ...states } }];
      }),
    ),
  });
  assert.equal(trouble, null);
  return replica.rows;
}

const whats = (from: SwitchRows, desired: Partial<DesiredSwitch> = {}): string[] =>
  planSwitch(from, { ...DESIRED, ...desired }).changes.map((c) => c.what);

describe("plan of the switch's configuration", () => {
  it("an empty database is to be initialized first", () => {
    const plan = planSwitch(new Replica(TABLES).rows, DESIRED);
    assert.deepEqual(plan.changes, []);
    assert.match(plan.blocked.join(), /ovs-vsctl --no-wait init/);
  });

  it("what is right is left alone, with everything that others added to it", () => {
    const all = [TUNNEL, tap("t1", 5), { name: "x1" }, { name: "br-int", type: "internal", ids: OURS }];
    assert.deepEqual(whats(rows(all), { devices: new Map([["t1", 5]]) }), []);
    const more = { protocols: ["set", ["OpenFlow10", "OpenFlow13"]], external_ids: map({ ...OURS, colour: "red" }) };
    assert.deepEqual(whats(rows(all, more), { devices: null }), []);
  });

  it("only what is wrong of the bridge is changed", () => {
    const cases: readonly (readonly [Readonly<Record<string, unknown>>, string])[] = [
      [{ datapath_type: "" }, "set datapath_type=netdev of bridge br-int"],
      [{ fail_mode: ["set", []] }, "set fail_mode=secure of bridge br-int"],
      [{ protocols: ["set", []] }, "add OpenFlow13 to the protocols of bridge br-int"],
      [{ stp_enable: true }, "switch off STP of bridge br-int"],
      [{ external_ids: map({}) }, "note ownership of bridge br-int"],
    ];
    for (const [wrong, what] of cases) assert.deepEqual(whats(rows([TUNNEL], wrong)), [what]);
    assert.deepEqual(whats(rows([TUNNEL], { datapath_type: "" }), { datapathType: "system" }), []);
  });

  it("a bridge with somebody else's controller is not touched, our own is", () => {
    const driven = { external_ids: map({}), controller: ["uuid", id(9)], fail_mode: ["set", []] };
    const plan = planSwitch(rows([], driven), DESIRED);
    assert.deepEqual(plan.changes, []);
    assert.match(plan.blocked.join(), /^bridge br-int, which somebody else's controller drives/);
    assert.equal(whats(rows([TUNNEL], { ...driven, external_ids: map(OURS) })).length, 1);
  });

  it("while it is not known what is bound, no port goes", () => {
    const all = [TUNNEL, tap("t1", 5)];
    assert.deepEqual(whats(rows(all), { devices: null }), []);
    assert.deepEqual(whats(rows(all)), ["delete port t1 (it is not bound, or its device is gone)"]);
  });

  it("a port whose device is another one goes in one plan and comes in the next", () => {
    const devices = new Map([["t1", 6]]);
    assert.deepEqual(whats(rows([TUNNEL, tap("t1", 5)]), { devices }), [
      "delete port t1 (its device is another one now)",
    ]);
    assert.deepEqual(whats(rows([TUNNEL]), { devices }), ["add port t1"]);
    const retyped = [TUNNEL, { ...tap("t1", 6), type: "tap" }];
    assert.deepEqual(whats(rows(retyped), { devices }), ["delete port t1 (its type was changed)"]);
  });

  it("a port that somebody else added is used as it is, and never deleted", () => {
    assert.deepEqual(whats(rows([TUNNEL, { name: "t1", ofport: 3 }]), { devices: new Map([["t1", 5]]) }), []);
    assert.deepEqual(whats(rows([TUNNEL, { name: "t1", ofport: 3 }])), []);
  });

  it("an interface that is a port of another bridge is said, and does not keep the others out", () => {
    const other = rows([TUNNEL, { name: "t1" }], { ports: ["set", [["uuid", id(100)]]] });
    const devices = new Map([
      ["t1", 5],
      ["t2", 6],
    ]);
    const plan = planSwitch(other, { ...DESIRED, devices });
    assert.deepEqual(
      plan.changes.map((c) => c.what),
      ["add port t2"],
    );
    assert.match(plan.blocked.join(), /^interface t1, which is a port of another bridge/);
  });

  it("names of one transaction never meet", () => {
    const devices = new Map(Array.from({ length: 50 }, (_, i) => [`t${i}`, i + 1] as const));
    const operations = planSwitch(rows([]), { ...DESIRED, devices }).changes.flatMap((c) => c.operations);
    const names = operations.flatMap((o) => (o.op === "insert" ? [o["uuid-name"]] : []));
    assert.equal(names.length, 102);
    assert.equal(new Set(names).size, 102);
  });
});

describe("choice of the datapath", () => {
  const fresh = (types: readonly string[]): SwitchRows => rows([], { name: "br-other" }, types);

  it("is the kernel's where module and daemon have it, else userspace", () => {
    const choose = (types: readonly string[], module: boolean): string | undefined =>
      chooseDatapath("auto", fresh(types), "br-int", module)?.type;
    assert.equal(choose(["netdev", "system"], true), "system");
    // The daemon lists "system" without the module, too.
    assert.equal(choose(["netdev", "system"], false), "netdev");
    assert.equal(choose(["netdev"], true), "netdev");
    assert.equal(choose([], true), undefined, "the daemon has not said anything yet");
  });

  it("is left as it is on a bridge that works", () => {
    assert.equal(chooseDatapath("auto", rows([TUNNEL]), "br-int", true)?.type, "netdev");
    assert.equal(chooseDatapath("auto", rows([TUNNEL], { datapath_type: "" }), "br-int", false)?.type, "system");
    const broken = rows([{ ...TUNNEL, ofport: -1 }], { datapath_type: "system" });
    assert.equal(chooseDatapath("auto", broken, "br-int", false)?.type, "netdev");
  });

  it("is what was configured", () => {
    assert.deepEqual(chooseDatapath("system", fresh([]), "br-int", false), { type: "system", because: "configured" });
  });
});

describe("reports of ports", () => {
  it("says what differs: gone first, then new and changed; nothing new while the numbers are old", () => {
    const reporter = new PortReporter("br-int");
    const said = (from: SwitchRows, bound: readonly string[] | null, settled: boolean): string[] =>
      reporter.changes(from, bound, settled).map(([name, port]) => `${name} ${port?.ofport ?? "gone"}`);
    const both = rows([TUNNEL, tap("t1", 5), { name: "x1", ofport: 3 }]);
    assert.deepEqual(said(both, null, false), []);
    assert.deepEqual(said(both, null, true), ["midotrace-vxlan 65000", "t1 5"]);
    assert.deepEqual(said(both, null, true), []);
    assert.deepEqual(said(both, ["x1"], true), ["t1 gone", "x1 3"]);
    const changed = rows([TUNNEL, { name: "x1", ofport: 4 }]);
    assert.deepEqual(said(changed, ["x1"], false), []);
    assert.deepEqual(said(rows([{ name: "x1", ofport: 4 }]), ["x1"], false), ["midotrace-vxlan gone"]);
    assert.deepEqual(said(changed, ["x1"], true), ["midotrace-vxlan 65000", "x1 4"]);
    assert.deepEqual(said(rows([TUNNEL, { name: "x1", ofport: -1 }]), ["x1"], true), [], "no number is no news");
  });
});
