import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { bindingTag, deviceTag, floodTag, routeTag, routingTag } from "#core/flows";
import {
  diffBridge,
  diffChain,
  diffGroup,
  diffPort,
  diffRouter,
  effectiveEmptiness,
  firstRulesAppeared,
} from "#core/topology";
import { infilterUsersTags, TopologySnapshot } from "#core/topology";
import { TopologyBuilder } from "../../support/topology-builder.ts";

function base(): TopologyBuilder {
  const t = new TopologyBuilder();
  t.bridge("br").port("br/p1", { host: "h1" }).port("br/p2", { host: "h2" });
  t.router("r").routerPort("r/p1", "10.0.1.1/24").link("br/up", "r/p1");
  t.route("r", { dst: "10.0.1.0/24", port: "p1" }).route("r", { dst: "0.0.0.0/0", type: "Reject" });
  t.chain("full", [{ type: "drop", condition: { nwProto: 6 } }]).chain("empty", []);
  t.routerPort("r/ext", "10.0.9.1/24", { host: "h1" }).host("h3");
  return t;
}

/** All tags between two versions of the whole topology. */
function changes(change: (t: TopologyBuilder) => void): { t: TopologyBuilder; tags: string[] } {
  const t = base();
  const old = t.snapshot();
  change(t);
  return { t, tags: between(t, old, t.snapshot()) };
}

function between(t: TopologyBuilder, old: TopologySnapshot, now: TopologySnapshot): string[] {
  const before = effectiveEmptiness((id) => old.chain(id));
  const after = effectiveEmptiness((id) => now.chain(id));
  const tags: string[] = [];
  for (const p of new Set([...old.allPorts(), ...now.allPorts()].map((x) => x.id)))
    tags.push(...diffPort(old.port(p), now.port(p), before, after));
  const bridge = t.bridgeId("br");
  tags.push(...diffBridge(old.bridge(bridge), now.bridge(bridge), before, after));
  tags.push(...diffRouter(old.router(t.routerId("r")), now.router(t.routerId("r")), before, after));
  for (const c of new Set([...old.allChains(), ...now.allChains()].map((x) => x.id)))
    tags.push(...diffChain(old.chain(c), now.chain(c)));
  return [...new Set(tags)].sort();
}

function expect(change: (t: TopologyBuilder) => void, tags: (t: TopologyBuilder) => string[]): void {
  const got = changes(change);
  assert.deepEqual(got.tags, tags(got.t).sort());
}

const portTag = (t: TopologyBuilder, name: string): string => deviceTag(t.portId(name));
const flood = (t: TopologyBuilder): string => floodTag(t.bridgeId("br"));
const routing = (t: TopologyBuilder): string => routingTag(t.routerId("r"));

describe("what a change makes stale", () => {
  test("nothing changed, or only a name", () => {
    expect(
      (t) => t.patchPort("br/p1", { name: "other" }),
      () => [],
    );
  });

  test("port: admin state, filter, VLAN", () => {
    for (const fields of [{ adminStateUp: false }, { outboundFilterId: base().chainId("empty") }, { vlanId: 7 }])
      expect(
        (t) => t.patchPort("br/p1", fields),
        (t) => [portTag(t, "br/p1")],
      );
  });

  test("port: place and activity touch its binding and its bridge's floods", () => {
    for (const change of [
      (t: TopologyBuilder) => t.setActive("br/p1", false),
      (t: TopologyBuilder) => t.patchPort("br/p1", { interfaceName: "other" }),
      (t: TopologyBuilder) => t.patchPort("br/p1", { tunnelKey: 99 }),
      (t: TopologyBuilder) => t.patchPort("br/p1", { hostId: t.hostId("h3") }),
    ])
      expect(change, (t) => [bindingTag(t.portId("br/p1")), flood(t)]);
  });

  test("router port going down: its routes vanish; coming up: they are new", () => {
    const down = (t: TopologyBuilder) => t.setActive("r/ext", false);
    expect(down, (t) => [bindingTag(t.portId("r/ext")), routing(t), routeTag(t.routeId("r", 3))]);
    const t = down(base());
    const old = t.snapshot();
    assert.deepEqual(
      between(t, old, t.setActive("r/ext", true).snapshot()),
      [bindingTag(t.portId("r/ext")), routing(t)].sort(),
    );
  });

  test("port groups", () => {
    expect(
      (t) => t.portGroup("g", ["br/p1"]),
      (t) => [portTag(t, "br/p1")],
    );
    assert.deepEqual(diffGroup("g", new Set([1]), new Set([1])), []);
    assert.deepEqual(diffGroup("g", new Set([1]), new Set([2])), ["dev:g"]);
    assert.deepEqual(diffGroup("g", null, new Set([2])), ["dev:g"]);
    assert.deepEqual(diffGroup("g", null, new Set<string>()), []);
  });

  test("an unplugged port appears; a bound one changes the flood set, too", () => {
    expect(
      (t) => t.port("br/new"),
      (t) => [portTag(t, "br/new")],
    );
    expect(
      (t) => t.port("br/new", { host: "h1" }),
      (t) => [portTag(t, "br/new"), bindingTag(t.portId("br/new")), flood(t)],
    );
  });

  test("bridge: flood set only, links, admin state", () => {
    const t = base();
    const old = t.snapshot();
    const now = t.port("br/new", { host: "h1" }).snapshot();
    const none = (): boolean => true;
    assert.deepEqual(diffBridge(old.bridge(t.bridgeId("br")), now.bridge(t.bridgeId("br")), none, none), [flood(t)]);
    expect(
      (t) => t.patch("br", { adminStateUp: false }),
      (t) => [deviceTag(t.bridgeId("br"))],
    );
    expect(
      (t) => t.patchPort("r/p1", { portMac: "ac:ca:ba:ff:ff:ff" } as object),
      (t) => [portTag(t, "r/p1"), deviceTag(t.bridgeId("br"))],
    );
  });

  test("bridge: VLAN ports and uplinks", () => {
    const none = (): boolean => true;
    const diff = (change: (t: TopologyBuilder) => TopologyBuilder): string[] => {
      const t = new TopologyBuilder().bridge("a").bridge("b").link("a/10", "b/up").port("a/x");
      const old = t.snapshot();
      const now = change(t).snapshot();
      return ["a", "b"].flatMap((n) => diffBridge(old.bridge(t.bridgeId(n)), now.bridge(t.bridgeId(n)), none, none));
    };
    const [a, b] = [new TopologyBuilder().bridgeId("a"), new TopologyBuilder().bridge("a").bridgeId("b")];
    assert.deepEqual(
      diff((t) => t.link("a/x", "b/y")),
      [deviceTag(a), deviceTag(b)],
      "an uplink more on both",
    );
    const linked = new TopologyBuilder().bridge("a").bridge("b").port("a/10", { vlan: 10 }).link("a/10", "b/up");
    const before = linked.snapshot().bridge(a);
    const after = linked.port("a/10", { vlan: 11 }).link("a/10", "b/up").snapshot().bridge(a);
    assert.deepEqual(diffBridge(before, after, none, none), [deviceTag(a)], "another VLAN");
  });

  test("routes: removed, added, changed", () => {
    expect(
      (t) => t.route("r", { dst: "10.5.0.0/16", type: "BlackHole" }),
      (t) => [routing(t)],
    );
    const t = base();
    const old = t.snapshot();
    const records = t.records();
    const reject = t.routeId("r", 2);
    const [removed, changed] = [
      records.routes.filter((r) => r.id !== reject),
      records.routes.map((r) => (r.id === reject ? { ...r, weight: 1 } : r)),
    ];
    const compile = (routes: typeof records.routes): TopologySnapshot =>
      TopologySnapshot.compile({ ...records, routes });
    assert.deepEqual(between(t, old, compile(removed)), [routeTag(reject)]);
    assert.deepEqual(between(t, old, compile(changed)), [routeTag(reject), routing(t)].sort());
  });

  test("chains: ordinary rules, their order and conditions; not their positions", () => {
    const two = [{ type: "drop", condition: { nwProto: 6 } }, { type: "accept" }] as const;
    expect(
      (t) => t.chain("full", two),
      (t) => [deviceTag(t.chainId("full"))],
    );
    expect(
      (t) => t.chain("full", [{ type: "drop", condition: { nwProto: 17 } }]),
      (t) => [deviceTag(t.chainId("full"))],
    );
    expect(
      (t) => t.chain("full", [{ type: "drop", condition: { nwProto: 6, nwTos: 0, invDlSrc: true } }]),
      () => [],
    );
  });

  test("enabling and disabling traces invalidates nothing, whatever the infilter", () => {
    expect(
      (t) => t.trace("a", "br", { nwProto: 6 }).trace("b", "r").trace("c", "br/p1"),
      () => [],
    );
    const t = base().patch("br", { inboundFilterId: base().chainId("full") });
    const old = t.snapshot();
    const now = t.trace("a", "br").trace("b", "br/p2").snapshot();
    assert.notEqual(now.bridge(t.bridgeId("br"))?.traces, null);
    assert.deepEqual(between(t, old, now), []);
    assert.deepEqual(between(t, now, old), [], "and back");
  });

  test("an infilter with rules, or one that is not known, is a change", () => {
    for (const chain of ["full", "missing"])
      expect(
        (t) => t.patch("br", { inboundFilterId: t.chainId(chain) }),
        (t) => [deviceTag(t.bridgeId("br"))],
      );
  });

  test("the first ordinary rule of a chain: its users must be invalidated as well", () => {
    const t = base()
      .trace("a", "br")
      .patch("br/p1", { inboundFilterId: base().chainId("empty") });
    const old = t.snapshot();
    const now = t.chain("empty", [{ type: "drop" }]).snapshot();
    const empty = t.chainId("empty");
    assert.equal(firstRulesAppeared(old.chain(empty), now.chain(empty)), true);
    assert.equal(firstRulesAppeared(now.chain(empty), now.chain(empty)), false);
    assert.equal(firstRulesAppeared(now.chain(empty), old.chain(empty)), false);
    assert.deepEqual(infilterUsersTags(empty, now.allPorts()), [portTag(t, "br/p1")]);
  });

  test("a device that appears or vanishes", () => {
    const t = base();
    const s = t.snapshot();
    const none = (): boolean => true;
    const [bridge, router] = [s.bridge(t.bridgeId("br")), s.router(t.routerId("r"))];
    assert.deepEqual(diffBridge(null, bridge, none, none), [deviceTag(t.bridgeId("br"))]);
    assert.deepEqual(diffRouter(router, null, none, none), [deviceTag(t.routerId("r"))]);
    assert.deepEqual(diffPort(null, null, none, none), []);
    assert.deepEqual(diffChain(null, s.chain(t.chainId("full"))), [deviceTag(t.chainId("full"))]);
    assert.deepEqual(diffChain(null, s.chain(t.chainId("empty"))), []);
  });
});
