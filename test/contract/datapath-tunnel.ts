import assert from "node:assert/strict";
import { test } from "node:test";
import type { FlowEntry } from "#core/datapath";
import { F, FLOW_STATE_KEY, type FlowAction, withTraceBit } from "#core/flows";
import { arpFrame, ipv4Frame } from "../support/datapath-frames.ts";
import { entry, matchOf, output, type RigFactory } from "../support/datapath-rig.ts";
import { Scene } from "../support/datapath-scene.ts";

const KEY = 0x2a;
const TUNNEL = F.InPort | F.TunnelKey | F.TunnelSrc | F.TunnelDst;

function tunnelTo(s: Scene, key: number): FlowAction[] {
  return [{ kind: "set-tunnel", key, dst: s.rig.b.tunnelIp }, output(s.a.tunnel)];
}

/** The egress flow of host b: exactly this key, from host a, to VM `vm`. */
function egress(s: Scene, cookie: number, key: number, vm: number): FlowEntry {
  const tunnel = { tunnelKey: key, tunnelSrc: s.rig.a.tunnelIp, tunnelDst: s.rig.b.tunnelIp };
  return entry(cookie, matchOf(ipv4Frame(), s.b.tunnel, tunnel), TUNNEL, [output(s.b.p(vm))]);
}

/** Two hosts: keys and addresses on the wire, exact keys, the trace bit, floods over tunnels. */
export function datapathTunnel(factory: RigFactory): void {
  const scene = (name: string, act: (s: Scene) => Promise<void>): void => {
    test(name, () => Scene.play(factory, act));
  };

  scene("a tunnelled packet comes up at the peer with its key and both addresses", async (s) => {
    for (const key of [1, KEY, 0x0f_ffff, withTraceBit(KEY), FLOW_STATE_KEY]) {
      const before = s.b.heard.packets.length;
      const frame = ipv4Frame({ vlans: [12], payload: new Uint8Array(900).fill(key & 255) });
      s.a.packetOut(frame, tunnelTo(s, key), s.a.p(0));
      const up = await s.rig.eventually(`key ${key}`, () => s.b.heard.packets[before] ?? null);
      const tunnel = { tunnelKey: key, tunnelSrc: s.rig.a.tunnelIp, tunnelDst: s.rig.b.tunnelIp };
      assert.deepEqual({ ...up, frame: [...up.frame] }, { ...tunnel, frame: [...frame], inPort: s.b.tunnel });
    }
  });

  scene("VM to VM over two hosts by flows, with rewrites before the tunnel", async (s) => {
    const frame = ipv4Frame();
    const rewrite: FlowAction = { kind: "set-ipv4", src: null, dst: 0x0a000909, ttl: 63 };
    await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort, [rewrite, ...tunnelTo(s, KEY)]));
    await s.install(s.b, egress(s, 1, KEY, 0));
    const got = await s.carry(s.a.vm(0), frame, s.b.vm(0));
    assert.deepEqual([...got], [...ipv4Frame({ dst: 0x0a000909, ttl: 63 })]);
    assert.equal(s.a.heard.packets.length + s.b.heard.packets.length, 0);
  });

  scene("a key is compared exactly: with the trace bit, or another one, the packet comes up", async (s) => {
    await s.install(s.b, egress(s, 1, KEY, 0), egress(s, 2, KEY + 1, 1));
    for (const key of [withTraceBit(KEY), KEY + 2, FLOW_STATE_KEY]) {
      const before = s.b.heard.packets.length;
      s.a.packetOut(ipv4Frame(), tunnelTo(s, key), s.a.p(0));
      const up = await s.rig.eventually(`key ${key}`, () => s.b.heard.packets[before] ?? null);
      assert.equal(up.tunnelKey, key);
    }
    assert.equal(s.b.vm(0).received.length + s.b.vm(1).received.length, 0);
    s.a.packetOut(ipv4Frame(), tunnelTo(s, KEY), s.a.p(0));
    s.a.packetOut(ipv4Frame(), tunnelTo(s, KEY + 1), s.a.p(0));
    for (const vm of s.b.vms) await s.rig.eventually(`a frame at ${vm.name}`, () => vm.received[0] ?? null);
    assert.equal(s.b.heard.packets.length, 3);
  });

  scene("flows compare the sending host", async (s) => {
    const flow = egress(s, 1, KEY, 0);
    flow.match.tunnelSrc = (flow.match.tunnelSrc ^ 1) >>> 0;
    await s.install(s.b, flow);
    s.a.packetOut(ipv4Frame(), tunnelTo(s, KEY), s.a.p(0));
    await s.rig.eventually("the packet-in", () => s.b.heard.packets[0] ?? null);
  });

  scene("flood to local ports and to tunnels under several keys in one list", async (s) => {
    await s.install(s.b, egress(s, 1, KEY, 0), egress(s, 2, KEY + 1, 1));
    const actions = [output(s.a.p(1)), ...tunnelTo(s, KEY), { kind: "push-vlan", vlan: 8 } as const];
    actions.push(...tunnelTo(s, KEY + 1), output(s.a.p(0)));
    await s.install(s.a, entry(1, matchOf(arpFrame(), s.a.p(0)), F.InPort, actions));
    await s.carry(s.a.vm(0), arpFrame(), s.a.vm(1));
    const plain = await s.rig.eventually("b1", () => s.b.vm(0).received[0] ?? null);
    const tagged = await s.rig.eventually("b2", () => s.b.vm(1).received[0] ?? null);
    assert.deepEqual([...plain], [...arpFrame()]);
    assert.deepEqual([...tagged], [...arpFrame({ vlans: [8] })]);
    assert.equal(s.a.vm(0).received.length, 0);
  });

  scene("tunnelled packets of one sender stay in order: state first, then the packet", async (s) => {
    s.a.packetOut(arpFrame(), tunnelTo(s, FLOW_STATE_KEY), 0);
    s.a.packetOut(ipv4Frame(), tunnelTo(s, withTraceBit(KEY)), s.a.p(0));
    await s.rig.eventually("both", () => (s.b.heard.packets.length === 2 ? true : null));
    const keys = s.b.heard.packets.map((p) => p.tunnelKey);
    assert.deepEqual(keys, [FLOW_STATE_KEY, withTraceBit(KEY)]);
  });

  scene("what came through a tunnel does not go back into it; without destination nothing is sent", async (s) => {
    const back: FlowAction[] = [{ kind: "set-tunnel", key: KEY, dst: s.rig.a.tunnelIp }, output(s.b.tunnel)];
    const flow = egress(s, 1, KEY, 0);
    await s.install(s.b, { ...flow, actions: [...back, output(s.b.p(0))] });
    s.a.packetOut(ipv4Frame(), [output(s.a.tunnel)], s.a.p(0));
    s.a.packetOut(ipv4Frame(), tunnelTo(s, KEY), s.a.p(0));
    await s.rig.eventually("the frame", () => s.b.vm(0).received[0] ?? null);
    await s.rig.quiet();
    assert.equal(s.a.heard.packets.length + s.b.heard.packets.length, 0);
  });
}
