import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TraceRequestId } from "#core/base";
import { buildArpRequest } from "#core/packets";
import { parseTopologyDocument } from "#core/topology";
import { type Cluster, type ClusterPlan, hostId, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import {
  assertComplete,
  assertDropped,
  egressOf,
  GATEWAY,
  ingressOf,
  IPV4,
  onCluster,
  onlyIngress,
  onRouted,
  portNamed,
  rawFrame,
  routerOf,
  send,
  SILENT,
  stepsOf,
  udpFrom,
  wireOf,
  wireText,
} from "../support/cluster-kit.ts";

/** One bridge over three hosts, two ports on the third. */
const flatPlan = (): ClusterPlan => ({
  hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
  topology: {
    bridges: [
      {
        name: "flat",
        tenant: "red",
        ports: ["h1", "h2", "h3", "h3"].map((host, i) => ({
          name: `vm-${i + 1}`,
          bind: { host, interface: `tap-vm-${i + 1}` },
        })),
      },
    ],
  },
  vms: ["h1", "h2", "h3", "h3"].map((host, i) =>
    vmPlan(`vm-${i + 1}`, host, `02:00:00:00:00:0${i + 1}`, `10.1.0.${i + 1}`, null),
  ),
});

describe("a broadcast over three hosts", () => {
  const arp = (c: Cluster): Uint8Array => {
    const { mac, ip: own } = c.vm("vm-1").config;
    return buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.1.0.99") });
  };

  it("is one flow trace with a part of each remote host, and one state message for each host", () =>
    onCluster(flatPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "flat"), { dlType: 0x0806 });
      c.wire.length = 0;
      c.inject("vm-1", arp(c));
      await c.settle(100);
      const traces = c.flowTraces();
      assert.equal(traces.length, 1);
      assertComplete(traces);
      assert.equal(traces[0]?.verdict, "flooded");
      assert.deepEqual(traces[0].segments.map((s) => `${s.role} ${s.hostName}`).toSorted(), [
        "egress h2",
        "egress h3",
        "egress h3",
        "ingress h1",
      ]);
      const wire = wireOf(c);
      const states = wire.filter((e) => e.kind === "state");
      assert.deepEqual(states.map((e) => `${e.to}: ${e.state?.tunnelKeys.length} keys`).toSorted(), [
        "h2: 1 keys",
        "h3: 2 keys",
      ]);
      assert.equal(wire.filter((e) => e.kind === "traced").length, 3);
      for (const host of ["h2", "h3"]) {
        const kinds = wire.filter((e) => e.to === host).map((e) => e.kind);
        assert.equal(kinds[0], "state", `state is ahead of every packet to ${host}`);
      }
    }));

  it("says of each port of the flood whether it is in, and why not", () =>
    onCluster(flatPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "flat"), { dlType: 0x0806 });
      await c.admin.ports.update((await portNamed(c, "vm-3")).id, { adminStateUp: false });
      await c.settle();
      c.inject("vm-1", arp(c));
      await c.settle(100);
      const [flood] = stepsOf(onlyIngress(c), "flood");
      const of = async (name: string) => {
        const { id } = await portNamed(c, name);
        return flood?.ports.find((p) => p.port.id === id);
      };
      const included = await Promise.all(
        ["vm-1", "vm-2", "vm-3", "vm-4"].map(async (name) => (await of(name))?.included),
      );
      assert.deepEqual(included, [false, true, false, true]);
      assert.match((await of("vm-1"))?.because ?? "", /came from here/);
      assert.match((await of("vm-3"))?.because ?? "", /administratively down/);
      assert.equal(flood?.ports.length, 4);
      assertComplete(c.flowTraces());
      assert.match(
        c.flowTraces()[0]?.why ?? "",
        /^Flooded to .*; left out: port flat\/vm-3 \(administratively down\)\.$/,
      );
    }));

  it("to an unknown unicast address is flooded as well, once to each VM", () =>
    onCluster(flatPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "flat"), IPV4);
      c.inject("vm-1", udpFrom(c, "vm-1", { mac: 0x020000000088, ip: "10.1.0.88" }, { sport: 1, dport: SILENT }));
      await c.settle(100);
      assert.equal(stepsOf(onlyIngress(c), "bridge-decision")[0]?.decision, "flood-unknown");
      assert.deepEqual(
        ["vm-2", "vm-3", "vm-4"].map((vm) => c.got(vm).length),
        [1, 1, 1],
      );
      assert.equal(egressOf(c).length, 3);
    }));
});

describe("packets that devices generate", () => {
  it("ICMP time exceeded: the packet is dropped with its reason, the answer is a flow trace of its own", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), IPV4);
      const count = c.got("red-1").length;
      await send(c, udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT, ttl: 1 }));
      const [first, second] = ingressOf(c);
      assert.ok(first && second && ingressOf(c).length === 2);
      assertDropped(first, "ttl-expired");
      assert.equal(stepsOf(first, "answer")[0]?.what, "icmp-error");
      assert.match(stepsOf(second, "packet-generated")[0]?.cause ?? "", /ICMP error of router router/);
      assert.equal(second.verdict, "delivered");
      assert.equal(stepsOf(second, "flow")[0]?.match, null, "generated packets get no flow");
      assert.equal(c.got("red-1").length, count + 1, "the sender got one error");
      assertComplete(c.flowTraces());
    }));

  it("a generated packet that leaves for another host carries its state too", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "db"), { dlType: 0x0806 });
      c.wire.length = 0;
      // The router on h1 asks for the next hop; the question is flooded to the VM on h2.
      c.inject("red-1", udpFrom(c, "red-1", { ...GATEWAY, ip: "10.0.2.99" }, { sport: 1, dport: SILENT }));
      await c.settle(900);
      assert.deepEqual(wireText(wireOf(c)), ["h1>h2 state", "h1>h2 traced"]);
      const segment = onlyIngress(c, "h1");
      assert.match(stepsOf(segment, "packet-generated")[0]?.cause ?? "", /ARP request for 10\.0\.2\.99/);
      assert.deepEqual(
        egressOf(c).map((s) => s.flowTraceId),
        [segment.flowTraceId],
      );
      assertComplete(c.flowTraces());
    }));

  it("ICMP port unreachable of the VM is traced where the VM is", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const answer = await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 4_000, new Uint8Array(1)));
      assert.deepEqual(answer.kind === "icmp-error" ? [answer.type, answer.code] : answer.kind, [3, 3]);
      await c.settle(100);
      assert.deepEqual(
        c.flowTraces().map((t) => t.segments.map((s) => s.hostName)),
        [
          ["h1", "h2"],
          ["h2", "h1"],
        ],
      );
      assertComplete(c.flowTraces());
    }));
});

describe("waiting", () => {
  it("for ARP: the trace says so, and the packet arrives", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const db = await c.deviceNamed("bridges", "db");
      const late = await c.admin.ports.createOnBridge(db as never, { name: "late" });
      await c.admin.ports.bind({ portId: late.id, hostId: hostId(3), interfaceName: "tap-late" });
      c.plug(vmPlan("late", "h3", "02:00:00:00:00:44", "10.0.2.44", "10.0.2.1"));
      await c.settle(200);
      const runs = c.agent("h1").counters();
      c.segments.length = 0;
      await send(c, udpFrom(c, "red-1", { ...GATEWAY, ip: "10.0.2.44" }, { sport: 1, dport: SILENT }));
      const segment = onlyIngress(c, "h1");
      const waits = stepsOf(segment, "waited").filter((w) => w.waitedFor === "arp");
      assert.equal(waits.length, 1);
      assert.match(waits[0]?.what ?? "", /10\.0\.2\.44/);
      assert.equal(stepsOf(segment, "next-hop").at(-1)?.source, "arp-table");
      assert.equal(segment.verdict, "delivered");
      assert.equal(c.agent("h1").counters().traced, runs.traced + 1);
      assertComplete(c.flowTraces());
    }));

  it("for ARP in vain: dropped as arp-timeout, and the sender hears host unreachable", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const answer = await c.during(
        c.vm("red-1").udp(ip("10.0.2.99"), 7, new Uint8Array(1), { timeoutMs: 20_000 }),
        20_000,
      );
      assert.deepEqual(answer.kind === "icmp-error" ? [answer.type, answer.code] : answer.kind, [3, 1]);
      await c.settle(100);
      assertDropped(onlyIngress(c), "arp-timeout");
      assert.equal(stepsOf(onlyIngress(c), "next-hop").at(-1)?.source, "asked");
    }));

  it("for topology: the first packet an agent ever sees is traced like any other", () =>
    onCluster(routedPlan(), async (c) => {
      await c.trace("ROUTER", await routerOf(c), { nwProto: 17 });
      await send(c, udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT }));
      const segment = onlyIngress(c, "h1");
      assert.ok(stepsOf(segment, "waited").some((w) => w.waitedFor === "topology"));
      assert.equal(segment.verdict, "delivered");
      assert.equal(c.agent("h1").counters().traced, 1);
      assertComplete(c.flowTraces());
    }));
});

describe("what changes while a traced packet waits for ARP", () => {
  /** The packet is sent while nobody has 10.0.2.44; `change` happens; then the VM is plugged in and answers. */
  const meanwhile = (
    change: (c: Cluster, id: TraceRequestId) => Promise<unknown>,
    then: (c: Cluster) => Promise<void>,
  ) =>
    onRouted(async (c) => {
      const db = await c.deviceNamed("bridges", "db");
      const late = await c.admin.ports.createOnBridge(db as never, { name: "late" });
      await c.admin.ports.bind({ portId: late.id, hostId: hostId(3), interfaceName: "tap-late" });
      await c.settle(200);
      const id = await c.trace("ROUTER", await routerOf(c), { ...IPV4, nwProto: 17 }, { limit: 5n });
      c.inject("red-1", udpFrom(c, "red-1", { ...GATEWAY, ip: "10.0.2.44" }, { sport: 1, dport: SILENT }));
      await c.settle(500);
      assert.equal(c.segments.length, 0);
      await change(c, id);
      await c.settle(200);
      c.plug(vmPlan("late", "h3", "02:00:00:00:00:44", "10.0.2.44", "10.0.2.1"));
      await c.settle(8_000);
      await then(c);
    });

  it("the rules: the second pass goes by the new ones, and the trace tells that pass alone", () =>
    meanwhile(
      async (c) => {
        const chain = (await c.admin.chains.create({ name: "pre" })).id;
        await c.admin.rules.create(chain, { type: "drop", condition: { nwProto: 17 }, meterName: null });
        await c.admin.routers.update(await routerOf(c), { inboundFilterId: chain });
      },
      async (c) => {
        assertDropped(onlyIngress(c), "filter-drop");
        assert.equal(stepsOf(onlyIngress(c), "trace-matched").length, 1);
        assert.equal(stepsOf(onlyIngress(c), "packet-received").length, 1);
        assert.equal(c.got("late").filter((f) => f[12] === 8 && f[13] === 0).length, 0);
      },
    ));

  it("the request is disabled: the packet keeps its flow trace and ends it", () =>
    meanwhile(
      (c, id) => c.admin.traces.disable(id),
      async (c) => {
        assert.equal(onlyIngress(c).verdict, "delivered");
        assert.equal(stepsOf(onlyIngress(c), "trace-matched").length, 1);
        assertComplete(c.flowTraces());
      },
    ));

  it("the device is deleted: the packet goes by the network as it is then, and the trace tells that", () =>
    meanwhile(
      async (c) => c.admin.routers.delete(await routerOf(c)),
      async (c) => {
        const segment = onlyIngress(c);
        // Nobody has the router's MAC any more, so its bridge floods the frame.
        assert.deepEqual(
          stepsOf(segment, "bridge-decision").map((s) => s.decision),
          ["flood-unknown"],
        );
        assert.deepEqual(await c.admin.traces.list(), []);
      },
    ));
});

describe("IPv6", () => {
  it("behind extension headers is traced on a bridge, with its addresses and ports in the key", () =>
    onCluster(flatPlan(), async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "flat"), { dlType: 0x86dd });
      // Version 6, hop-by-hop options of 8 bytes, then UDP 4000 > 50000.
      const packet = new Uint8Array(40 + 8 + 8);
      packet.set([0x60, 0, 0, 0, 0, 16, 0, 64]);
      packet.set([0x20, 1, 0x0d, 0xb8], 8);
      packet[23] = 1;
      packet.set([0x20, 1, 0x0d, 0xb8], 24);
      packet[39] = 2;
      packet.set([17, 0, 1, 4, 0, 0, 0, 0], 40);
      packet.set([0x0f, 0xa0, 0xc3, 0x50, 0, 8, 0, 0], 48);
      c.inject("vm-1", rawFrame(0x020000000002, 0x020000000001, 0x86dd, packet));
      await c.settle(100);
      assertComplete(c.flowTraces());
      const { key } = onlyIngress(c);
      assert.deepEqual(
        [key.networkSrc, key.networkDst, key.networkProto, key.srcPort, key.dstPort],
        ["2001:db8::1", "2001:db8::2", 17, 4_000, SILENT],
      );
      assert.equal(egressOf(c).length, 3);
    }));
});

describe("fragments", () => {
  /** Splits an IPv4 frame after `firstBytes` of its payload (a multiple of 8). */
  function fragments(frame: Uint8Array, firstBytes: number): [Uint8Array, Uint8Array] {
    const part = (from: number, to: number, more: boolean): Uint8Array => {
      const out = new Uint8Array(34 + to - from);
      out.set(frame.subarray(0, 34));
      out.set(frame.subarray(34 + from, 34 + to), 34);
      const length = out.length - 14;
      const offset = (from >>> 3) | (more ? 0x2000 : 0);
      out.set([length >>> 8, length & 255], 16);
      out.set([offset >>> 8, offset & 255], 20);
      out.set([0, 0], 24);
      let sum = 0;
      for (let i = 14; i < 34; i += 2) sum += ((out[i] as number) << 8) | (out[i + 1] as number);
      while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
      out.set([(~sum >>> 8) & 255, ~sum & 255], 24);
      return out;
    };
    return [part(0, firstBytes, true), part(firstBytes, frame.length - 34, false)];
  }

  it("first and later ones are both traced and delivered", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), { ...IPV4, nwProto: 17 });
      const whole = udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT, payload: new Uint8Array(64).fill(7) });
      const count = c.got("red-2").length;
      for (const part of fragments(whole, 32)) await send(c, part);
      assert.deepEqual(
        ingressOf(c, "h1").map((s) => [stepsOf(s, "packet-received")[0]?.header.fragment, s.key.dstPort, s.verdict]),
        [
          ["first", SILENT, "delivered"],
          ["later", null, "delivered"],
        ],
      );
      assert.equal(c.got("red-2").length, count + 2);
      assertComplete(c.flowTraces());
    }));

  it("a condition on L4 ports does not match the later ones, which have none", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: SILENT, end: SILENT } });
      const whole = udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT, payload: new Uint8Array(64).fill(7) });
      const count = c.got("red-2").length;
      for (const part of fragments(whole, 32)) await send(c, part);
      assert.deepEqual(
        ingressOf(c).map((s) => stepsOf(s, "packet-received")[0]?.header.fragment),
        ["first"],
      );
      assert.equal(c.got("red-2").length, count + 2);
    }));
});

describe("the second pass of a traced packet repeats no side effect", () => {
  it("one MAC is learned, one ICMP error is sent, one packet is counted", () =>
    onRouted(async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), { nwProto: 17 });
      const web = await c.deviceNamed("bridges", "web");
      const before = c.agent("h1").counters();
      const errors = c.got("red-1").length;
      const frame = udpFrom(c, "red-1", GATEWAY, { sport: 1, dport: SILENT, ttl: 1, ethSrc: 0x0200000000aa });
      await send(c, frame);
      const after = c.agent("h1").counters();
      const segment = onlyIngress(c, "h1");
      assert.ok(after.runs - before.runs > after.simulated - before.simulated, "it did run twice");
      assert.equal(after.simulated - before.simulated, 1);
      assert.equal(after.generated - before.generated, 1, "one ICMP error was generated");
      assert.equal(c.got("red-1").length - errors, 1, "and sent once, to the port of the sender");
      assert.equal((after.drops["ttl-expired"] ?? 0) - (before.drops["ttl-expired"] ?? 0), 1);
      assert.equal(stepsOf(segment, "mac-learned").length, 1);
      const macs = (await c.admin.state.macs(web as never, 0)).filter((m) => m.mac === "02:00:00:00:00:aa");
      assert.equal(macs.length, 1);
      assert.equal(stepsOf(segment, "answer").length, 1);
      assert.equal(stepsOf(segment, "drop").length, 1);
    }));

  it("one ARP question is asked for a packet that is traced, restarted and waits", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const questions = (): number =>
        c.got("red-2").filter((f) => f[12] === 8 && f[13] === 6 && f[21] === 1 && f[41] === 99).length;
      c.inject("red-1", udpFrom(c, "red-1", { ...GATEWAY, ip: "10.0.2.99" }, { sport: 1, dport: SILENT }));
      await c.settle(900);
      assert.equal(questions(), 1);
      await c.settle(6_000);
      assert.equal(questions(), 5, "then once a second until the packet has given up");
      assert.equal(ingressOf(c, "h1").filter((s) => s.key.networkProto === 17).length, 1);
    }));

  it("an echo to the router is answered once", () =>
    onRouted(async (c) => {
      await c.trace("ROUTER", await routerOf(c), IPV4);
      const count = c.got("red-1").length;
      const [answer] = await c.during(c.vm("red-1").ping(ip("10.0.1.1"), { id: 5 }));
      await c.settle(100);
      assert.equal(answer?.kind, "reply");
      assert.equal(c.got("red-1").length, count + 1);
      assert.equal(onlyIngress(c).verdict, "consumed");
    }));

  it("the traced pass takes the route of the untraced one, also among equal ones", () =>
    onRouted(async (c) => {
      const outside = async (n: number) => {
        const port = await c.admin.ports.createOnRouter(await routerOf(c), {
          name: `out-${n}`,
          portAddress: `10.8.${n}.1`,
          networkLength: 24,
        });
        await c.admin.ports.bind({ portId: port.id, hostId: hostId(2), interfaceName: `tap-out-${n}` });
        c.plug(vmPlan(`out-${n}`, "h2", `02:00:00:00:01:0${n}`, `10.8.${n}.2`, `10.8.${n}.1`));
      };
      await outside(1);
      await outside(2);
      const routes = [1, 2].map((n) => ({
        type: "Normal",
        dst: "203.0.113.0/24",
        port: `out-${n}`,
        gateway: `10.8.${n}.2`,
      }));
      await c.admin.apply(
        parseTopologyDocument({
          routers: [{ name: "router", tenant: "red", ports: [{ name: "out-1" }, { name: "out-2" }], routes }],
        }),
      );
      await c.settle(200);
      const arrivals = (): number[] =>
        [1, 2].map((n) => c.got(`out-${n}`).filter((f) => f[13] === 0 && f[23] === 17).length);
      const burst = async (): Promise<number[]> => {
        const before = arrivals();
        for (let i = 0; i < 32; i++)
          await send(c, udpFrom(c, "red-1", { ...GATEWAY, ip: "203.0.113.7" }, { sport: 100 + i, dport: SILENT }));
        return arrivals().map((n, i) => n - (before[i] as number));
      };
      const untraced = await burst();
      assert.ok(
        untraced.every((n) => n > 0),
        `both routes are used: ${untraced.join(" ")}`,
      );
      await c.trace("ROUTER", await routerOf(c), { ...IPV4, nwProto: 17 });
      assert.deepEqual(await burst(), untraced);
      assert.equal(ingressOf(c, "h1").length, 32);
      assertComplete(c.flowTraces());
    }));
});
