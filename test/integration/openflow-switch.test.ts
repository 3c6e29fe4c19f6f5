import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readU16, readU32 } from "#core/base";
import { F, type FlowAction } from "#core/flows";
import { ipv4Frame } from "../support/datapath-frames.ts";
import { entry, matchOf, output } from "../support/datapath-rig.ts";
import { FakeStage, TUNNEL_PORT, until } from "../support/openflow-kit.ts";

const FIELDS = F.InPort | F.EtherType | F.NwProto | F.TpDst;
const frame = (dport: number): Uint8Array => ipv4Frame({ dport });
const flow = (cookie: number, actions: FlowAction[] = [output(2)], more = {}): ReturnType<typeof entry> =>
  entry(cookie, matchOf(frame(cookie), 1), FIELDS, actions, more);
const PROGRAM = [1, 2, 3];
const sorted = (cookies: number[]): number[] => cookies.sort((a, b) => a - b);
const scene = (name: string, act: (stage: FakeStage) => Promise<void>): void => {
  it(name, () => FakeStage.play(act));
};

describe("the OpenFlow side of the datapath, on a switch that does as it is told", () => {
  scene(
    "the program stands before the start is over, and changes go by other connections than packets",
    async (stage) => {
      await stage.started();
      assert.deepEqual(sorted(stage.fake.cookies(2047)), PROGRAM);
      assert.equal(stage.fake.connections, 5);
    },
  );

  scene("entries go in, with timeouts rounded up to seconds, and out by their cookie", async (stage) => {
    const { datapath, heard } = await stage.started();
    datapath.install(flow(1, [output(2)], { idleTimeoutMs: 1001, hardTimeoutMs: 60_000 }));
    datapath.install(flow(2 ** 52 + 7));
    await until("entries", () => stage.fake.flows.length === 5);
    const [one, two] = stage.fake.flows.slice(3);
    assert.deepEqual([one?.low, one?.idleS, one?.hardS, one?.priority], [1, 2, 60, 1000]);
    assert.deepEqual([two?.low, (two?.high ?? 0) & 0x1f_ffff], [7, 2 ** 20]);
    datapath.remove(2 ** 52 + 7);
    await until("the removal", () => heard.removed.length === 1);
    assert.deepEqual(heard.removed, [{ cookie: 2 ** 52 + 7, reason: "deleted", packets: 0, bytes: 0 }]);
    assert.deepEqual(stage.fake.cookies(1), [1]);
  });

  scene("a packet for more copies than a message can hold goes in several, and each copy once", async (stage) => {
    const { datapath } = await stage.started();
    const hosts = Array.from({ length: 3000 }, (_, i) => 0x0a000001 + i);
    const actions = hosts.flatMap((dst): FlowAction[] => [{ kind: "set-tunnel", key: 7, dst }, output(TUNNEL_PORT)]);
    datapath.packetOut(frame(1), [output(2), ...actions], 1);
    await until("all messages", () => stage.fake.packetOuts.length >= 3);
    const reached = stage.fake.packetOuts.flatMap((m) => {
      assert.deepEqual(m.slice(24 + readU16(m, 16)), frame(1));
      // 48 bytes for each copy of a tunnel: key, address, output.
      const found: number[] = [];
      for (let at = 24; at < 24 + readU16(m, 16); at += readU16(m, at + 2))
        if (readU32(m, at + 4) === 0x0001_4004) found.push(readU32(m, at + 8));
      return found;
    });
    assert.deepEqual(reached, hosts);
  });

  scene("an entry that is taken back before it was sent never reaches the switch", async (stage) => {
    const { datapath, heard } = await stage.started();
    datapath.install(flow(1));
    datapath.remove(1);
    datapath.install(flow(2));
    await until("the removal", () => heard.removed.length === 1);
    await until("the other entry", () => stage.fake.cookies(1).length === 1);
    assert.deepEqual(stage.fake.cookies(1), [2]);
  });

  scene("removed and installed anew at once: the new entry is there, the old one is reported once", async (stage) => {
    const { datapath, heard } = await stage.started();
    for (let i = 1; i <= 200; i++) {
      datapath.install(entry(i, matchOf(frame(9), 1), FIELDS, [output(i)]));
      if (i % 7 === 0) await until("written", () => stage.fake.cookies(1).includes(i));
      if (i < 200) datapath.remove(i);
    }
    await until("the last entry", () => stage.fake.cookies(1).join() === "200");
    await until("all removals", () => heard.removed.length === 199);
    assert.deepEqual(
      heard.removed.map((r) => r.cookie).sort((a, b) => a - b),
      Array.from({ length: 199 }, (_, i) => i + 1),
    );
  });

  scene("each end of an entry is reported once, with its counters", async (stage) => {
    const { datapath, heard } = await stage.started();
    for (const cookie of [1, 2, 3, 4]) datapath.install(flow(cookie));
    await until("entries", () => stage.fake.cookies(1).length === 4);
    for (const f of stage.fake.flows) f.packets = f.low;
    for (const [cookie, reason] of [
      [1, 0],
      [2, 1],
      [3, 2],
      [4, 5],
    ] as const)
      stage.fake.expire(cookie, reason);
    await until("removals", () => heard.removed.length === 4);
    assert.deepEqual(
      heard.removed.map((r) => `${r.cookie} ${r.reason} ${r.packets} ${r.bytes}`),
      ["1 idle 1 100", "2 hard 2 200", "3 deleted 3 300", "4 evicted 4 400"],
    );
    datapath.remove(1);
    assert.equal(datapath.stats().flows, 0);
  });

  scene("an entry that the switch does not take is reported removed, and said why", async (stage) => {
    const { datapath, heard, lines } = await stage.started();
    stage.fake.refuse = (f) => (f.low === 1 ? [5, 1] : null);
    datapath.install(flow(1));
    datapath.install(flow(2));
    await until("the removal", () => heard.removed.length === 1);
    assert.equal(heard.removed[0]?.cookie, 1);
    assert.ok(lines.some((l) => l.includes("FLOW_MOD_FAILED/TABLE_FULL") && l.includes("tp_dst=1")));
    assert.equal(datapath.stats().flows, 1);
    datapath.install(
      flow(
        1 + 8,
        Array.from({ length: 5000 }, () => output(3)),
      ),
    );
    await until("the removal of what fits no message", () => heard.removed.length === 2);
  });

  scene("packets of an entry on its way are served from here, once each, and counted as hits", async (stage) => {
    const { datapath, heard } = await stage.started();
    datapath.install(flow(1, [output(2)]));
    datapath.install(flow(5, []));
    for (let i = 0; i < 3; i++) stage.fake.packetIn(1, frame(1));
    stage.fake.packetIn(1, frame(5));
    stage.fake.packetIn(1, frame(3));
    await until("the packet of no entry", () => heard.packets.length === 1);
    await until("three packet-outs", () => stage.fake.packetOuts.length === 3);
    const { hits, upcalls } = datapath.stats();
    assert.deepEqual([hits, upcalls], [4, 1]);
    assert.deepEqual(datapath.counters(1), { packets: 3, bytes: 3 * frame(1).length });
  });

  scene("too long packets of an entry with tunnel outputs come up; tags count", async (stage) => {
    const run = stage.run();
    const tagged = ipv4Frame({ vlans: [5] });
    run.config.tunnelFrameLimit = tagged.length;
    const { datapath, heard } = run;
    await datapath.start();
    const tunnel: FlowAction[] = [{ kind: "set-tunnel", key: 1, dst: 0x0a00_0009 }, output(TUNNEL_PORT)];
    datapath.install(entry(1, matchOf(frame(1), 1), F.InPort, tunnel));
    datapath.install(entry(2, matchOf(tagged, 1), F.InPort, tunnel));
    stage.fake.packetIn(1, frame(1));
    stage.fake.packetIn(1, tagged);
    await until("two packet-outs", () => stage.fake.packetOuts.length === 2);
    const room = tagged.length - ipv4Frame({ payload: new Uint8Array(0) }).length;
    const long = ipv4Frame({ payload: new Uint8Array(room + 1) });
    const longTagged = ipv4Frame({ vlans: [5], payload: new Uint8Array(room - 3) });
    stage.fake.packetIn(1, long);
    stage.fake.packetIn(1, longTagged);
    await until("the long ones", () => heard.packets.length === 2);
    assert.deepEqual(
      heard.packets.map((p) => p.frame.length),
      [tagged.length + 1, tagged.length + 1],
    );
    await until("the entries", () => stage.fake.cookies(1).length === 2);
    // Another underlay: the entries are written anew, in place.
    const before = new Set(stage.fake.flows.filter((f) => f.high >>> 21 === 1).map((f) => f.instructions));
    run.config.tunnelFrameLimit = 9000;
    run.config.port({ ofport: TUNNEL_PORT, name: "vx0", kind: "tunnel", up: true });
    const changed = (): boolean => stage.fake.flows.every((f) => f.high >>> 21 !== 1 || !before.has(f.instructions));
    await until("the new limit", changed);
    assert.equal(stage.fake.cookies(1).length, 2);
    assert.deepEqual(heard.removed, []);
  });

  scene("an entry that is missing in the switch is written again, and does not outlive its removal", async (stage) => {
    const { datapath, heard } = await stage.started();
    datapath.install(flow(1));
    await until("the entry", () => stage.fake.cookies(1).length === 1);
    const lost = stage.fake.flows.splice(3);
    await until(
      "the entry again",
      () => {
        stage.fake.packetIn(1, frame(1));
        return stage.fake.cookies(1).length === 1;
      },
      10_000,
    );
    assert.equal(heard.packets.length, 0);
    // Its first life was there all the same, and ends now.
    stage.fake.flows.unshift(...lost.map((f) => ({ ...f, match: "another" })));
    stage.fake.expire(1, 0);
    await until("the report", () => heard.removed.length === 1);
    await until("nothing left", () => stage.fake.cookies(1).length === 0);
  });

  scene("a part of the program that somebody removes comes back", async (stage) => {
    const { lines } = await stage.started();
    stage.fake.expire(1, 2, 2047);
    await until("the program", () => stage.fake.cookies(2047).length === 3);
    assert.ok(lines.some((l) => l.includes("somebody removed a part")));
  });

  scene("packet-outs: one message per frame, with every way it takes", async (stage) => {
    const { datapath } = await stage.started();
    const tunnel: FlowAction[] = [{ kind: "set-tunnel", key: 7, dst: 0x0a00_0009 }, output(TUNNEL_PORT)];
    const rewrite: FlowAction = { kind: "set-eth", src: 1, dst: 2 };
    datapath.packetOut(frame(1), [output(3), output(1), ...tunnel, rewrite, output(4), { kind: "output-in-port" }], 1);
    datapath.packetOut(frame(1), [output(TUNNEL_PORT), { kind: "output-in-port" }], 0);
    datapath.packetOut(frame(2), [output(5)], 0);
    await until("three messages", () => stage.fake.packetOuts.length === 3);
    const read = stage.fake.packetOuts.map((m) => {
      const actions = m.slice(24, 24 + readU16(m, 16));
      const ports: number[] = [];
      for (let at = 0; at < actions.length; at += readU16(actions, at + 2))
        ports.push(readU16(actions, at) === 0 ? readU32(actions, at + 4) : -readU16(actions, at));
      return { inPort: readU32(m, 12), ports, frame: m.slice(24 + actions.length) };
    });
    const changed = ipv4Frame({ dport: 1, ethSrc: 1, ethDst: 2 });
    assert.deepEqual(
      read.map((r) => ({ ...r, frame: [...r.frame] })),
      [
        { inPort: 1, ports: [3, -25, -25, TUNNEL_PORT], frame: [...frame(1)] },
        { inPort: 1, ports: [4, 0xffff_fff8], frame: [...changed] },
        { inPort: 0xffff_fffd, ports: [5], frame: [...frame(2)] },
      ],
    );
  });

  it("a switch may be reached by TCP too", () =>
    FakeStage.play(async (stage) => {
      const { datapath, heard } = await stage.started();
      datapath.install(flow(1));
      await until("the entry", () => stage.fake.cookies(1).length === 1);
      stage.fake.packetIn(1, frame(2));
      await until("a packet", () => heard.packets.length === 1);
    }, "tcp"));
});

describe("faults", () => {
  scene("the switch restarts: everything is replayed, nothing is reported", async (stage) => {
    const { datapath, heard, config } = await stage.started();
    for (let i = 1; i <= 50; i++) datapath.install(flow(i));
    await until("entries", () => stage.fake.cookies(1).length === 50);
    for (const f of stage.fake.flows) f.packets = 2;
    datapath.counters(7);
    await until("a counter", () => datapath.counters(7)?.packets === 2);
    await until("the sum", () => datapath.stats().hits === 100);
    await stage.fake.close("lose");
    await until("the end of the link", () => datapath.waitingFor().length === 1);
    assert.match(datapath.waitingFor()[0] as string, /OpenFlow connection to Open vSwitch at .*br-int\.mgmt \(.+\)/);
    datapath.install(flow(51));
    datapath.remove(50);
    datapath.remove(49);
    await until("reports", () => heard.removed.length === 2);
    await stage.fake.listen();
    config.bridgeReady();
    await until("the replay", () => stage.fake.cookies(1).length === 49);
    assert.deepEqual(sorted(stage.fake.cookies(1)), [...Array.from({ length: 48 }, (_, i) => i + 1), 51]);
    assert.deepEqual(datapath.waitingFor(), []);
    assert.equal(heard.removed.length, 2);
    assert.equal(datapath.counters(7)?.packets, 2, "what it served before still counts");
    for (const f of stage.fake.flows) f.packets = 1;
    await until("the sum goes on", () => datapath.stats().hits === 100 + 49);
    assert.deepEqual(sorted(stage.fake.cookies(2047)), PROGRAM);
  });

  scene(
    "only the connection ends: what is in the switch stays untouched, the difference is made good",
    async (stage) => {
      const { datapath, heard } = await stage.started();
      for (const cookie of [1, 2, 3]) datapath.install(flow(cookie));
      await until("entries", () => stage.fake.cookies(1).length === 3);
      for (const f of stage.fake.flows) f.packets = 5;
      await stage.fake.close("keep");
      await until("the end of the link", () => datapath.waitingFor().length === 1);
      datapath.remove(2);
      stage.fake.flows = stage.fake.flows.filter((f) => f.low !== 3 || f.high >>> 21 !== 1);
      await stage.fake.listen();
      await until("the difference", () => sorted(stage.fake.cookies(1)).join() === "1,3");
      assert.equal(stage.fake.flows.find((f) => f.low === 1 && f.high >>> 21 === 1)?.packets, 5);
      assert.deepEqual(
        heard.removed.map((r) => r.cookie),
        [2],
      );
    },
  );

  scene("a removal that the switch never confirms is reported all the same, once", async (stage) => {
    const { datapath, heard } = await stage.started();
    datapath.install(flow(1));
    await until("the entry", () => stage.fake.cookies(1).length === 1);
    stage.fake.flows = stage.fake.flows.filter((f) => f.high >>> 21 !== 1);
    datapath.remove(1);
    await until("the report", () => heard.removed.length === 1, 10_000);
    assert.deepEqual(heard.removed, [{ cookie: 1, reason: "deleted", packets: 0, bytes: 0 }]);
  });

  scene("the link breaks while removals are under way: each is reported once", async (stage) => {
    const { datapath, heard } = await stage.started();
    for (let i = 1; i <= 100; i++) datapath.install(flow(i));
    await until("entries", () => stage.fake.cookies(1).length === 100);
    for (let i = 1; i <= 100; i++) datapath.remove(i);
    stage.fake.cut();
    await until("all reports", () => heard.removed.length === 100);
    await until("all gone", () => stage.fake.cookies(1).length === 0 && datapath.waitingFor().length === 0);
    assert.equal(new Set(heard.removed.map((r) => r.cookie)).size, 100);
  });

  scene("what an ended connection still had for the switch, and came in late, does not stay", async (stage) => {
    const { datapath } = await stage.started();
    datapath.install(flow(1));
    datapath.install(flow(2));
    await until("entries", () => stage.fake.cookies(1).length === 2);
    const late = stage.fake.flows.find((f) => f.low === 2 && f.high >>> 21 === 1);
    assert.ok(late !== undefined);
    stage.fake.cut();
    await until("the end of the link", () => datapath.waitingFor().length > 0);
    datapath.remove(2);
    stage.fake.flows = stage.fake.flows.filter((f) => f !== late);
    await until("the next link", () => datapath.waitingFor().length === 0);
    stage.fake.flows.push(late);
    await until("its end", () => stage.fake.cookies(1).join() === "1", 10_000);
  });

  scene("the link breaks while an entry is about to be written again: its end is reported still", async (stage) => {
    const { datapath, heard, lines } = await stage.started();
    datapath.install(flow(1));
    await until("the entry", () => stage.fake.cookies(1).length === 1);
    const written = performance.now();
    await until("time enough to miss it", () => performance.now() - written > 2_100);
    // So many changes make the next one wait for its batch.
    for (let i = 2; i <= 40; i++) datapath.install(flow(i));
    stage.fake.packetIn(1, frame(1));
    await until("the decision", () => lines.some((l) => l.includes("an entry is written again")));
    stage.fake.cut();
    await until("the end of the link", () => datapath.waitingFor().length > 0);
    await until("the next link", () => datapath.waitingFor().length === 0 && stage.fake.cookies(1).length === 40);
    datapath.install(flow(41));
    await until("what was due before", () => stage.fake.cookies(1).length === 41);
    stage.fake.expire(1, 0);
    await until("the report", () => heard.removed.length === 1);
    assert.equal(heard.removed[0]?.reason, "idle");
  });

  scene("nonsense ends the connection with a reason, and the next one is as good as new", async (stage) => {
    const { datapath, heard, lines } = await stage.started();
    datapath.install(flow(1));
    await until("the entry", () => stage.fake.cookies(1).length === 1);
    const before = stage.fake.connections;
    stage.fake.event(Uint8Array.of(4, 22, 0, 8, 0, 0, 0, 9));
    await until("the end", () => lines.some((l) => l.includes("a switch does not send QUEUE_GET_CONFIG_REQUEST here")));
    await until("the next link", () => stage.fake.connections === before + 5 && datapath.waitingFor().length === 0);
    stage.fake.packetIn(1, frame(9));
    await until("a packet", () => heard.packets.length === 1);
    assert.deepEqual(stage.fake.cookies(1), [1]);
  });

  scene("a switch that is not there at first, then speaks another version, then is mended", async (stage) => {
    await stage.fake.close();
    const { datapath, lines, config } = stage.run();
    const started = datapath.start();
    await until("a failure", () => lines.some((l) => l.includes("ENOENT") || l.includes("ECONNREFUSED")));
    stage.fake.corrupt = (bytes) => (bytes[1] === 0 ? Uint8Array.of(1, 0, 0, 8, 0, 0, 0, 1) : bytes);
    await stage.fake.listen();
    await until("the version", () => lines.some((l) => l.includes("speaks OpenFlow wire version 1")));
    stage.fake.corrupt = (bytes) => bytes;
    config.bridgeReady();
    await started;
    assert.deepEqual(datapath.waitingFor(), []);
  });

  scene("a listener that throws does not tear the stream", async (stage) => {
    const { heard, lines } = await stage.started();
    heard.onPacket = () => {
      throw new Error("a defect");
    };
    for (let i = 0; i < 3; i++) stage.fake.packetIn(1, frame(i + 1));
    await until("all packets", () => heard.packets.length === 3);
    assert.equal(lines.filter((l) => l.includes("a defect")).length, 3);
  });

  scene("stop is the end of all calls, also while it is starting", async (stage) => {
    const running = await stage.started();
    await running.datapath.stop();
    stage.fake.packetIn(1, frame(1));
    await stage.fake.close();
    const starting = stage.run();
    const started = starting.datapath.start();
    await starting.datapath.stop();
    await started;
    assert.equal(running.heard.packets.length + starting.heard.packets.length, 0);
  });
});

describe("rounds", () => {
  scene(
    "a new run takes another round and a higher priority, and leaves the flows alone until it is told",
    async (stage) => {
      const first = await stage.started();
      for (let i = 1; i <= 100; i++) first.datapath.install(flow(i));
      await until("entries", () => stage.fake.cookies(1).length === 100);
      await first.datapath.stop();
      const second = await stage.started();
      second.datapath.install(flow(1));
      await until("the new entry", () => stage.fake.cookies(2).length === 1);
      assert.equal(stage.fake.cookies(1).length, 100);
      assert.equal(stage.fake.flows.find((f) => f.high >>> 21 === 2)?.priority, 1001);
      assert.equal(stage.fake.cookies(2047).length, 3, "one program for both");
      second.datapath.retireEarlierFlows(() => false);
      second.datapath.retireEarlierFlows(() => false);
      await until("the end of the old flows", () => stage.fake.cookies(1).length === 0);
      assert.deepEqual(stage.fake.cookies(2), [1]);
      assert.deepEqual(second.heard.removed, [], "old flows are nobody's business");
      await until("the last line", () => second.lines.some((l) => l.includes("flows of earlier runs are gone")));
    },
  );

  scene("an agent that gets the bridge back from another one begins a new run", async (stage) => {
    const first = await stage.started();
    first.datapath.install(flow(1));
    await until("the entry", () => stage.fake.cookies(1).length === 1);
    first.config.bridgeTaken();
    // The other one: by chance of the same round, with another entry of the same number.
    stage.fake.flows = stage.fake.flows.filter((f) => f.high >>> 21 !== 1);
    const other = await stage.started();
    other.datapath.install(flow(1, [output(9)]));
    await until("the other's entry", () => stage.fake.cookies(1).length === 1);
    await other.datapath.stop();
    first.datapath.retireEarlierFlows(() => false);
    first.config.bridgeReady();
    await until(
      "the entry, and no other",
      () => stage.fake.cookies(2).join() === "1" && stage.fake.cookies(1).length === 0,
    );
    assert.deepEqual(first.heard.removed, []);
  });

  scene("told before the switch was seen, or while it is away: it happens when it is back", async (stage) => {
    const first = await stage.started();
    for (let i = 1; i <= 60; i++) first.datapath.install(flow(i));
    await until("entries", () => stage.fake.cookies(1).length === 60);
    await first.datapath.stop();
    const second = stage.run(0);
    second.datapath.retireEarlierFlows(() => false);
    await second.datapath.start();
    await until("some gone", () => stage.fake.cookies(1).length < 60);
    stage.fake.cut();
    await until("all gone", () => stage.fake.cookies(1).length === 0);
  });

  scene("flows end a few at a time, first one, each batch after the one before", async (stage) => {
    const first = await stage.started();
    for (let i = 1; i <= 200; i++) first.datapath.install(flow(i));
    await until("entries", () => stage.fake.cookies(1).length === 200);
    await first.datapath.stop();
    const second = await stage.started();
    stage.fake.log.length = 0;
    second.datapath.retireEarlierFlows(() => false);
    await until("all gone", () => stage.fake.cookies(1).length === 0);
    const batches = stage.fake.log
      .map((type) => (type === 14 ? "x" : " "))
      .join("")
      .split(/ +/)
      .map((batch) => batch.length)
      .filter((size) => size > 0);
    assert.deepEqual(batches, [1, 2, 4, 8, 16, 24, 24, 24, 24, 24, 24, 24, 1]);
  });

  scene("no more flows end while the agent is busy with those that have, but not for ever", async (stage) => {
    const first = await stage.started();
    for (let i = 1; i <= 7; i++) first.datapath.install(flow(i));
    await until("entries", () => stage.fake.cookies(1).length === 7);
    await first.datapath.stop();
    const second = await stage.started();
    const left: number[] = [];
    second.datapath.retireEarlierFlows(() => {
      left.push(stage.fake.cookies(1).length);
      // Busy for three looks after the first batch, and for ever after the second.
      return left.length <= 3 || left.at(-1) === 4;
    });
    await until("all gone", () => stage.fake.cookies(1).length === 0);
    assert.deepEqual(left.slice(0, 5), [6, 6, 6, 6, 4]);
  });
});
