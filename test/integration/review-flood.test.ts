import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildArpRequest } from "#core/packets";
import { type Cluster, type ClusterPlan, ip, routedPlan, vmPlan } from "../support/cluster.ts";
import { onCluster, routerOf, udpFrom } from "../support/cluster-kit.ts";

/** Two linked bridges; the router of the network is behind the second, two VMs are on the first. */
const linkedBridges = (): ClusterPlan => ({
  hosts: { h1: "192.0.2.1", h2: "192.0.2.2" },
  topology: {
    bridges: [
      {
        name: "access",
        tenant: "red",
        ports: [
          { name: "vm-1", bind: { host: "h1", interface: "tap-vm-1" } },
          { name: "vm-2", bind: { host: "h2", interface: "tap-vm-2" } },
          { name: "up", link: "core/down" },
        ],
      },
      { name: "core", tenant: "red", ports: [{ name: "down" }, { name: "router" }] },
    ],
    routers: [
      {
        name: "router",
        tenant: "red",
        ports: [{ name: "lan", address: "10.0.0.1/24", mac: "ac:ca:ba:00:00:01", link: "core/router" }],
        routes: [{ type: "Normal", dst: "10.0.0.0/24", port: "lan" }],
      },
    ],
  },
  vms: [
    vmPlan("vm-1", "h1", "02:00:00:00:00:01", "10.0.0.11", null),
    vmPlan("vm-2", "h2", "02:00:00:00:00:02", "10.0.0.12", null),
  ],
});

describe("a flood of which a device answers one copy", () => {
  it("is answered every time: no flow serves the rest of the flood only", () =>
    onCluster(linkedBridges(), async (c: Cluster) => {
      const { mac, ip: own } = c.vm("vm-1").config;
      const request = buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.0.0.1") });
      for (let i = 1; i <= 3; i++) {
        c.inject("vm-1", request);
        await c.settle(100);
        assert.equal(c.got("vm-1").length, i, `answers after request ${i}`);
        assert.equal(c.got("vm-2").length, i, `copies after request ${i}`);
      }
    }));
});

describe("a reject rule of a router", () => {
  const chain = { name: "no", tenant: "red", rules: [{ type: "reject", match: "udp and dst port 23" }] };
  const to = { mac: 0xaccaba000001, ip: "10.0.2.20" };

  it("tells further senders too, not only the first of a minute", () =>
    onCluster(routedPlan({ chains: [chain] }), async (c) => {
      const [rejecting] = await c.admin.chains.list();
      assert.ok(rejecting !== undefined);
      await c.admin.routers.update(await routerOf(c), { inboundFilterId: rejecting.id });
      await c.settle();
      for (let i = 1; i <= 3; i++) {
        c.inject("red-1", udpFrom(c, "red-1", to, { sport: 1000 + i, dport: 23 }));
        await c.settle(6_000);
        assert.equal(c.got("red-1").length, i, `ICMP errors after connection ${i}`);
      }
    }));
});

describe("a bridge with more ports than a packet may wait", () => {
  const COUNT = 250;
  const host = (i: number): string => `h${(i % 3) + 1}`;
  const plan: ClusterPlan = {
    hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
    topology: {
      bridges: [
        {
          name: "large",
          tenant: "red",
          ports: Array.from({ length: COUNT }, (_, i) => ({
            name: `vm-${i}`,
            bind: { host: host(i), interface: `tap-vm-${i}` },
          })),
        },
      ],
    },
    vms: Array.from({ length: COUNT }, (_, i) =>
      vmPlan(`vm-${i}`, host(i), `02:00:00:00:01:${i.toString(16).padStart(2, "0")}`, `10.0.0.${i + 1}`, null),
    ),
  };

  it("floods the first broadcast to all of them", () =>
    onCluster(plan, async (c) => {
      const { mac, ip: own } = c.vm("vm-0").config;
      c.inject("vm-0", buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.0.0.254") }));
      await c.settle(1_000);
      const reached = plan.vms.filter(({ name }) => c.got(name).length === 1).length;
      assert.equal(reached, COUNT - 1);
      assert.ok(c.agent("h1").counters().waited < 20, "and does not wait for each on its own");
    }));

  it("is traced in one sentence that counts them", () =>
    onCluster(plan, async (c) => {
      await c.trace("BRIDGE", await c.deviceNamed("bridges", "large"), {});
      const { mac, ip: own } = c.vm("vm-0").config;
      c.inject("vm-0", buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.0.0.254") }));
      await c.settle(1_000);
      const [trace] = c.flowTraces();
      assert.equal(trace?.completeness.state, "complete");
      for (const host of ["h1", "h2", "h3"])
        assert.match(trace.why, new RegExp(`^Flooded to .* and 81 more on host ${host}\\b`));
      assert.ok(trace.why.length < 400, trace.why);
    }));
});
