import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildArpRequest } from "#core/packets";
import { type Cluster, type ClusterPlan, hostId, ip, vmPlan } from "../support/cluster.ts";
import { onCluster, portNamed } from "../support/cluster-kit.ts";

/** Three VMs on two hosts, and a third host without any. */
const plan: ClusterPlan = {
  hosts: { h1: "192.0.2.1", h2: "192.0.2.2", h3: "192.0.2.3" },
  topology: {
    bridges: [
      {
        name: "lan",
        tenant: "red",
        ports: [
          { name: "one", bind: { host: "h1", interface: "tap-one" } },
          { name: "near", bind: { host: "h1", interface: "tap-near" } },
          { name: "far", bind: { host: "h2", interface: "tap-far" } },
        ],
      },
    ],
  },
  vms: [
    vmPlan("one", "h1", "02:00:00:00:00:01", "10.0.0.1", null),
    vmPlan("near", "h1", "02:00:00:00:00:02", "10.0.0.2", null),
    vmPlan("far", "h2", "02:00:00:00:00:03", "10.0.0.3", null),
  ],
};

function broadcast(c: Cluster, name: string): Uint8Array {
  const { mac, ip: own } = c.vm(name).config;
  return buildArpRequest({ senderMac: mac, senderIp: own, targetIp: ip("10.0.0.99") });
}

/** The same broadcast each time, so that a flow serves it if there is one. */
const shout = (c: Cluster, name: string): void => c.inject(name, broadcast(c, name));

describe("a flood that could not reach everybody", () => {
  it("reaches the other hosts as soon as there is a tunnel port", () =>
    onCluster(plan, async (c) => {
      c.switch("h1").setTunnelUp(false);
      await c.settle(200);
      shout(c, "one");
      await c.settle(100);
      assert.equal(c.got("near").length, 1);
      assert.equal(c.got("far").length, 0);
      c.switch("h1").setTunnelUp(true);
      await c.settle(10);
      shout(c, "one");
      await c.settle(100);
      assert.equal(c.got("near").length, 2);
      assert.equal(c.got("far").length, 1);
    }));
});

describe("a port whose binding moves to a host where its frames come in already", () => {
  it("gets them at once: what was dropped for want of it is dropped no longer", () =>
    onCluster(plan, async (c) => {
      const far = await portNamed(c, "far");
      const near = await portNamed(c, "near");
      const third = hostId(3);
      // By this flood the third host comes to know the port, as another host's.
      c.plug(vmPlan("spare", "h3", "02:00:00:00:00:04", "10.0.0.4", null));
      await c.admin.ports.unbind(near.id);
      await c.admin.ports.bind({ portId: near.id, hostId: third, interfaceName: "tap-spare" });
      await c.settle(200);
      shout(c, "spare");
      await c.settle(100);
      c.plug(vmPlan("moved", "h3", "02:00:00:00:00:03", "10.0.0.3", null));
      await c.settle(100);
      const frame = broadcast(c, "one");
      const arrive = async (): Promise<void> => {
        const tunnel = c
          .switch("h1")
          .listPorts()
          .find((p) => p.kind === "tunnel");
        const actions = [
          { kind: "set-tunnel", key: far.tunnelKey, dst: ip("192.0.2.3") },
          { kind: "output", port: tunnel?.ofport ?? 0 },
        ] as const;
        c.switch("h1").packetOut(frame, actions, 0);
        await c.settle(10);
      };
      await arrive();
      assert.equal(c.got("moved").length, 0, "it is not bound here yet");
      await c.admin.ports.unbind(far.id);
      await c.admin.ports.bind({ portId: far.id, hostId: third, interfaceName: "tap-moved" });
      await c.settle(200);
      await arrive();
      assert.equal(c.got("moved").length, 1);
    }));
});
