import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OvsDatapath, OvsSwitchConfig } from "#adapters/datapath-ovs";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import type { Testbed } from "#adapters/testbed";
import { readU32, writeU32 } from "#core/base";
import { F, type FlowAction } from "#core/flows";
import { ipv4Frame } from "../support/datapath-frames.ts";
import { parseIpv4 } from "#core/packets";
import { entry, matchOf, output, RecordingListener } from "../support/datapath-rig.ts";
import { ovsRig, skipWithoutOvs } from "../support/datapath-ovs-rig.ts";
import { Scene } from "../support/datapath-scene.ts";
import { until } from "../support/openflow-kit.ts";
import { type OvsTestHost, ovsTestbed } from "../support/ovs-testbed.ts";

const skip = skipWithoutOvs();
const scene = (name: string, act: (s: Scene) => Promise<void>): void => {
  it(name, { skip }, () => Scene.play(ovsRig, act));
};

/** Bytes of an IPv4 UDP frame without payload. */
const EMPTY = ipv4Frame({ payload: new Uint8Array() }).length;

function frameOf(lengthBytes: number, vlans: readonly number[]): Uint8Array {
  return ipv4Frame({ vlans, payload: new Uint8Array(lengthBytes - EMPTY).fill(0x5a) });
}

describe("frames that are too long for the tunnel, on real Open vSwitch", () => {
  for (const vlans of [[], [7], [7, 8]])
    scene(`with ${vlans.length} tags: what fits passes by the flow, one byte over the limit comes up`, async (s) => {
      const limit = s.a.host.datapath.tunnelFrameLimit;
      const actions: FlowAction[] = [{ kind: "set-tunnel", key: 9, dst: s.rig.b.tunnelIp }, output(s.a.tunnel)];
      await s.install(s.a, entry(1, matchOf(frameOf(100, vlans), s.a.p(0)), F.InPort, [output(s.a.p(1)), ...actions]));
      // With its tags, a frame has to fit the underlay all the same.
      for (const length of [100, limit - 4 * vlans.length]) {
        const before = s.b.heard.packets.length;
        await s.carry(s.a.vm(0), frameOf(length, vlans), s.a.vm(1));
        const up = await s.rig.eventually(`${length} bytes at b`, () => s.b.heard.packets[before] ?? null);
        assert.equal(up.frame.length, length + 4 * vlans.length);
      }
      assert.equal(s.a.heard.packets.length, 0);
      const here = s.a.vm(1).received.length;
      const up = await s.comesUp(s.a.vm(0), frameOf(limit + 1, vlans), s.a);
      assert.equal(up.frame.length, limit + 1 + 4 * vlans.length);
      await s.rig.quiet();
      assert.equal(s.a.vm(1).received.length, here, "no part of the flow serves it");
      assert.equal(s.b.heard.packets.length, 2);
    });

  scene("the counters of such an entry count each packet once", async (s) => {
    const actions: FlowAction[] = [{ kind: "set-tunnel", key: 9, dst: s.rig.b.tunnelIp }, output(s.a.tunnel)];
    await s.install(s.a, entry(1, matchOf(frameOf(100, []), s.a.p(0)), F.InPort, actions));
    for (let i = 0; i < 10; i++) s.a.vm(0).send(frameOf(200, []));
    await s.rig.eventually("ten at b", () => (s.b.heard.packets.length === 10 ? true : null));
    await s.rig.eventually("ten counted", () => s.a.host.datapath.counters(1)?.packets === 10 || null);
    await s.rig.quiet();
    assert.deepEqual(s.a.host.datapath.counters(1), { packets: 10, bytes: 2000 });
  });
});

/** One run of an agent's datapath on a host. */
class Run {
  readonly heard = new RecordingListener();
  readonly datapath: OvsDatapath;

  constructor(inside: OvsTestHost) {
    const { host } = inside;
    const base = { clock: systemClock, scheduler: systemScheduler, log: (): void => undefined };
    const config = new OvsSwitchConfig({
      ...base,
      runDir: host.runDir,
      bridge: "br-int",
      tunnelIp: parseIpv4(host.tunnelIp) ?? 0,
      datapath: "auto",
      network: inside.network(),
    });
    this.datapath = new OvsDatapath({ ...base, config, random: systemRandom });
    this.datapath.listen(this.heard);
  }

  async start(): Promise<void> {
    this.datapath.bindInterfaces(["c1", "c2"]);
    await this.datapath.start();
    await until("both ports", () => this.heard.ports.has("c1") && this.heard.ports.has("c2"));
  }

  port(name: string): number {
    return this.heard.ports.get(name)?.ofport ?? 0;
  }
}

const FIVE = F.InPort | F.EtherType | F.NwProto | F.TpDst;

describe("faults, on real Open vSwitch", { skip }, () => {
  let testbed: Testbed;
  let inside: OvsTestHost;
  let c1 = 0;
  const received: Uint8Array[] = [];

  before(async () => {
    const made = await ovsTestbed();
    testbed = made.testbed;
    inside = made.a;
    for (const name of ["c1", "c2"]) await inside.addDevice(name);
    c1 = await inside.frames.open("c1p", () => undefined);
    await inside.frames.open("c2p", (frame) => received.push(frame));
  });
  after(async () => {
    await testbed.close();
  });

  const send = (dport: number, sequence = 0): void => {
    const payload = new Uint8Array(20);
    writeU32(payload, 0, sequence);
    inside.frames.send(c1, ipv4Frame({ dport, payload }));
  };
  const flow = (run: Run, cookie: number): ReturnType<typeof entry> =>
    entry(cookie, matchOf(ipv4Frame({ dport: cookie }), run.port("c1")), FIVE, [output(run.port("c2"))]);

  it("the daemon is killed and started: every entry is there again, nobody is told", async (t) => {
    const run = new Run(inside);
    await run.start();
    for (let cookie = 1; cookie <= 300; cookie++) run.datapath.install(flow(run, cookie));
    send(7);
    await until("a frame", () => received.length === 1);
    await inside.host.daemons.killSwitch();
    await until("the end of the link", () => run.datapath.waitingFor().length > 0);
    run.datapath.install(flow(run, 301));
    await inside.host.startSwitch();
    const started = performance.now();
    await until("the link", () => run.datapath.waitingFor().length === 0, 10_000);
    received.length = 0;
    await until("frames again", () => {
      send(301);
      send(9);
      return received.length > 20;
    });
    t.diagnostic(`forwarding resumed ${Math.round(performance.now() - started)} ms after the repair`);
    const dump = async (): Promise<number> => {
      const { stdout } = await inside.host.daemons.ofctl("dump-flows", "br-int");
      return stdout.split("priority=1000").length - 1;
    };
    for (let tries = 0; (await dump()) < 301 && tries < 50; tries++) await sleep(20);
    assert.equal(await dump(), 301);
    assert.deepEqual(run.heard.removed, []);
    assert.equal(run.heard.packets.length, 0, "covered packets are no business of the agent");
    await run.datapath.stop();
  });

  it("the agent is exchanged under traffic: not one frame is lost, whichever run's flow serves it", async () => {
    const first = new Run(inside);
    await first.start();
    first.datapath.retireEarlierFlows(() => false);
    const flows = 40;
    for (let cookie = 1; cookie <= flows; cookie++) first.datapath.install(flow(first, 1000 + cookie));
    received.length = 0;
    let sent = 0;
    const sending = { on: true };
    const traffic = (async () => {
      while (sending.on) {
        send(1001 + (sent % flows), sent);
        sent++;
        await sleep(1);
      }
    })();
    await until("traffic", () => received.length > 100);
    await first.datapath.stop();
    const second = new Run(inside);
    let cookie = 0;
    second.heard.onPacket = (packet) => {
      const actions = [output(second.port("c2"))];
      second.datapath.install(entry(++cookie, matchOf(packet.frame, packet.inPort), FIVE, actions));
      second.datapath.packetOut(packet.frame, actions, packet.inPort);
    };
    await second.start();
    const seen = received.length;
    await until("the first run's flows still serve", () => received.length > seen + 100);
    assert.equal(cookie, 0);
    second.datapath.retireEarlierFlows(() => false);
    await until("all flows are the second run's", () => cookie === flows, 20_000);
    const served = received.length;
    await until("they serve", () => received.length > served + 100);
    sending.on = false;
    await traffic;
    await until("the last frame", () => received.length >= sent);
    const sequences = new Set(received.map((f) => readU32(f, 42)));
    assert.equal(sequences.size, sent);
    assert.equal(received.length, sent, "none came twice");
    await second.datapath.stop();
  });
});
