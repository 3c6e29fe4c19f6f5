import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { inspectTree, NsdbTree, readTree, type TreeNode } from "#core/nsdb";
import { NO_ID, openRig } from "./rig.ts";
import { world, type World } from "./world.ts";

/** A store's content that can be spoilt. */
class Spoilt {
  readonly nodes: Map<string, TreeNode>;

  constructor(tree: NsdbTree) {
    this.nodes = new Map([...tree.nodes()].map((n) => [n.path, n]));
  }

  /** Changes the record at the path. */
  edit(path: string, changes: Readonly<Record<string, unknown>>): this {
    const node = this.nodes.get(path) ?? assert.fail(`no ${path}`);
    const { data, version } = JSON.parse(node.data) as { readonly data: object; readonly version: string };
    return this.put(path, JSON.stringify({ data: { ...data, ...changes }, version }));
  }

  put(path: string, data = ""): this {
    this.nodes.set(path, { path, data, ephemeral: false });
    return this;
  }

  drop(path: string): this {
    assert.ok(this.nodes.has(path), `no ${path}`);
    for (const below of this.nodes.keys()) if (below === path || below.startsWith(`${path}/`)) this.nodes.delete(below);
    return this;
  }
}

describe("the checker of a store finds", () => {
  let tree: NsdbTree;
  let w: World;
  before(async () => {
    const rig = await openRig();
    w = await world(rig.nsdb);
    await rig.nsdb.state.setAlive(w.h);
    ({ tree } = await readTree(rig.store));
    await rig.stop();
  });

  const ruleOf = (trace: keyof World["traces"]): string => w.traces[trace].enabledRule ?? assert.fail();
  const chainOf = (trace: keyof World["traces"]): string => w.traces[trace].enabledChain ?? assert.fail();
  const id = (record: { readonly id: string }): string => record.id;

  it("nothing in a sound one", async () => {
    assert.deepEqual((await inspectTree(tree)).findings, []);
  });

  const wrongs: readonly (readonly [string, RegExp, (s: Spoilt) => void])[] = [
    ["a request whose rule is gone", /does not agree/, (s) => s.drop(`/rules/${ruleOf("bridge")}`)],
    [
      "a rule whose request is disabled",
      /belongs to no enabled request/,
      (s) => s.edit(`/traces/${id(w.traces.bridge)}`, { enabledRule: null, enabledChain: null }),
    ],
    ["a rule whose request is gone", /belongs to no enabled request/, (s) => s.drop(`/traces/${id(w.traces.bridge)}`)],
    [
      "a request that is half enabled",
      /half enabled/,
      (s) => s.edit(`/traces/${id(w.traces.bridge)}`, { enabledChain: null }),
    ],
    ["a rule with another limit", /does not agree/, (s) => s.edit(`/rules/${ruleOf("vm")}`, { limit: "7" })],
    ["a rule with another condition", /does not agree/, (s) => s.edit(`/rules/${ruleOf("vm")}`, { condition: {} })],
    ["a rule for another device", /does not agree/, (s) => s.edit(`/rules/${ruleOf("vm")}`, { deviceId: id(w.b) })],
    [
      "a rule that is not in the infilter",
      /is not the infilter/,
      (s) => s.edit(`/routers/${id(w.r)}`, { inboundFilterId: id(w.filter) }),
    ],
    [
      "a request on nothing",
      /which does not exist/,
      (s) => s.edit(`/traces/${id(w.traces.down)}`, { deviceId: NO_ID }),
    ],
    [
      "a request that its device does not list",
      /\/traces has \[\]/,
      (s) => s.drop(`/ports/${id(w.down)}/traces/${id(w.traces.down)}`),
    ],
    [
      "a made chain without a trace rule",
      /has no trace rule/,
      (s) => s.edit(`/chains/${chainOf("vm")}/rules`, { ruleList: [] }),
    ],
    ["an orphan of a made chain", /nobody's infilter/, (s) => s.edit(`/ports/${id(w.vm)}`, { inboundFilterId: null })],
    ["a link with one end", /one-sided/, (s) => s.edit(`/ports/${id(w.up)}`, { peerId: null })],
    ["a link to somebody else", /one-sided/, (s) => s.edit(`/ports/${id(w.up)}`, { peerId: id(w.vm) })],
    ["a link to nothing", /one-sided/, (s) => s.edit(`/ports/${id(w.up)}`, { peerId: NO_ID })],
    [
      "a tunnel key that two ports have",
      /have one tunnel key/,
      (s) => s.edit(`/ports/${id(w.up)}`, { tunnelKey: w.vm.tunnelKey }),
    ],
    [
      "a tunnel key of nobody",
      /tunnel_keys has/,
      (s) => s.put("/tunnel_keys/77", JSON.stringify({ data: { ownerId: id(w.vm) }, version: "1" })),
    ],
    [
      "a tunnel key that says another owner",
      /is not of port/,
      (s) => s.edit(`/tunnel_keys/${w.vm.tunnelKey}`, { ownerId: NO_ID }),
    ],
    [
      "a rule that no chain lists",
      /is in no list/,
      (s) => s.edit(`/chains/${id(w.target)}/rules`, { ruleList: [ruleOf("router")] }),
    ],
    [
      "a rule that is listed twice",
      /listed twice/,
      (s) => s.edit(`/chains/${id(w.target)}/rules`, { ruleList: [ruleOf("router"), id(w.rule), id(w.rule)] }),
    ],
    ["a rule of another chain", /not its own/, (s) => s.edit(`/rules/${id(w.rule)}`, { chainId: id(w.filter) })],
    [
      "a filter that does not exist",
      /refers to chain/,
      (s) => s.edit(`/bridges/${id(w.b)}`, { outboundFilterId: NO_ID }),
    ],
    [
      "a chain that does not know who uses it",
      /refs has/,
      (s) => s.drop(`/chains/${id(w.target)}/refs/rule:${id(w.jump)}`),
    ],
    [
      "a chain that names who does not use it",
      /refs has/,
      (s) => s.put(`/chains/${id(w.target)}/refs/port:${id(w.up)}`),
    ],
    ["a jump to nothing", /refers to chain/, (s) => s.edit(`/rules/${id(w.jump)}`, { jumpChainId: NO_ID })],
    ["a port of nothing", /which does not exist/, (s) => s.edit(`/ports/${id(w.vm)}`, { deviceId: NO_ID })],
    ["a port that its device does not list", /\/ports has/, (s) => s.drop(`/bridges/${id(w.b)}/ports/${id(w.up)}`)],
    [
      "a binding that its host does not list",
      /vrnMappings\/ports has/,
      (s) => s.drop(`/hosts/${w.h}/vrnMappings/ports/${id(w.vm)}`),
    ],
    [
      "a binding by another interface",
      /names another interface/,
      (s) => s.edit(`/ports/${id(w.vm)}`, { interfaceName: "f" }),
    ],
    ["a route of no router", /is of no router/, (s) => s.edit(`/routes/${id(w.route)}`, { routerId: NO_ID })],
    [
      "a route that its port does not list",
      /\/routes has/,
      (s) => s.drop(`/ports/${id(w.down)}/routes/${id(w.route)}`),
    ],
    [
      "a member that does not know it",
      /port_groups has/,
      (s) => s.drop(`/ports/${id(w.vm)}/port_groups/${id(w.group)}`),
    ],
    [
      "a member that does not exist",
      /which does not exist/,
      (s) => s.put(`/port_groups/${id(w.group)}/ports/${NO_ID}`),
    ],
    [
      "a persistent MAC of a port that is gone",
      /no port of the bridge/,
      (s) => s.edit(`/bridges/${id(w.b)}/static_macs/0,02:00:00:00:00:01`, { portId: NO_ID }),
    ],
    [
      "a persistent MAC of another device's port",
      /no port of the bridge/,
      (s) => s.edit(`/bridges/${id(w.b)}/static_macs/0,02:00:00:00:00:01`, { portId: id(w.down) }),
    ],
    [
      "a request that the index of its tenant lacks",
      /not in the index/,
      (s) => s.drop(`/tenants/tenant-1/traces/${id(w.traces.vm)}`),
    ],
    [
      "a request in the index of another tenant",
      /no trace request of the tenant/,
      (s) =>
        s
          .put("/tenants/blue")
          .put("/tenants/blue/traces")
          .put(`/tenants/blue/traces/${id(w.traces.vm)}`),
    ],
    [
      "a request in an index that does not exist",
      /no trace request of the tenant/,
      (s) => s.put(`/tenants/tenant-1/traces/${NO_ID}`),
    ],
    [
      "a device that changed hands without its requests",
      /not in the index/,
      (s) => s.edit(`/routers/${id(w.r)}`, { tenantId: "blue" }),
    ],
    ["a node that nobody knows", /is not known/, (s) => s.put("/nonsense/here")],
    ["a record that cannot be read", /malformed data/, (s) => s.put(`/bridges/${id(w.b)}`, "{")],
    ["a record with another id", /holds the bridge/, (s) => s.edit(`/bridges/${id(w.b)}`, { id: NO_ID })],
    ["a field that is not valid", /asNumber/, (s) => s.edit(`/routers/${id(w.r)}`, { asNumber: -1 })],
  ];
  for (const [what, finding, spoil] of wrongs)
    it(what, async () => {
      const spoilt = new Spoilt(tree);
      spoil(spoilt);
      const { findings } = await inspectTree(new NsdbTree(spoilt.nodes.values()));
      assert.ok(
        findings.some((f) => finding.test(f)),
        findings.join("\n") || "nothing",
      );
    });
});
