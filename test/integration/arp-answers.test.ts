/** Switches answer VMs that ask for their gateways, as the agent has answered before; ADR 0005. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EmbeddedSession } from "#adapters/nsdb-embedded";
import { type BridgeId, type RouterId, writeU48 } from "#core/base";
import { buildArpRequest, type Ipv4, type Mac, MAC_BROADCAST, parseMac, pushVlan } from "#core/packets";
import type { Condition } from "#core/topology";
import { MAX_NEIGHBOURS_PER_ROUTER } from "../../src/apps/agent/learned-tables.ts";
import { type Cluster, type ClusterPlan, ip, routedPlan } from "../support/cluster.ts";
import { ingressOf, onCluster, portNamed } from "../support/cluster-kit.ts";

const GATEWAY = "10.0.1.1";
const ROUTER_MAC = parseMac("ac:ca:ba:00:00:01") as Mac;
const RED_1 = { senderMac: parseMac("02:00:00:00:00:01") as Mac, senderIp: ip("10.0.1.10") };
const ARP: Condition = { dlType: 0x0806 };

const request = (to: Mac = MAC_BROADCAST, sender = RED_1): Uint8Array =>
  buildArpRequest({ ...sender, targetIp: ip(GATEWAY), ethDst: to });
const toRouter = (): Uint8Array => request(ROUTER_MAC);

/** What red-1 got for its frame, and how many packets came up to the agent for it. */
async function ask(c: Cluster, frame: Uint8Array): Promise<{ replies: string[]; upcalls: number }> {
  const got = c.got("red-1").length;
  const { upcalls } = c.switch("h1").stats();
  c.inject("red-1", frame);
  await c.settle(20);
  const replies = c.got("red-1").slice(got);
  return {
    replies: replies.map((f) => Buffer.from(f).toString("hex")),
    upcalls: c.switch("h1").stats().upcalls - upcalls,
  };
}

/** red-1 has asked, and the agent has answered. @returns the reply. */
async function askedOnce(c: Cluster): Promise<string> {
  const { replies, upcalls } = await ask(c, request());
  assert.equal(upcalls, 1);
  assert.equal(replies.length, 1);
  return replies[0] as string;
}

const bySwitch = (reply: string): { replies: string[]; upcalls: number } => ({ replies: [reply], upcalls: 0 });
const BY_NOBODY = { replies: [], upcalls: 1 };

async function chainThatDrops(c: Cluster, condition: Condition): Promise<string> {
  const chain = await c.admin.chains.create({ tenantId: "red" as never, name: "no-arp" });
  await c.admin.rules.create(chain.id, { type: "drop", condition, meterName: null });
  return chain.id;
}

describe("a VM that asks for its gateway again", () => {
  it("is answered by the switch with the same bytes, whether it asks everybody or the router", () =>
    onCluster(routedPlan(), async (c) => {
      const reply = await askedOnce(c);
      for (let i = 0; i < 3; i++) {
        assert.deepEqual(await ask(c, request()), bySwitch(reply));
        assert.deepEqual(await ask(c, toRouter()), bySwitch(reply));
      }
    }));

  it("is answered while the agent is away", () =>
    onCluster({ ...routedPlan(), keepForwarding: true }, async (c) => {
      const reply = await askedOnce(c);
      await c.killAgent("h1");
      await c.settle(60_000);
      assert.deepEqual((await ask(c, toRouter())).replies, [reply]);
      assert.deepEqual((await ask(c, request())).replies, [reply]);
    }));

  it("keeps what was learned from its first request", () =>
    onCluster(routedPlan(), async (c) => {
      await askedOnce(c);
      // Longer than a bridge remembers a MAC.
      for (let i = 0; i < 8; i++) {
        await c.settle(60_000);
        await ask(c, toRouter());
      }
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      assert.equal((await c.admin.state.macs(web, 0)).length, 1);
    }));
});

describe("a request that differs is the agent's to answer", () => {
  const others: readonly (readonly [string, () => Uint8Array])[] = [
    ["of another address", () => request(MAC_BROADCAST, { ...RED_1, senderIp: ip("10.0.1.11") })],
    ["of another MAC", () => request(MAC_BROADCAST, { ...RED_1, senderMac: parseMac("02:00:00:00:00:09") as Mac })],
    ["with a tag", () => pushVlan(request(), 7)],
    ["for nobody", () => request(parseMac("02:00:00:00:00:77") as Mac)],
    [
      "in the name of another",
      () => {
        const frame = request();
        writeU48(frame, 22, parseMac("02:00:00:00:00:09") as Mac);
        return frame;
      },
    ],
  ];
  for (const [name, frame] of others)
    it(name, () =>
      onCluster(routedPlan(), async (c) => {
        const reply = await askedOnce(c);
        assert.equal((await ask(c, frame())).upcalls, 1);
        assert.equal((await ask(c, request())).replies[0], reply);
      }),
    );

  it("and so is every one of a sender that claims another's MAC", () =>
    onCluster(routedPlan(), async (c) => {
      const frame = request();
      writeU48(frame, 22, parseMac("02:00:00:00:00:09") as Mac);
      for (let i = 0; i < 3; i++) assert.equal((await ask(c, frame)).upcalls, 1);
    }));
});

/** The router's network is large enough for more neighbours than it keeps. */
function largePlan(): ClusterPlan {
  const plan = routedPlan();
  const [router, ...rest] = plan.topology["routers"] as { ports: { name: string }[] }[];
  const ports = router?.ports.map((p) => (p.name === "to-web" ? { ...p, address: `${GATEWAY}/16` } : p));
  return { ...plan, topology: { ...plan.topology, routers: [{ ...router, ports }, ...rest] } };
}

describe("a machine that claims any number of addresses", () => {
  it("gets answers for as many as the router keeps", () =>
    onCluster(largePlan(), async (c) => {
      const before = c.agent("h1").counters().flows;
      const claimed = MAX_NEIGHBOURS_PER_ROUTER + 100;
      for (let n = 0; n < claimed; n++) {
        c.inject("red-1", request(MAC_BROADCAST, { ...RED_1, senderIp: (ip("10.0.2.0") + n) as Ipv4 }));
        if (n % 4_000 === 3_999) await c.settle(5);
      }
      await c.settle();
      assert.equal(c.got("red-1").length, claimed, "all are answered");
      assert.equal(c.agent("h1").counters().flows - before, 2 * MAX_NEIGHBOURS_PER_ROUTER);
    }));
});

describe("an answer ends with what it rests on", () => {
  const changes: readonly (readonly [string, (c: Cluster) => Promise<unknown>])[] = [
    [
      "the router is switched off",
      async (c) =>
        c.admin.routers.update((await c.deviceNamed("routers", "router")) as RouterId, { adminStateUp: false }),
    ],
    [
      "the router's port is switched off",
      async (c) => c.admin.ports.update((await portNamed(c, "to-web")).id, { adminStateUp: false }),
    ],
    [
      "the VM's port is switched off",
      async (c) => c.admin.ports.update((await portNamed(c, "red-1")).id, { adminStateUp: false }),
    ],
    [
      "requests are dropped on their way",
      async (c) =>
        c.admin.bridges.update((await c.deviceNamed("bridges", "web")) as BridgeId, {
          inboundFilterId: (await chainThatDrops(c, { ...ARP, nwProto: 1 })) as never,
        }),
    ],
    [
      "replies are dropped on their way",
      async (c) =>
        c.admin.bridges.update((await c.deviceNamed("bridges", "web")) as BridgeId, {
          inboundFilterId: (await chainThatDrops(c, { ...ARP, nwProto: 2 })) as never,
        }),
    ],
    [
      "replies are dropped at the VM's port",
      async (c) =>
        c.admin.ports.update((await portNamed(c, "red-1")).id, {
          outboundFilterId: (await chainThatDrops(c, { dlSrc: "ac:ca:ba:00:00:01" })) as never,
        }),
    ],
    ["the router is unplugged", async (c) => c.admin.ports.unlink((await portNamed(c, "to-web")).id)],
  ];
  for (const [name, change] of changes)
    it(name, () =>
      onCluster(routedPlan(), async (c) => {
        await askedOnce(c);
        await change(c);
        await c.settle();
        assert.deepEqual(await ask(c, request()), BY_NOBODY);
        assert.deepEqual((await ask(c, toRouter())).replies, []);
      }),
    );

  it("a rule comes into a chain that only replies pass", () =>
    onCluster(routedPlan(), async (c) => {
      const chain = await c.admin.chains.create({ name: "to-red-1" });
      const nothing = { type: "drop", condition: { nwProto: 17 }, meterName: null } as const;
      await c.admin.rules.create(chain.id, nothing);
      await c.admin.ports.update((await portNamed(c, "red-1")).id, { outboundFilterId: chain.id });
      const reply = await askedOnce(c);
      assert.deepEqual(await ask(c, toRouter()), bySwitch(reply));
      await c.admin.rules.create(chain.id, { ...nothing, condition: ARP });
      await c.settle();
      for (const frame of [request(), toRouter()]) assert.deepEqual(await ask(c, frame), BY_NOBODY);
    }));

  it("what the request met changes while its reply waits", () => {
    let jumped = "";
    const gate = Promise.withResolvers<void>();
    /** h1 is not told of the chain that replies jump into before the gate opens. */
    const parts = (host: string, session: EmbeddedSession) => {
      const getMany = async (paths: readonly string[]) => {
        if (jumped !== "" && paths.some((path) => path.includes(jumped))) await gate.promise;
        return session.getMany(paths);
      };
      const store = new Proxy(session, {
        get: (of, name) => {
          if (name === "getMany") return getMany;
          const value: unknown = Reflect.get(of, name, of);
          return typeof value === "function" ? (value.bind(of) as unknown) : value;
        },
      });
      return Promise.resolve(host === "h1" ? { store } : {});
    };
    return onCluster({ ...routedPlan(), parts }, async (c) => {
      // Replies wait twice: for the far chain, and then, while the change is read, for the farther one.
      const [near, far, farther] = [
        await c.admin.chains.create({ name: "near" }),
        await c.admin.chains.create({ name: "far" }),
        await c.admin.chains.create({ name: "farther" }),
      ];
      await c.admin.rules.create(farther.id, { type: "drop", condition: { nwProto: 17 }, meterName: null });
      for (const [from, to] of [
        [far, farther],
        [near, far],
      ] as const)
        await c.admin.rules.create(from.id, { type: "jump", jumpChainId: to.id, condition: ARP, meterName: null });
      jumped = far.id;
      await c.admin.ports.update((await portNamed(c, "red-1")).id, { outboundFilterId: near.id });
      c.inject("red-1", request());
      await c.time.advance(50);
      assert.equal(c.got("red-1").length, 0, "the reply waits");
      await c.admin.bridges.update((await c.deviceNamed("bridges", "web")) as BridgeId, {
        inboundFilterId: (await chainThatDrops(c, { ...ARP, nwProto: 1 })) as never,
      });
      await c.time.advance(200);
      gate.resolve();
      await c.settle();
      assert.equal(c.got("red-1").length, 1, "it has come");
      for (const frame of [request(), toRouter()]) assert.deepEqual((await ask(c, frame)).replies, []);
    });
  });

  it("another VM answers for the address: the router hears of both", () =>
    onCluster(routedPlan(), async (c) => {
      await askedOnce(c);
      const other = { senderMac: parseMac("02:00:00:00:00:03") as Mac, senderIp: RED_1.senderIp };
      c.inject("red-3", request(MAC_BROADCAST, other));
      await c.settle();
      assert.equal((await ask(c, toRouter())).upcalls, 1);
      const router = (await c.deviceNamed("routers", "router")) as RouterId;
      assert.deepEqual(
        (await c.admin.state.arp(router)).map((e) => e.mac),
        ["02:00:00:00:00:01"],
      );
    }));
});

describe("with a trace enabled", () => {
  for (const [what, device, condition] of [
    ["requests", "bridges", { ...ARP, nwProto: 1 }],
    ["replies", "bridges", { ...ARP, nwProto: 2 }],
    ["requests at the router", "routers", ARP],
  ] as const)
    it(`${what} it is to see come up, those before it and those after`, () =>
      onCluster(routedPlan(), async (c) => {
        const reply = await askedOnce(c);
        const type = device === "bridges" ? "BRIDGE" : "ROUTER";
        const id = await c.trace(type, await c.deviceNamed(device, device === "bridges" ? "web" : "router"), condition);
        for (const frame of [toRouter(), request(), toRouter(), request()])
          assert.deepEqual(await ask(c, frame), { replies: [reply], upcalls: 1 });
        assert.ok(c.segments.length > 0, "traced");
        await c.admin.traces.disable(id);
        await c.settle();
        await ask(c, request());
        assert.deepEqual(await ask(c, toRouter()), bySwitch(reply));
      }));

  it("of other packets the switch answers on", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), { nwProto: 17 });
      const reply = await askedOnce(c);
      assert.deepEqual(await ask(c, toRouter()), bySwitch(reply));
      assert.deepEqual(ingressOf(c), []);
    }));
});
