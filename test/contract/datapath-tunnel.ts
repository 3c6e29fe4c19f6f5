import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
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

/** A frame of this many bytes, its tags not counted. */
const frameOf = (bytes: number, vlans: readonly number[] = []): Uint8Array =>
  ipv4Frame({ vlans, payload: Uint8Array.from({ length: bytes - HEADER_BYTES }, (_, i) => i * 11) });

/** Ethernet, IPv4, UDP. */
const HEADER_BYTES = 14 + 20 + 8;
/** What the interfaces of VMs take: a frame of a byte more than the limit must get as far as the switch. */
const VM_FRAME_BYTES = 1_514;

/** The longest frame of the tunnel, or null when nothing can be longer: then the test is skipped, and says why. */
function frameLimit(t: TestContext, s: Scene): number | null {
  const limit = s.rig.a.datapath.tunnelFrameLimit;
  if (limit < VM_FRAME_BYTES) return limit;
  t.skip(`the tunnel takes frames of ${limit} bytes, the VMs send none of more than ${VM_FRAME_BYTES}`);
  return null;
}

/** Two hosts: keys and addresses on the wire, exact keys, the trace bit, floods over tunnels, frames too long for them. */
export function datapathTunnel(factory: RigFactory): void {
  const scene = (name: string, act: (s: Scene) => Promise<void>): void => {
    test(name, () => Scene.play(factory, act));
  };
  const limited = (name: string, act: (s: Scene, limit: number) => Promise<void>): void => {
    test(name, (t) =>
      Scene.play(factory, async (s) => {
        const limit = frameLimit(t, s);
        if (limit !== null) await act(s, limit);
      }),
    );
  };

  limited(
    "a packet too long for the tunnel comes up though its flow is there; the longest that fits is served",
    async (s, limit) => {
      const fits = frameOf(limit);
      await s.install(s.a, entry(1, matchOf(fits, s.a.p(0)), F.InPort, [output(s.a.p(1)), ...tunnelTo(s, KEY)]));
      await s.install(s.b, egress(s, 1, KEY, 0));
      assert.deepEqual([...(await s.carry(s.a.vm(0), fits, s.b.vm(0)))], [...fits]);
      const up = await s.comesUp(s.a.vm(0), frameOf(limit + 1), s.a);
      assert.deepEqual([...up.frame], [...frameOf(limit + 1)]);
      // And the flow still serves what fits.
      await s.carry(s.a.vm(0), fits, s.b.vm(0));
      assert.equal(s.a.heard.packets.length, 1);
      assert.equal(s.a.vm(1).received.length, 2, "nothing of the long one was put out");
      assert.equal(s.b.vm(0).received.length, 2);
    },
  );

  limited("VLAN tags count against the tunnel's limit, as they leave", async (s, limit) => {
    const tagged = frameOf(limit - 4, [12]);
    const mask = F.InPort | F.Vlan;
    await s.install(s.b, egress(s, 1, KEY, 0));
    await s.install(s.a, entry(1, matchOf(tagged, s.a.p(0)), mask, tunnelTo(s, KEY)));
    assert.equal((await s.carry(s.a.vm(0), tagged, s.b.vm(0))).length, limit);
    assert.equal((await s.comesUp(s.a.vm(0), frameOf(limit - 3, [12]), s.a)).frame.length, limit + 1);
    // A tag that is pushed on the way makes room for less, one that is popped for more.
    const other = frameOf(limit - 4, [13]);
    const push: FlowAction[] = [{ kind: "push-vlan", vlan: 9 }, ...tunnelTo(s, KEY)];
    await s.install(s.a, entry(2, matchOf(frameOf(100), s.a.p(0)), mask, push));
    await s.install(s.a, entry(3, matchOf(other, s.a.p(0)), mask, [{ kind: "pop-vlan" }, ...tunnelTo(s, KEY)]));
    assert.equal((await s.carry(s.a.vm(0), frameOf(limit - 4), s.b.vm(0))).length, limit);
    assert.equal((await s.comesUp(s.a.vm(0), frameOf(limit - 3), s.a)).frame.length, limit - 3);
    assert.equal((await s.carry(s.a.vm(0), frameOf(limit, [13]), s.b.vm(0))).length, limit);
    assert.equal(s.a.heard.packets.length, 2);
  });

  limited("a flow without tunnel serves packets of any length", async (s, limit) => {
    const long = frameOf(limit + 1);
    await s.install(s.a, entry(1, matchOf(long, s.a.p(0)), F.InPort, [output(s.a.p(1))]));
    assert.deepEqual([...(await s.carry(s.a.vm(0), long, s.a.vm(1)))], [...long]);
    assert.equal(s.a.heard.packets.length, 0);
  });

  limited("a packet-out too long for the tunnel is lost there, and nowhere else", async (s, limit) => {
    await s.install(s.b, egress(s, 1, KEY, 0));
    const both: FlowAction[] = [...tunnelTo(s, KEY), output(s.a.p(1))];
    s.a.packetOut(frameOf(limit + 1), both, s.a.p(0));
    await s.rig.eventually("the local copy", () => s.a.vm(1).received[0] ?? null);
    s.a.packetOut(frameOf(limit), both, s.a.p(0));
    const got = await s.rig.eventually("the one that fits", () => s.b.vm(0).received[0] ?? null);
    assert.deepEqual([...got], [...frameOf(limit)]);
    assert.equal(s.a.vm(1).received[0]?.length, limit + 1);
  });

  scene("a tunnelled packet comes up at the peer with its key and both addresses", async (s) => {
    for (const key of [1, KEY, 0x0f_ffff, withTraceBit(KEY), FLOW_STATE_KEY]) {
      const before = s.b.heard.packets.length;
      const frame = ipv4Frame({ vlans: [12], payload: new Uint8Array(900).fill(key & 255) });
      s.a.packetOut(frame, tunnelTo(s, key), s.a.p(0));
      const up = await s.rig.eventually(`key ${key}`, () => s.b.heard.packets[before] ?? null);
      const tunnel = { tunnelKey: key, tunnelSrc: s.rig.a.tunnelIp, tunnelDst: s.rig.b.tunnelIp };
      const { inPort, tunnelKey, tunnelSrc, tunnelDst } = up;
      assert.deepEqual({ inPort, tunnelKey, tunnelSrc, tunnelDst }, { inPort: s.b.tunnel, ...tunnel });
      assert.deepEqual([...up.frame], [...frame]);
      assert.deepEqual(up.match, matchOf(frame, s.b.tunnel, tunnel));
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
