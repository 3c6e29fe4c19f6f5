import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type Impairment, type TappedDatagram, TUNNEL_OFPORT, type UnderlayCounters } from "#adapters/datapath-fabric";
import { MidotraceError, readU16, readU32 } from "#core/base";
import type { FlowAction } from "#core/flows";
import { type FabricRig, fabricRig, IP_A, IP_B } from "../../support/datapath-fabric-rig.ts";
import { ipv4Frame } from "../../support/datapath-frames.ts";
import { RecordingListener } from "../../support/datapath-rig.ts";

const tunnel = (key: number, dst: number = IP_B): FlowAction[] => [
  { kind: "set-tunnel", key, dst },
  { kind: "output", port: TUNNEL_OFPORT },
];

async function started(
  options: Parameters<typeof fabricRig>[0] = {},
): Promise<FabricRig & { readonly heard: RecordingListener }> {
  const rig = await fabricRig(options);
  const heard = new RecordingListener();
  rig.a.datapath.listen(new RecordingListener());
  rig.b.datapath.listen(heard);
  await rig.a.datapath.start();
  await rig.b.datapath.start();
  return { ...rig, heard };
}

/** Sends `count` numbered packets, one each millisecond. @returns the numbers in the order of arrival. */
async function exchange(impairment: Impairment, count: number): Promise<{ got: number[]; counters: UnderlayCounters }> {
  const rig = await started();
  rig.fabric.impair(impairment);
  for (let i = 1; i <= count; i++) {
    rig.a.datapath.packetOut(ipv4Frame(), tunnel(i), 0);
    await rig.time.advance(1);
  }
  await rig.time.runUntilIdle();
  return { got: rig.heard.packets.map((p) => p.tunnelKey), counters: rig.fabric.counters().underlay };
}

const inversions = (keys: readonly number[]): number =>
  keys.filter((k, i) => i > 0 && k < (keys[i - 1] as number)).length;

describe("underlay", () => {
  test("the wire is VXLAN: outer headers, source port by inner flow, key, inner frame", async () => {
    const rig = await started();
    const seen: TappedDatagram[] = [];
    const untap = rig.fabric.tap((d) => seen.push(d));
    const inner = ipv4Frame();
    for (const frame of [inner, inner, ipv4Frame({ sport: 7 })]) rig.a.datapath.packetOut(frame, tunnel(0xabcdef), 0);
    untap();
    rig.a.datapath.packetOut(inner, tunnel(1), 0);
    assert.equal(seen.length, 3);
    const { bytes, ...rest } = seen[0] as TappedDatagram;
    assert.deepEqual(rest, { atMs: rig.time.nowMs(), from: "a", to: "b", fate: "sent" });
    const words = [12, 16, 20, 36, 38, 40].map((o) => readU16(bytes, o));
    assert.deepEqual(words, [0x0800, 36 + inner.length, 0x4000, 4789, 16 + inner.length, 0]);
    assert.deepEqual(
      [26, 30, 42, 46].map((o) => readU32(bytes, o)),
      [IP_A, IP_B, 0x0800_0000, 0xabcdef00],
    );
    assert.deepEqual([...bytes.subarray(50)], [...inner]);
    const ports = seen.map((d) => readU16(d.bytes, 34));
    assert.equal(ports[0], ports[1]);
    assert.notEqual(ports[0], ports[2]);
    assert.ok(ports.every((p) => p >= 49152));
  });

  test("constant delay: in order, not before its time", async () => {
    const rig = await started({ delayMs: 10 });
    for (let i = 1; i <= 5; i++) rig.a.datapath.packetOut(ipv4Frame(), tunnel(i), 0);
    await rig.time.advance(9);
    assert.equal(rig.heard.packets.length, 0);
    await rig.time.advance(1);
    assert.deepEqual(
      rig.heard.packets.map((p) => p.tunnelKey),
      [1, 2, 3, 4, 5],
    );
  });

  test("loss, duplicates and reordering occur at their rates and are the same for a seed", async () => {
    const all = { seed: 7, lossRate: 0.2, duplicateRate: 0.1, reorderRate: 0.1, minDelayMs: 1, maxDelayMs: 3 };
    const first = await exchange(all, 2000);
    const again = await exchange(all, 2000);
    assert.deepEqual(again, first);
    assert.notDeepEqual((await exchange({ ...all, seed: 8 }, 2000)).got, first.got);
    const { lostByImpairment: lost, duplicated, reordered, sent, delivered } = first.counters;
    assert.equal(sent, 2000);
    assert.equal(delivered, first.got.length);
    assert.equal(delivered, sent - lost + duplicated);
    assert.ok(lost > 320 && lost < 480, `${lost} lost`);
    assert.ok(duplicated > 110 && duplicated < 210, `${duplicated} of 1600 duplicated`);
    assert.ok(reordered > 110 && reordered < 210, `${reordered} of 1600 reordered`);
    assert.ok(inversions(first.got) > 50, "datagrams do overtake each other");
    assert.equal(new Set(first.got).size, 2000 - lost);
  });

  test("each rate alone: jitter keeps the order, certain loss loses all, certain duplication doubles all", async () => {
    const jitter = await exchange({ seed: 1, minDelayMs: 0, maxDelayMs: 50 }, 200);
    assert.deepEqual(
      jitter.got,
      Array.from({ length: 200 }, (_, i) => i + 1),
    );
    assert.deepEqual((await exchange({ seed: 1, lossRate: 1 }, 20)).got, []);
    assert.deepEqual((await exchange({ seed: 1, duplicateRate: 1 }, 3)).got, [1, 1, 2, 2, 3, 3]);
    assert.ok(inversions((await exchange({ seed: 1, reorderRate: 0.5 }, 100)).got) > 10);
    const rig = await started();
    assert.throws(() => rig.fabric.impair({ seed: 1, lossRate: 1.5, minDelayMs: 3, maxDelayMs: 2 }), MidotraceError);
  });

  test("cut, heal, one link's own impairment, unknown and vanished peers, malformed datagrams: each counted", async () => {
    const rig = await started();
    const seen: TappedDatagram[] = [];
    rig.fabric.tap((d) => seen.push(d));
    const send = (key: number, dst?: number): void => rig.a.datapath.packetOut(ipv4Frame(), tunnel(key, dst), 0);
    send(1);
    rig.fabric.cut("a", "b");
    send(2);
    await rig.time.runUntilIdle();
    rig.fabric.heal("b", "a");
    rig.fabric.impairLink("a", "b", { seed: 1, lossRate: 1 });
    send(3);
    rig.fabric.impairLink("a", "b", null);
    rig.fabric.impair({ seed: 1, lossRate: 1 });
    send(4);
    send(5, 0x01020304);
    await rig.time.runUntilIdle();
    assert.deepEqual(
      rig.heard.packets.map((p) => p.tunnelKey),
      [4],
    );
    assert.deepEqual(
      seen.map((d) => d.fate),
      ["sent", "cut", "lost", "sent", "unknown-peer"],
    );

    const good = (seen[3] as TappedDatagram).bytes;
    for (let length = 0; length < good.length; length++) rig.fabric.inject("b", good.subarray(0, length));
    for (const at of [12, 14, 22, 23, 24, 36, 42]) {
      const bad = good.slice();
      bad[at] = (bad[at] as number) ^ 0xff;
      rig.fabric.inject("b", bad);
    }
    rig.fabric.inject("a", good);
    await rig.time.runUntilIdle();
    assert.equal(rig.heard.packets.length, 1);
    assert.equal(rig.fabric.counters().hosts["b"]?.malformed, good.length + 7);
    assert.equal(rig.fabric.counters().hosts["a"]?.misdelivered, 1);

    send(6);
    rig.fabric.removeHost("b");
    await rig.time.runUntilIdle();
    const { underlay } = rig.fabric.counters();
    assert.deepEqual([underlay.lostByCut, underlay.lostByImpairment, underlay.lostUnknownPeer], [2, 1, 2]);
  });
});
