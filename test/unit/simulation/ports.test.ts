import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildUdp } from "#core/packets";
import { MAX_TRAVERSALS } from "#core/simulation";
import { ip, mac, Scene } from "../../support/simulation-scene.ts";
import { type PortOptions, type RuleInput, TopologyBuilder } from "../../support/topology-builder.ts";

const A = "02:00:00:00:00:0a";
const B = "02:00:00:00:00:0b";
const R = "ac:ca:ba:00:00:01";

const udp = (to = B, dst = "10.0.1.11"): Uint8Array =>
  buildUdp({ ethSrc: mac(A), ethDst: mac(to), ipSrc: ip("10.0.1.10"), ipDst: ip(dst), srcPort: 1, dstPort: 2 });

/** a — bridge — b; B is learned on b. */
function pair(a: PortOptions = {}, b: PortOptions = {}): Scene {
  const t = new TopologyBuilder().bridge("b");
  return new Scene(t.port("b/a", { host: "h1", ...a }).port("b/b", { host: "h2", ...b })).at("b/b", B);
}

describe("a port", () => {
  it("tags the flow with both ports, the bridge, and the binding of the port it leaves by", () => {
    const s = pair();
    const { tags } = s.send("b/a", udp()).ctx;
    const [a, b] = [s.t.portId("b/a"), s.t.portId("b/b")];
    for (const tag of [`dev:${a}`, `dev:${b}`, `dev:${s.t.bridgeId("b")}`, `binding:${b}`])
      assert.ok(tags.includes(tag), tag);
  });

  it("of a bridge that is administratively down drops silently, in and out", () => {
    for (const s of [pair({ up: false }), pair({}, { up: false })]) {
      const o = s.send("b/a", udp());
      assert.equal(o.verdict, "dropped: port-admin-down");
      assert.deepEqual(o.ctx.generatedPackets, []);
    }
  });

  it("of a router that is administratively down tells the sender (3/13), when entered", () => {
    const t = new TopologyBuilder().router("r").routerPort("r/p", "10.0.1.1/24", { host: "h1", mac: R, up: false });
    const o = new Scene(t).send("r/p", udp(R));
    assert.equal(o.verdict, "dropped: port-admin-down");
    assert.deepEqual([...(o.ctx.generatedPackets[0]?.frame.subarray(34, 36) ?? [])], [3, 13]);
  });

  it("of a router that is administratively down tells the sender, when left from a router port", () => {
    const t = new TopologyBuilder().router("r").routerPort("r/p", "10.0.1.1/24", { host: "h1", mac: R });
    t.routerPort("r/q", "10.0.2.1/24", { host: "h1", up: false }).route("r", { dst: "10.0.2.0/24", port: "q" });
    const o = new Scene(t).neighbour("r", "10.0.2.9", B).send("r/p", udp(R, "10.0.2.9"));
    assert.equal(o.verdict, "dropped: port-admin-down");
    assert.equal(o.ctx.generatedPackets[0]?.port, t.portId("r/p"));
  });

  it("that is not up on its host takes nothing", () => {
    assert.equal(pair({}, { active: false }).send("b/a", udp()).verdict, "dropped: port-inactive");
  });

  it("without binding and link takes nothing, for a while", () => {
    const s = new Scene(new TopologyBuilder().bridge("b").port("b/a", { host: "h1" }).port("b/b")).at("b/b", B);
    assert.equal(s.send("b/a", udp()).verdict, "dropped: port-unplugged");
  });

  it("whose filter drops or rejects ends the packet without an ICMP error", () => {
    for (const [type, verdict] of [
      ["drop", "dropped: filter-drop"],
      ["reject", "rejected: filter-reject"],
    ] as const) {
      for (const filters of [
        { a: { inFilter: "c" }, b: {} },
        { a: {}, b: { outFilter: "c" } },
      ]) {
        const s = pair(filters.a, filters.b);
        s.t.chain("c", [{ type }]);
        const o = s.send("b/a", udp());
        assert.equal(o.verdict, verdict);
        assert.deepEqual(o.ctx.generatedPackets, []);
        assert.equal(o.of("chain-end")[0]?.decidedBy, "rule 1 of chain c");
      }
    }
  });

  it("remembers the groups of the first bound port for the whole way", () => {
    const s = pair({}, { outFilter: "c" });
    s.t.portGroup("g", ["b/a"]);
    s.t.chain("c", [{ type: "drop", condition: { portGroup: s.t.portGroupId("g") } }]);
    assert.equal(s.send("b/a", udp()).verdict, "dropped: filter-drop");
  });

  it("that does not exist ends the packet", () => {
    assert.equal(pair().send("b/nowhere", udp()).verdict, "dropped: device-missing");
  });

  it("begins a generated packet by leaving", () => {
    const o = pair().send("b/b", udp(), { generated: true });
    assert.equal(o.verdict, "delivered");
    assert.deepEqual(o.kinds(), ["packet-generated", "port-out"]);
  });
});

describe("the loop limit", () => {
  /** `count` routers in a row, the last with a bound port. */
  function row(count: number): Scene {
    const t = new TopologyBuilder();
    for (let n = 0; n < count; n++) {
      t.router(`r${n}`).routerPort(`r${n}/in`, `10.${n}.0.2/24`, n === 0 ? { host: "h1", mac: R } : {});
      t.routerPort(`r${n}/out`, `10.${n + 1}.0.1/24`, n === count - 1 ? { host: "h1" } : {});
      t.route(`r${n}`, { dst: "10.99.0.0/16", port: "out", gateway: `10.${n + 1}.0.2` });
      if (n > 0) t.link(`r${n - 1}/out`, `r${n}/in`);
    }
    return new Scene(t).neighbour(`r${count - 1}`, `10.${count}.0.2`, B);
  }

  it("lets a packet enter twelve devices", () => {
    assert.equal(MAX_TRAVERSALS, 12);
    const o = row(MAX_TRAVERSALS).send("r0/in", udp(R, "10.99.0.1"));
    assert.equal(o.verdict, "delivered");
    assert.equal(o.ctx.outputs[0]?.header.nwTtl, 64 - MAX_TRAVERSALS);
    assert.equal(o.of("next-hop").filter((s) => s.source === "linked-port").length, MAX_TRAVERSALS - 1);
  });

  it("ends it at the thirteenth", () => {
    const o = row(MAX_TRAVERSALS + 1).send("r0/in", udp(R, "10.99.0.1"));
    assert.equal(o.verdict, "error: loop-limit");
    assert.ok(o.ctx.shortLived);
  });

  it("ends a flood between bridges in a circle, after delivering what it can", () => {
    const t = new TopologyBuilder();
    for (const name of ["a", "b", "c"])
      t.bridge(name).port(`${name}/l`).port(`${name}/r`).port(`${name}/vm`, { host: "h1" });
    t.link("a/r", "b/l").link("b/r", "c/l").link("c/r", "a/l");
    const o = new Scene(t).send("a/vm", udp("ff:ff:ff:ff:ff:ff"));
    assert.equal(o.ctx.verdict, "flooded");
    assert.ok(o.of("drop").some((s) => s.reason === "loop-limit"));
    assert.ok(o.ctx.outputs.length < 1024);
  });
});

describe("chains", () => {
  const http: RuleInput["condition"] = { tpDst: { start: 80, end: 80 } };

  function filtered(chains: Readonly<Record<string, readonly RuleInput[]>>): ReturnType<Scene["send"]> {
    const s = pair({ inFilter: "main" });
    for (const [name, rules] of Object.entries(chains)) s.t.chain(name, rules);
    return s.send("b/a", udp());
  }

  it("without a decision accept", () => {
    const o = filtered({ main: [{ type: "drop", condition: http }] });
    assert.equal(o.verdict, "delivered");
    assert.equal(o.of("chain-end")[0]?.decidedBy, "the end of the chain");
  });

  it("say which field of a rule did not match, what it wanted and what the packet had", () => {
    const [rule] = filtered({ main: [{ type: "drop", condition: http }] }).of("rule");
    assert.deepEqual(
      [rule?.matched, rule?.failedField, rule?.wanted, rule?.had, rule?.position],
      [false, "tpDst", "80", "2", 1],
    );
  });

  it("go on behind a jump whose target returned, and stop at a return of their own", () => {
    const sub = { sub: [{ type: "return" as const }, { type: "drop" as const }] };
    assert.equal(filtered({ main: [{ type: "jump", to: "sub" }], ...sub }).verdict, "delivered");
    assert.equal(
      filtered({ main: [{ type: "jump", to: "sub" }, { type: "drop" }], ...sub }).verdict,
      "dropped: filter-drop",
    );
    const o = filtered({ main: [{ type: "return" }, { type: "drop" }] });
    assert.equal(o.verdict, "delivered");
    assert.equal(o.of("chain-end")[0]?.decidedBy, "a return at top level");
  });

  it("say where they jump, to a chain without rules too, and where they go on", () => {
    const o = filtered({ main: [{ type: "jump", to: "sub" }, { type: "accept" }], sub: [] });
    const said = o.steps.flatMap((x) => ("chainName" in x ? [`${x.kind} ${x.chainName}`] : []));
    assert.deepEqual(said, [
      "chain-start main",
      "rule main",
      "chain-jump sub",
      "chain-return main",
      "rule main",
      "chain-end main",
    ]);
    assert.equal(o.of("chain-jump")[0]?.ruleCount, 0);
    assert.equal(o.of("chain-return")[0]?.position, 1);
  });

  it("decide for their caller", () => {
    const o = filtered({ main: [{ type: "jump", to: "sub" }], sub: [{ type: "drop" }] });
    assert.equal(o.verdict, "dropped: filter-drop");
    assert.equal(o.of("chain-end")[0]?.decidedBy, "rule 1 of chain sub");
  });

  it("visit a chain once, even where two jumps meet without a loop (diamond)", () => {
    const jump = (to: string): RuleInput => ({ type: "jump", to });
    const o = filtered({ main: [jump("left"), jump("right")], left: [jump("end")], right: [jump("end")], end: [] });
    assert.equal(o.verdict, "delivered");
    assert.equal(o.of("rule-problem").length, 1);
    assert.match(o.of("rule-problem")[0]?.problem ?? "", /visited already/);
  });

  it("do not loop", () => {
    const o = filtered({ main: [{ type: "jump", to: "sub" }], sub: [{ type: "jump", to: "main" }] });
    assert.equal(o.verdict, "delivered");
    assert.equal(o.of("rule-problem").length, 1);
  });

  it("may jump ten deep and no deeper", () => {
    const nest = (depth: number): Record<string, RuleInput[]> =>
      Object.fromEntries(
        Array.from({ length: depth + 1 }, (_, n) => [
          n === 0 ? "main" : `c${n}`,
          n === depth ? [] : [{ type: "jump", to: `c${n + 1}` }],
        ]),
      );
    assert.equal(filtered(nest(10)).verdict, "delivered");
    const o = filtered(nest(11));
    assert.equal(o.verdict, "error: rule-jump-depth");
    assert.ok(o.ctx.shortLived);
  });

  it("pass over a jump to a chain that does not exist, and depend on it", () => {
    const s = pair({ inFilter: "main" });
    s.t.chain("main", [{ type: "jump", to: "missing" }]);
    const o = s.send("b/a", udp());
    assert.equal(o.verdict, "delivered");
    assert.ok(o.ctx.tags.includes(`dev:${s.t.chainId("missing")}`));
  });

  it("that do not exist accept, and the flow depends on them", () => {
    const s = pair({ inFilter: "main" });
    const o = s.send("b/a", udp());
    assert.equal(o.verdict, "delivered");
    assert.equal(o.of("filter-skipped")[0]?.because, "the chain does not exist");
    assert.ok(o.ctx.tags.includes(`dev:${s.t.chainId("main")}`));
  });

  it("pass over NAT rules and say so", () => {
    const o = filtered({ main: [{ type: "snat" }] });
    assert.equal(o.verdict, "delivered");
    assert.match(o.of("rule-problem")[0]?.problem ?? "", /NAT/);
  });

  it("pass over rules that change frames on layer 2, and say so", () => {
    const o = filtered({ main: [{ type: "l2_transform" }] });
    assert.equal(o.verdict, "delivered");
    assert.match(o.of("rule-problem")[0]?.problem ?? "", /not carried out/);
  });

  it("tag the flow with the meter of a rule that matched", () => {
    const o = filtered({ main: [{ type: "accept", meter: "m" }] });
    assert.ok(o.ctx.tags.includes("user:m"));
  });
});
