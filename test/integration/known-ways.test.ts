/** New conversations between machines that have talked before: their first packets are not simulated; ADR 0018. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type BridgeId, writeU16 } from "#core/base";
import { buildArpRequest, buildUdp, decodeFrame, MAC_BROADCAST, type Mac } from "#core/packets";
import type { Condition } from "#core/topology";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import {
  assertComplete,
  assertDropped,
  GATEWAY,
  ingressOf,
  onCluster,
  portNamed,
  routerOf,
  SILENT,
  stepsOf,
  udpFrom,
} from "../support/cluster-kit.ts";

const RED_2 = 0x02_00_00_00_00_02 as Mac;
const RED_3 = { mac: 0x02_00_00_00_00_03, ip: "10.0.1.30" };
const FORBIDDEN = { start: 52_000, end: 52_099 };
/** Longer than an unused flow stays, shorter than a MAC is remembered. */
const IDLE_MS = 70_000;

/** Of red-1's packets both ports are asked for, so that no flow serves two conversations. */
function portsPlan(): ClusterPlan {
  const plan = routedPlan({
    chains: [
      {
        name: "ports",
        tenant: "red",
        rules: [
          { type: "drop", match: "udp and src port 9" },
          { type: "drop", match: `udp and dst portrange ${FORBIDDEN.start}-${FORBIDDEN.end}` },
        ],
      },
    ],
  });
  const bridges = plan.topology["bridges"] as { name: string; ports: { name: string }[] }[];
  const spare = { name: "spare", bind: { host: "h1", interface: "tap-spare" } };
  const filtered = bridges.map((b) => ({
    ...b,
    ports: [
      ...b.ports.map((p) => (p.name === "red-1" ? { ...p, inFilter: "ports" } : p)),
      ...(b.name === "web" ? [spare] : []),
    ],
  }));
  return {
    ...plan,
    topology: {
      ...plan.topology,
      bridges: [...filtered, { name: "island", tenant: "red", ports: [{ name: "lone" }] }],
    },
    vms: [...plan.vms, vmPlan("spare", "h1", "02:00:00:00:00:04", "10.0.1.40", "10.0.1.1")],
  };
}

/** On the plan, with every device loaded and all neighbours known. */
const onPorts = (work: (c: Cluster) => Promise<void>, more: Partial<ClusterPlan> = {}): Promise<void> =>
  onCluster({ ...portsPlan(), ...more }, async (c) => {
    await c.during(c.vm("red-1").ping(ip(GATEWAY.ip), { id: 1 }));
    await c.during(c.vm("red-1").ping(ip(RED_3.ip), { id: 2 }));
    await work(c);
  });

/** A frame's fate: what decided it at h1, how many flows it got there, and who received it. */
interface Fate {
  readonly by: string;
  readonly flows: number;
  readonly at: string;
}

async function fateOf(c: Cluster, frame: Uint8Array): Promise<Fate> {
  const read = () => ({ ...c.agent("h1").counters(), hits: c.switch("h1").stats().hits });
  const before = read();
  const got = new Map([...c.received].map(([vm, frames]) => [vm, frames.length]));
  c.inject("red-1", frame);
  await c.settle(100);
  const after = read();
  const decided = [
    ...Array.from({ length: after.simulated - before.simulated }, () => "simulation"),
    ...Array.from({ length: after.alike - before.alike }, () => "known way"),
    ...Array.from({ length: after.hits - before.hits }, () => "switch"),
  ];
  return {
    by: decided.join(", "),
    flows: after.flowsInstalled - before.flowsInstalled,
    at: [...c.received].flatMap(([vm, frames]) => frames.slice(got.get(vm) ?? 0).map(() => vm)).join(", "),
  };
}

const frameOf = (c: Cluster, sport: number, dport = SILENT, to: { mac: number; ip: string } = GATEWAY): Uint8Array =>
  udpFrom(c, "red-1", to, { sport, dport, payload: Uint8Array.from({ length: 40 }, (_, i) => i ^ (sport & 255)) });

const simulated = (at: string): Fate => ({ by: "simulation", flows: 1, at });
const alike = (at: string): Fate => ({ by: "known way", flows: 1, at });
const switched = (at: string): Fate => ({ by: "switch", flows: 0, at });

describe("a second conversation between two machines", () => {
  for (const [how, to, at] of [
    ["routed", GATEWAY, "red-2"],
    ["bridged", RED_3, "red-3"],
  ] as const)
    it(`${how}, is not simulated, arrives as the first, and has a flow of its own`, () =>
      onPorts(async (c) => {
        const [first, second] = [frameOf(c, 1_001, SILENT, to), frameOf(c, 1_002, SILENT, to)];
        assert.deepEqual(await fateOf(c, first), simulated(at));
        const { flows, verdicts } = c.agent("h1").counters();
        assert.deepEqual(await fateOf(c, second), alike(at));
        const expected = buildUdp({
          ethSrc: (how === "routed" ? 0xaccaba000002 : 0x02_00_00_00_00_01) as Mac,
          ethDst: (how === "routed" ? RED_2 : RED_3.mac) as Mac,
          ipSrc: ip("10.0.1.10"),
          ipDst: ip(to.ip),
          ttl: how === "routed" ? 63 : 64,
          srcPort: 1_002,
          dstPort: SILENT,
          payload: Uint8Array.from({ length: 40 }, (_, i) => i ^ (1_002 & 255)),
        });
        assert.deepEqual(Buffer.from(c.got(at).at(-1) as Uint8Array), Buffer.from(expected));
        const after = c.agent("h1").counters();
        assert.equal(after.flows, flows + 1);
        assert.equal(after.verdicts.delivered, (verdicts.delivered ?? 0) + 1);
        for (const frame of [second, first, second]) assert.deepEqual(await fateOf(c, frame), switched(at));
      }));

  it("has a verdict of its own where a rule tells its port from the first one's", () =>
    onPorts(async (c) => {
      const { start, end } = FORBIDDEN;
      const steps: readonly (readonly [dport: number, fate: Fate])[] = [
        [50_001, simulated("red-2")],
        [start - 1, alike("red-2")],
        [start, simulated("")],
        [end, alike("")],
        [end + 1, simulated("red-2")],
        [60_000, alike("red-2")],
        [start + 50, alike("")],
        [50_000, alike("red-2")],
      ];
      for (const [dport, fate] of steps) assert.deepEqual(await fateOf(c, frameOf(c, 1_000, dport)), fate, `${dport}`);
      assert.deepEqual(await fateOf(c, frameOf(c, 9, 50_001)), simulated(""));
      assert.deepEqual(await fateOf(c, frameOf(c, 10, 50_001)), alike("red-2"));
      assert.deepEqual(await fateOf(c, frameOf(c, 8, 50_001)), simulated("red-2"));
    }));

  it("is dropped as the first was, and counted", () =>
    onPorts(async (c) => {
      assert.deepEqual(await fateOf(c, frameOf(c, 1_001, FORBIDDEN.start)), simulated(""));
      const { drops, verdicts } = c.agent("h1").counters();
      const frame = frameOf(c, 1_002, FORBIDDEN.start);
      assert.deepEqual(await fateOf(c, frame), alike(""));
      const after = c.agent("h1").counters();
      assert.equal(after.drops["filter-drop"], (drops["filter-drop"] ?? 0) + 1);
      assert.equal(after.verdicts.dropped, (verdicts.dropped ?? 0) + 1);
      assert.deepEqual(await fateOf(c, frame), switched(""));
    }));

  it("has one flow, also when its first packets come together", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      const { flows } = c.agent("h1").counters();
      for (let i = 0; i < 3; i++) c.inject("red-1", frameOf(c, 1_002));
      assert.equal((await fateOf(c, frameOf(c, 1_002))).at, "red-2, red-2, red-2, red-2");
      assert.equal(c.agent("h1").counters().flows, flows + 1);
      assert.equal(c.switch("h1").stats().flows, flows + 1);
    }));

  it("is simulated when the first was dropped for what may pass by itself", () =>
    onPorts(async (c) => {
      const toRouter = { mac: GATEWAY.mac, ip: "10.0.1.1" };
      for (const dport of [SILENT, SILENT + 1])
        assert.deepEqual(await fateOf(c, frameOf(c, 1_001, dport, toRouter)), simulated(""));
      assert.equal(c.agent("h1").counters().drops["local-address"], 2);
    }));

  it("of another protocol, or to another machine, is simulated", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      assert.equal((await fateOf(c, frameOf(c, 1_001, SILENT, RED_3))).by, "simulation");
      const tcp = frameOf(c, 1_001);
      tcp[23] = 6;
      assert.equal((await fateOf(c, tcp)).by, "simulation");
    }));
});

/** The header says more bytes than there are. */
function tooShort(frame: Uint8Array): Uint8Array {
  writeU16(frame, 16, frame.length);
  return frame;
}

describe("what no flow looks at decides for a packet whose way is known", () => {
  it("a router drops it when its header is malformed", () =>
    onPorts(async (c) => {
      assert.deepEqual(await fateOf(c, frameOf(c, 1_001)), simulated("red-2"));
      const drops = c.agent("h1").counters().drops["router-malformed"] ?? 0;
      assert.deepEqual(await fateOf(c, tooShort(frameOf(c, 1_002))), { by: "simulation", flows: 0, at: "" });
      assert.equal(c.agent("h1").counters().drops["router-malformed"], drops + 1);
      assert.deepEqual(await fateOf(c, frameOf(c, 1_002)), alike("red-2"));
    }));

  it("a bridge forwards it all the same", () =>
    onPorts(async (c) => {
      assert.deepEqual(await fateOf(c, frameOf(c, 1_001, SILENT, RED_3)), simulated("red-3"));
      assert.equal((await fateOf(c, tooShort(frameOf(c, 1_002, SILENT, RED_3)))).at, "red-3");
    }));

  it("its sender is told when it is too long for the tunnel", () =>
    onPorts(
      async (c) => {
        const long = (sport: number, dontFragment: boolean): Uint8Array =>
          buildUdp({
            ethSrc: 0x02_00_00_00_00_01 as Mac,
            ethDst: GATEWAY.mac as Mac,
            ipSrc: ip("10.0.1.10"),
            ipDst: ip(GATEWAY.ip),
            dontFragment,
            srcPort: sport,
            dstPort: SILENT,
            payload: new Uint8Array(1_472),
          });
        assert.deepEqual(await fateOf(c, frameOf(c, 1_001)), simulated("red-2"));
        const told = await fateOf(c, long(1_002, true));
        assert.deepEqual([told.by, told.at], ["simulation", "red-1"]);
        assert.equal(decodeFrame(c.got("red-1").at(-1) as Uint8Array).layers[2]?.kind, "icmp-error");
        assert.equal((await fateOf(c, long(1_003, false))).at, "red-2, red-2", "in two fragments");
        assert.equal((await fateOf(c, frameOf(c, 1_004))).at, "red-2");
        assert.deepEqual(await fateOf(c, frameOf(c, 1_005)), alike("red-2"));
      },
      { underlayMtu: 1_500 },
    ));
});

interface Change {
  readonly name: string;
  readonly make: (c: Cluster) => Promise<unknown>;
  readonly to?: { readonly mac: number; readonly ip: string };
  /** Who gets something for the packets afterwards: the receiver, or the sender that is told by ICMP. */
  readonly at?: string;
}

const filterOf = async (c: Cluster) => (await portNamed(c, "red-1")).inboundFilterId as never;

const CHANGES: readonly Change[] = [
  {
    name: "a rule comes into the chain",
    make: async (c) =>
      c.admin.rules.create(await filterOf(c), { type: "drop", condition: { nwProto: 17 }, meterName: null }),
  },
  {
    name: "the sender's port loses its filter",
    make: async (c) => c.admin.ports.update((await portNamed(c, "red-1")).id, { inboundFilterId: null }),
    at: "red-2",
  },
  {
    name: "the receiver's port is switched off",
    make: async (c) => c.admin.ports.update((await portNamed(c, "red-2")).id, { adminStateUp: false }),
  },
  {
    name: "the sender's port is switched off",
    make: async (c) => c.admin.ports.update((await portNamed(c, "red-1")).id, { adminStateUp: false }),
  },
  {
    name: "the router is switched off",
    make: async (c) => c.admin.routers.update(await routerOf(c), { adminStateUp: false }),
    at: "red-1",
  },
  {
    name: "the route is deleted",
    make: async (c) => {
      const router = await routerOf(c);
      for (const r of await c.admin.routes.list(router))
        if (r.type === "Normal" && r.dstNetworkAddr === "10.0.2.0") await c.admin.routes.delete(r.id);
    },
    at: "red-1",
  },
  {
    name: "the router is unplugged",
    make: async (c) => c.admin.ports.unlink((await portNamed(c, "to-db")).id),
  },
  {
    name: "the receiver's MAC is at another port",
    to: RED_3,
    make: async (c) => {
      const back = { mac: 0x02_00_00_00_00_01, ip: "10.0.1.10" };
      c.inject("spare", udpFrom(c, "spare", back, { ethSrc: RED_3.mac, sport: 1, dport: SILENT }));
      await c.settle();
    },
    at: "spare",
  },
  {
    name: "the receiver is unbound",
    make: async (c) => c.admin.ports.unbind((await portNamed(c, "red-2")).id),
  },
  {
    name: "the receiver's interface is down",
    make: async (c) => c.wires.get("red-2")?.setUp(false),
  },
  {
    name: "the receiver has moved to another host",
    make: async (c) => {
      const { id } = await portNamed(c, "red-2");
      await c.admin.ports.unbind(id);
      await c.admin.ports.bind({ portId: id, hostId: hostId(3), interfaceName: "tap-moved" });
      c.plug(vmPlan("moved", "h3", "02:00:00:00:00:02", GATEWAY.ip, "10.0.2.1"));
    },
    at: "moved",
  },
  {
    name: "there is no tunnel any more",
    make: async (c) => c.switch("h1").setTunnelUp(false),
  },
  {
    name: "the sender's interface belongs to another port",
    make: async (c) => {
      await c.admin.ports.unbind((await portNamed(c, "red-1")).id);
      await c.admin.ports.bind({
        portId: (await portNamed(c, "lone")).id,
        hostId: hostId(1),
        interfaceName: "tap-red-1",
      });
    },
  },
];

describe("a known way ends with what it rests on, for new conversations and for those that took it", () => {
  for (const { name, make, to = GATEWAY, at = "" } of CHANGES) {
    const before = to === GATEWAY ? "red-2" : "red-3";
    const changed = async (c: Cluster): Promise<void> => {
      await make(c);
      await c.settle(200);
      assert.deepEqual((await fateOf(c, frameOf(c, 1_002, SILENT, to))).at, at, "a conversation that took it");
      const next = await fateOf(c, frameOf(c, 1_003, SILENT, to));
      assert.equal(next.at, at, "a new one");
    };

    it(name, () =>
      onPorts(async (c) => {
        assert.deepEqual(await fateOf(c, frameOf(c, 1_001, SILENT, to)), simulated(before));
        assert.deepEqual(await fateOf(c, frameOf(c, 1_002, SILENT, to)), alike(before));
        await changed(c);
        assert.equal((await fateOf(c, frameOf(c, 1_001, SILENT, to))).at, at, "the first one");
      }),
    );

    it(`${name}, after all flows of the way had timed out`, () =>
      onPorts(async (c) => {
        assert.deepEqual(await fateOf(c, frameOf(c, 1_001, SILENT, to)), simulated(before));
        await c.settle(IDLE_MS);
        // Another packet is simulated meanwhile, so that nothing of the first one's simulation is left.
        const [other, its] = to === GATEWAY ? [RED_3, "red-3"] : [GATEWAY, "red-2"];
        assert.deepEqual(await fateOf(c, frameOf(c, 1_001, SILENT, other)), simulated(its));
        assert.deepEqual(await fateOf(c, frameOf(c, 1_002, SILENT, to)), alike(before));
        await changed(c);
      }));
  }

  it("a neighbour has another MAC", () =>
    onPorts(async (c) => {
      assert.deepEqual(await fateOf(c, frameOf(c, 1_001)), simulated("red-2"));
      assert.deepEqual(await fateOf(c, frameOf(c, 1_002)), alike("red-2"));
      const mac = 0x02_00_00_00_00_22 as Mac;
      const [senderIp, targetIp] = [ip(GATEWAY.ip), ip("10.0.2.1")];
      c.inject("red-2", buildArpRequest({ senderMac: mac, senderIp, targetIp, ethDst: MAC_BROADCAST }));
      await c.settle(200);
      for (const sport of [1_002, 1_003]) {
        assert.equal((await fateOf(c, frameOf(c, sport))).at, "red-2");
        const ethernet = decodeFrame(c.got("red-2").at(-1) as Uint8Array).layers[0];
        assert.equal(ethernet?.kind === "ethernet" && ethernet.dst, mac, `from port ${sport}`);
      }
    }));
});

describe("the flow of a way that is known", () => {
  it("keeps the MACs that it rests on from being forgotten", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      // Longer than a bridge remembers a MAC that no packet and no flow needs.
      for (let n = 0; n < 12; n++) {
        await c.settle(30_000);
        assert.equal((await fateOf(c, frameOf(c, 2_000 + n))).at, "red-2");
      }
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      const macs = (await c.admin.state.macs(web, 0)).map((m) => m.mac);
      assert.ok(macs.includes("02:00:00:00:00:01"), macs.join());
    }));
});

const traceOn = (c: Cluster, condition: Condition, limit?: bigint): Promise<string> =>
  routerOf(c).then((id) => c.trace("ROUTER", id, condition, limit === undefined ? {} : { limit }));

describe("when a trace is enabled on a device of a known way", () => {
  it("new conversations that match are traced on both hosts, others arrive, and after it ways are taken again", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      assert.equal((await fateOf(c, frameOf(c, 1_002))).by, "known way");
      const one = { start: 51_000, end: 51_000 };
      const id = await traceOn(c, { nwProto: 17, tpDst: one });
      for (const sport of [1_003, 1_004]) {
        assert.deepEqual(await fateOf(c, frameOf(c, sport, 51_000)), simulated("red-2"));
        assert.equal((await fateOf(c, frameOf(c, sport, 51_001))).at, "red-2");
      }
      assert.deepEqual(
        c.flowTraces().map((t) => [t.key.srcPort, t.key.dstPort, t.segments.map((s) => `${s.role} ${s.hostName}`)]),
        [1_003, 1_004].map((sport) => [sport, 51_000, ["ingress h1", "egress h2"]]),
      );
      assertComplete(c.flowTraces());
      for (const s of ingressOf(c)) assert.equal(stepsOf(s, "rewrite").length, 1);
      await c.admin.traces.disable(id as never);
      await c.settle();
      await fateOf(c, frameOf(c, 1_005, 51_000));
      assert.deepEqual(await fateOf(c, frameOf(c, 1_006, 51_000)), alike("red-2"));
      assert.equal(c.flowTraces().length, 2);
    }));

  it("so are those of a range in the middle of the ports that the way was known for", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      await traceOn(c, { nwProto: 17, tpSrc: { start: 2_000, end: 2_009 } });
      for (const sport of [1_002, 1_003, 1_999, 2_000, 2_005, 2_009, 2_010, 3_000])
        assert.equal((await fateOf(c, frameOf(c, sport))).at, "red-2");
      assert.deepEqual(
        ingressOf(c).map((s) => s.key.srcPort),
        [2_000, 2_005, 2_009],
      );
    }));

  it("what the filter drops on a known way is traced too", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001, FORBIDDEN.start));
      assert.equal((await fateOf(c, frameOf(c, 1_002, FORBIDDEN.start))).by, "known way");
      await c.trace("PORT", (await portNamed(c, "red-1")).id, { nwProto: 17 });
      assert.deepEqual(await fateOf(c, frameOf(c, 1_003, FORBIDDEN.start)), simulated(""));
      const [segment] = ingressOf(c);
      assert.ok(segment !== undefined);
      assertDropped(segment, "filter-drop");
    }));

  it("its limit counts every new conversation, and when it is used up the others still arrive", () =>
    onPorts(async (c) => {
      await fateOf(c, frameOf(c, 1_001));
      await traceOn(c, { nwProto: 17 }, 2n);
      for (let sport = 1_002; sport < 1_008; sport++)
        assert.equal((await fateOf(c, frameOf(c, sport))).at, "red-2", `port ${sport}`);
      assert.deepEqual(
        ingressOf(c).map((s) => s.key.srcPort),
        [1_002, 1_003],
      );
    }));
});
