import assert from "node:assert/strict";
import { test } from "node:test";
import { F, type FlowAction, IP_PROTO } from "#core/flows";
import { writeU48 } from "#core/base";
import { buildArpReply, type Ipv4, type Mac } from "#core/packets";
import {
  arpFrame,
  checksumErrors,
  type FrameSpec,
  ipv4Frame,
  ipv6Frame,
  VM1,
  VM2,
} from "../support/datapath-frames.ts";
import { entry, matchOf, output, type RigFactory } from "../support/datapath-rig.ts";
import { Scene } from "../support/datapath-scene.ts";

const MAC_X = 0x02_aa_bb_cc_dd_01;
const MAC_Y = 0x02_aa_bb_cc_dd_02;
const IP_X = 0xfffe0001;
const IP_Y = 0x00000102;

interface ActionCase {
  readonly name: string;
  readonly actions: readonly FlowAction[];
  readonly before: Partial<FrameSpec>;
  readonly after: Partial<FrameSpec>;
}

const setEth: FlowAction = { kind: "set-eth", src: MAC_X, dst: MAC_Y };
const setBoth: FlowAction = { kind: "set-ipv4", src: IP_X, dst: IP_Y, ttl: 63 };
const setTp: FlowAction = { kind: "set-tp", src: 65535, dst: 1 };
const tcp = { proto: IP_PROTO.TCP };
const icmp = { proto: IP_PROTO.ICMP, sport: 8, dport: 0 };

const CASES: readonly ActionCase[] = [
  { name: "set-eth", actions: [setEth], before: {}, after: { ethSrc: MAC_X, ethDst: MAC_Y } },
  {
    name: "set-ipv4 source",
    actions: [{ kind: "set-ipv4", src: IP_X, dst: null, ttl: null }],
    before: {},
    after: { src: IP_X },
  },
  {
    name: "set-ipv4 destination",
    actions: [{ kind: "set-ipv4", src: null, dst: IP_Y, ttl: null }],
    before: tcp,
    after: { dst: IP_Y },
  },
  {
    name: "set-ipv4 TTL",
    actions: [{ kind: "set-ipv4", src: null, dst: null, ttl: 1 }],
    before: tcp,
    after: { ttl: 1 },
  },
  {
    name: "set-ipv4 of UDP without checksum",
    actions: [setBoth],
    before: { udpChecksum: false },
    after: { src: IP_X, dst: IP_Y, ttl: 63 },
  },
  { name: "set-ipv4 of ICMP", actions: [setBoth], before: icmp, after: { src: IP_X, dst: IP_Y, ttl: 63 } },
  {
    name: "set-ipv4 of a later fragment",
    actions: [setBoth],
    before: { fragment: 0x2010 },
    after: { src: IP_X, dst: IP_Y, ttl: 63 },
  },
  {
    name: "set-ipv4 behind a tag",
    actions: [setBoth],
    before: { vlans: [5] },
    after: { src: IP_X, dst: IP_Y, ttl: 63 },
  },
  { name: "set-tp of UDP", actions: [setTp], before: {}, after: { sport: 65535, dport: 1 } },
  { name: "set-tp source of TCP", actions: [{ kind: "set-tp", src: 9, dst: null }], before: tcp, after: { sport: 9 } },
  {
    name: "set-tp destination of TCP",
    actions: [{ kind: "set-tp", src: null, dst: 9 }],
    before: tcp,
    after: { dport: 9 },
  },
  { name: "push-vlan", actions: [{ kind: "push-vlan", vlan: 4094 }], before: {}, after: { vlans: [4094] } },
  { name: "pop-vlan", actions: [{ kind: "pop-vlan" }], before: { vlans: [5] }, after: { vlans: [] } },
  {
    name: "another tag in place of a tag",
    actions: [{ kind: "pop-vlan" }, { kind: "push-vlan", vlan: 6 }],
    before: { vlans: [5] },
    after: { vlans: [6] },
  },
  {
    name: "a list of all",
    actions: [{ kind: "push-vlan", vlan: 6 }, setEth, setBoth, setTp],
    before: tcp,
    after: { vlans: [6], ethSrc: MAC_X, ethDst: MAC_Y, src: IP_X, dst: IP_Y, ttl: 63, sport: 65535, dport: 1 },
  },
];

/** Every action alone and in lists, by flows and by packet-outs; ports. */
export function datapathActions(factory: RigFactory): void {
  const scene = (name: string, act: (s: Scene) => Promise<void>): void => {
    test(name, () => Scene.play(factory, act));
  };

  for (const c of CASES) {
    scene(`action: ${c.name}`, async (s) => {
      const before = ipv4Frame(c.before);
      const after = ipv4Frame({ ...c.before, ...c.after });
      const kept = [...before];
      const match = matchOf(before, s.a.p(0));
      const fields = F.InPort | F.EtherType | F.Vlan | F.Fragment | F.NwProto;
      await s.install(s.a, entry(1, match, fields, [...c.actions, output(s.a.p(1))]));
      const got = await s.carry(s.a.vm(0), before, s.a.vm(1));
      assert.deepEqual([...got], [...after]);
      assert.deepEqual(checksumErrors(got), []);
      assert.deepEqual([...before], kept, "the frame that was sent is left alone");
    });
  }

  scene("action: an ARP request becomes the reply, and goes back", async (s) => {
    const ask = arpFrame({ ethDst: 0xffff_ffff_ffff });
    const kept = [...ask];
    const match = matchOf(ask, s.a.p(0));
    const fields = F.InPort | F.EtherType | F.NwProto | F.NwSrc | F.NwDst | F.ArpSha;
    const reply: FlowAction = {
      kind: "arp-reply",
      mac: MAC_X,
      ip: match.nwDst,
      toMac: match.arpSha,
      toIp: match.nwSrc,
    };
    await s.install(s.a, entry(1, match, fields, [reply, { kind: "output-in-port" }]));
    s.a.vm(0).send(ask);
    const got = await s.rig.eventually("the reply", () => s.a.vm(0).received[0] ?? null);
    const want = buildArpReply({
      senderMac: MAC_X as Mac,
      senderIp: match.nwDst as Ipv4,
      targetMac: match.arpSha as Mac,
      targetIp: match.nwSrc as Ipv4,
    });
    assert.deepEqual([...got.subarray(0, want.length)], [...want]);
    assert.deepEqual([...ask], kept, "the frame that was sent is left alone");
    assert.equal(s.a.vm(1).received.length, 0);
    // By the same sender, of another hardware address.
    const other = ask.slice();
    writeU48(other, 22, MAC_Y);
    s.a.vm(0).send(other);
    await s.rig.eventually("a request that no entry covers", () => s.a.heard.packets[0] ?? null);
    assert.equal(s.a.vm(0).received.length, 1);
  });

  scene("flood: several outputs, rewrites between them count only for those that follow", async (s) => {
    const b2 = await s.rig.a.attachVm("a3");
    await s.rig.eventually("port a3", () => s.a.heard.ports.get("a3") ?? null);
    const frame = ipv4Frame(tcp);
    const actions: FlowAction[] = [output(s.a.p(1)), setEth, { kind: "push-vlan", vlan: 3 }, output(s.a.port("a3"))];
    actions.push({ kind: "pop-vlan" }, setBoth, output(s.a.p(1)));
    await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort | F.EtherType, actions));
    s.a.vm(0).send(frame);
    await s.rig.eventually("two frames at a2", () => (s.a.vm(1).received.length === 2 ? true : null));
    await s.rig.eventually("a frame at a3", () => b2.received[0] ?? null);
    const eth = { ...tcp, ethSrc: MAC_X, ethDst: MAC_Y };
    assert.deepEqual([...(s.a.vm(1).received[0] as Uint8Array)], [...frame]);
    assert.deepEqual([...(b2.received[0] as Uint8Array)], [...ipv4Frame({ ...eth, vlans: [3] })]);
    assert.deepEqual(
      [...(s.a.vm(1).received[1] as Uint8Array)],
      [...ipv4Frame({ ...eth, src: IP_X, dst: IP_Y, ttl: 63 })],
    );
  });

  scene("a frame that was put out is not touched by the rewrites behind it", async (s) => {
    const frame = ipv4Frame(tcp);
    const actions = [setEth, output(s.a.p(1)), setBoth, output(s.a.p(1)), setTp, output(s.a.p(1))];
    await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort | F.EtherType | F.NwProto, actions));
    s.a.vm(0).send(frame);
    await s.rig.eventually("three frames", () => (s.a.vm(1).received.length === 3 ? true : null));
    const eth = { ...tcp, ethSrc: MAC_X, ethDst: MAC_Y };
    const ip = { ...eth, src: IP_X, dst: IP_Y, ttl: 63 };
    const want = [eth, ip, { ...ip, sport: 65535, dport: 1 }].map((spec) => [...ipv4Frame(spec)]);
    assert.deepEqual(
      s.a.vm(1).received.map((f) => [...f]),
      want,
    );
  });

  scene("output to the packet's own port and to ports that do not exist is skipped", async (s) => {
    const frame = ipv4Frame();
    const out = [output(s.a.p(0)), output(4000), output(s.a.p(1))];
    await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort, out));
    await s.carry(s.a.vm(0), frame, s.a.vm(1));
    s.a.packetOut(frame, out, s.a.p(0));
    await s.rig.eventually("the packet-out", () => (s.a.vm(1).received.length === 2 ? true : null));
    assert.equal(s.a.vm(0).received.length, 0);
    s.a.packetOut(frame, out);
    await s.rig.eventually("the packet-out without input port", () => s.a.vm(0).received[0] ?? null);
  });

  scene(
    "output to the in-port goes back out of it, from a flow and from a packet-out; without one it goes nowhere",
    async (s) => {
      const frame = ipv4Frame();
      const back: FlowAction[] = [{ kind: "output-in-port" }, output(s.a.p(1))];
      await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort, back));
      await s.carry(s.a.vm(0), frame, s.a.vm(1));
      await s.rig.eventually("the frame at its own port", () => s.a.vm(0).received[0] ?? null);
      s.a.packetOut(frame, back, s.a.p(0));
      await s.rig.eventually("the packet-out at its own port", () => s.a.vm(0).received[1] ?? null);
      s.a.packetOut(frame, back);
      await s.rig.eventually("the packet-out without input port", () =>
        s.a.vm(1).received.length === 3 ? true : null,
      );
      assert.equal(s.a.vm(0).received.length, 2);
    },
  );

  scene("packet-out runs its actions without a lookup and leaves its frame alone", async (s) => {
    const frame = ipv4Frame({ vlans: [1] });
    const kept = [...frame];
    await s.install(s.a, entry(1, matchOf(frame, s.a.p(0)), F.InPort, []));
    s.a.packetOut(frame, [{ kind: "pop-vlan" }, setBoth, output(s.a.p(1))], s.a.p(0));
    const got = await s.rig.eventually("the packet", () => s.a.vm(1).received[0] ?? null);
    assert.deepEqual([...got], [...ipv4Frame({ src: IP_X, dst: IP_Y, ttl: 63 })]);
    assert.deepEqual([...frame], kept);
    assert.equal(s.a.heard.packets.length, 0);
  });

  scene("a packet that came up is forwarded as a packet-out of its frame would be", async (s) => {
    const { datapath } = s.a.host;
    const toB: FlowAction = { kind: "set-tunnel", key: 0x77, dst: s.rig.b.tunnelIp };
    const ttl: FlowAction = { kind: "set-ipv4", src: null, dst: null, ttl: 63 };
    const lists: readonly (readonly FlowAction[])[] = [
      [],
      [output(s.a.p(1))],
      [setEth, ttl, output(s.a.p(1))],
      [setBoth, setTp, { kind: "output-in-port" }],
      [setEth, toB, output(s.a.tunnel)],
      [{ ...toB, dst: 0 }, output(s.a.tunnel)],
      [output(s.a.tunnel)],
      [setEth, output(s.a.p(0))],
      [{ kind: "push-vlan", vlan: 3 }, output(s.a.p(1))],
      [output(s.a.p(1)), setEth, output(s.a.p(1))],
      [output(s.a.p(1)), setEth],
    ];
    const frames = [
      ipv4Frame(tcp),
      ipv4Frame({ vlans: [5] }),
      arpFrame(),
      ipv4Frame({ payload: new Uint8Array(1000) }),
    ];
    const received = (): Uint8Array[][] => s.a.vms.map((vm) => [...vm.received]);
    /** What came of `act`, in any order: at a's machines, and through the tunnel at b. */
    const seen = async (act: () => void): Promise<string[][]> => {
      const before = received();
      const tunnelled = s.b.heard.packets.length;
      act();
      await s.rig.quiet();
      const frames = received().map((all, i) => all.slice((before[i] ?? []).length).map((f) => [...f]));
      frames.push(s.b.heard.packets.slice(tunnelled).map(({ frame, tunnelKey }) => [tunnelKey, ...frame]));
      return frames.map((all) => all.map((frame) => frame.join(" ")).toSorted());
    };
    const silent: number[] = [];
    for (const [i, list] of lists.entries()) {
      s.a.heard.onPacket = (packet) => datapath.forward(packet, list);
      const forwarded = await seen(() => frames.forEach((frame) => s.a.vm(0).send(frame)));
      const sent = await seen(() => frames.forEach((frame) => s.a.packetOut(frame, list, s.a.p(0))));
      assert.deepEqual(forwarded, sent);
      if (forwarded.every((got) => got.length === 0)) silent.push(i);
    }
    assert.deepEqual(silent, [0, 5, 6, 7]);
  });

  scene("an entry installed before a packet-out is there when the packet's answer comes", async (s) => {
    const ask = ipv4Frame();
    const answer = ipv4Frame({ ethSrc: VM2.mac, ethDst: VM1.mac, src: VM2.ip, dst: VM1.ip, sport: 2000, dport: 1000 });
    s.a.heard.onPacket = (packet) => {
      s.a.install(entry(1, matchOf(ask, packet.inPort), F.InPort, [output(s.a.p(1))]));
      s.a.install(entry(2, matchOf(answer, s.a.p(1)), F.InPort, [output(s.a.p(0))]));
      s.a.packetOut(packet.frame, [output(s.a.p(1))], packet.inPort);
    };
    await s.carry(s.a.vm(0), ask, s.a.vm(1));
    await s.rig.quiet();
    await s.carry(s.a.vm(1), answer, s.a.vm(0));
    assert.equal(s.a.heard.packets.length, 1);
  });

  scene("big frames and doubly tagged frames pass as they are", async (s) => {
    await s.install(s.a, entry(1, matchOf(arpFrame(), s.a.p(0)), F.InPort, [output(s.a.p(1))]));
    const qinq = ipv4Frame({ vlans: [10, 20] });
    const big = ipv4Frame({ payload: new Uint8Array(1472).fill(0x5a) });
    for (const frame of [qinq, big, ipv4Frame({ vlans: [0xe005] }), ipv6Frame(1n, 2n)]) {
      assert.deepEqual([...(await s.carry(s.a.vm(0), frame, s.a.vm(1)))], [...frame]);
    }
  });

  scene("ports: reported at start, gone when they vanish, back under a number that works", async (s) => {
    const kinds = [...s.a.heard.ports.values()].map((p) => `${p.kind} ${p.up}`).sort();
    assert.deepEqual(kinds, ["tunnel true", "vm true", "vm true"]);
    await s.install(s.a, entry(1, matchOf(ipv4Frame(), s.a.p(0)), F.InPort, [output(s.a.p(1))]));
    await s.a.vm(1).detach();
    await s.rig.eventually("a2 gone", () => (s.a.heard.ports.has("a2") ? null : true));
    s.a.vm(0).send(ipv4Frame());
    await s.rig.quiet();
    assert.equal(s.a.heard.packets.length, 0, "the flow still takes its packets");
    const again = await s.rig.a.attachVm("a2");
    const port = await s.rig.eventually("a2 back", () => s.a.heard.ports.get("a2") ?? null);
    assert.equal((await s.comesUp(again, arpFrame(), s.a)).inPort, port.ofport);
    s.a.packetOut(arpFrame(), [output(port.ofport)]);
    await s.rig.eventually("a frame at the new a2", () => again.received[0] ?? null);
  });
}
