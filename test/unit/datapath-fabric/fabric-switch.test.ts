import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { Fabric, type FabricSwitch, type FabricSwitchOptions, type VmPort } from "#adapters/datapath-fabric";
import { MidotraceError } from "#core/base";
import { F } from "#core/flows";
import { ipv4Frame } from "../../support/datapath-frames.ts";
import { entry, matchOf, output, RecordingListener } from "../../support/datapath-rig.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

interface Stage {
  readonly time: VirtualTime;
  readonly sw: FabricSwitch;
  readonly heard: RecordingListener;
  readonly vm: VmPort;
  readonly got: Uint8Array[];
}

async function stage(options: FabricSwitchOptions = {}): Promise<Stage> {
  const time = new VirtualTime();
  const sw = new Fabric({ clock: time, scheduler: time }).addHost("h", 1, options);
  const heard = new RecordingListener();
  const got: Uint8Array[] = [];
  const vm = sw.attachVm("v1", { receive: () => {} });
  sw.attachVm("v2", { receive: (frame) => got.push(frame) });
  sw.listen(heard);
  await sw.start();
  await time.runUntilIdle();
  return { time, sw, heard, vm, got };
}

const udp = (dport: number): Uint8Array => ipv4Frame({ dport });
const toV2 = (cookie: number, dport: number) => entry(cookie, matchOf(udp(dport), 1), F.InPort | F.TpDst, [output(2)]);

describe("FabricSwitch", () => {
  test("the upcall queue is bounded, and what it loses is counted", async () => {
    const { time, sw, heard, vm } = await stage({ upcallQueueLength: 3 });
    for (let i = 0; i < 5; i++) vm.send(udp(i));
    assert.equal(heard.packets.length, 0, "nothing is told inside send");
    await time.runUntilIdle();
    assert.equal(heard.packets.length, 3);
    vm.send(udp(9));
    await time.runUntilIdle();
    assert.deepEqual(sw.stats(), { hits: 0, upcalls: 4, upcallsLost: 2, flows: 0 });
  });

  test("a full table evicts the least recently used entry, once, with its counters", async () => {
    const { time, sw, heard, vm } = await stage({ maxFlows: 2 });
    sw.install(toV2(1, 1));
    sw.install(toV2(2, 2));
    vm.send(udp(1));
    sw.install(toV2(3, 3));
    sw.install(toV2(4, 3));
    await time.runUntilIdle();
    const none = { packets: 0, bytes: 0 };
    assert.deepEqual(heard.removed, [
      { cookie: 2, reason: "evicted", ...none },
      { cookie: 4, reason: "deleted", ...none },
    ]);
    assert.equal(sw.stats().flows, 2);
  });

  test("timeouts are exact: idle counts from the last packet, hard from the installation", async () => {
    const { time, sw, heard, vm } = await stage();
    sw.install({ ...toV2(1, 1), idleTimeoutMs: 100, hardTimeoutMs: 250 });
    sw.install({ ...toV2(2, 2), idleTimeoutMs: 100 });
    for (const _ of [1, 2, 3]) {
      await time.advance(60);
      vm.send(udp(1));
    }
    assert.deepEqual(
      heard.removed.map((r) => r.cookie),
      [2],
    );
    await time.advance(69);
    assert.equal(heard.removed.length, 1);
    await time.advance(1);
    assert.deepEqual(
      heard.removed.map((r) => `${r.cookie} ${r.reason} ${r.packets}`),
      ["2 idle 0", "1 hard 3"],
    );
  });

  test("without an agent installed flows forward and time out, misses are dropped; a new agent starts empty", async () => {
    const { time, sw, heard, vm, got } = await stage({ afterStop: "keep-forwarding" });
    sw.install({ ...toV2(1, 1), idleTimeoutMs: 1000 });
    await sw.stop();
    vm.send(udp(1));
    vm.send(udp(2));
    await time.advance(500);
    assert.equal(got.length, 1);
    assert.equal(sw.switchCounters().noController, 1);
    const next = new RecordingListener();
    sw.listen(next);
    await sw.start();
    vm.send(udp(1));
    await time.runUntilIdle();
    assert.equal(next.packets.length, 1);
    assert.deepEqual([heard.packets.length, heard.removed.length, next.removed.length], [0, 0, 0]);
    assert.deepEqual(next.portLog, ["v1 vm up", "v2 vm up", "vxlan0 tunnel up"]);
  });

  test("stop drops frames and makes no more callbacks; it may be called twice", async () => {
    const { time, sw, heard, vm, got } = await stage();
    sw.install(toV2(1, 1));
    vm.send(udp(2));
    await sw.stop();
    await sw.stop();
    vm.send(udp(1));
    sw.remove(1);
    await time.runUntilIdle();
    assert.deepEqual([heard.packets.length, heard.removed.length, got.length], [0, 0, 0]);
    assert.equal(sw.switchCounters().notRunning, 1);
  });

  test("behind two tags a switch sees no IP: nothing is rewritten there", async () => {
    const { time, sw, got } = await stage();
    const qinq = ipv4Frame({ vlans: [1, 2] });
    const rewrites = [
      { kind: "set-ipv4", src: 1, dst: 2, ttl: 3 },
      { kind: "set-tp", src: 4, dst: 5 },
    ] as const;
    sw.packetOut(qinq, [...rewrites, output(2)], 0);
    sw.packetOut(qinq, [{ kind: "pop-vlan" }, ...rewrites, output(2)], 0);
    await time.runUntilIdle();
    const rewritten = ipv4Frame({ vlans: [2], src: 1, dst: 2, ttl: 3, sport: 4, dport: 5 });
    assert.deepEqual(
      got.map((f) => [...f]),
      [[...qinq], [...rewritten]],
    );
  });

  test("ports: down, up, gone, back under another number; frames that meet a closed door are counted", async () => {
    const { time, sw, heard, vm } = await stage();
    vm.setUp(false);
    vm.send(udp(1));
    sw.packetOut(udp(1), [output(1), output(55)], 0);
    vm.setUp(true);
    vm.detach();
    vm.detach();
    vm.send(udp(1));
    assert.equal(sw.attachVm("v1", { receive: () => {} }).ofport, 3);
    assert.throws(() => sw.attachVm("v1", { receive: () => {} }), MidotraceError);
    await time.runUntilIdle();
    assert.deepEqual(heard.portLog.slice(3), ["v1 vm down", "v1 vm up", "v1 gone", "v1 vm up"]);
    const { portDown, noSuchPort } = sw.switchCounters();
    assert.deepEqual([portDown, noSuchPort], [2, 2]);
  });
});
