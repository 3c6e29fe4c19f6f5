import assert from "node:assert/strict";
import { it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { SeededRandom, writeU16 } from "#core/base";
import { F } from "#core/flows";
import { Output, Session } from "#protocols/openflow";
import { ipv4Frame } from "../../support/datapath-frames.ts";
import { entry, matchOf, output } from "../../support/datapath-rig.ts";
import { FROM_SWITCH as S } from "../../support/openflow-samples.ts";
import { FakeStage, until } from "../../support/openflow-kit.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20_000);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 20_161_123);
/** Longer runs by time: as many seconds for each of the two tests instead of a number of iterations. */
const seconds = Number(process.env["MIDOTRACE_FUZZ_SECONDS"] ?? 0);

function* rounds(count: number): Generator<number> {
  const end = performance.now() + seconds * 1000;
  for (let i = 0; seconds > 0 ? performance.now() < end : i < count; i++) yield i;
}

class Mutator {
  private readonly random = new SeededRandom(seed);
  below(n: number): number {
    return Math.floor(this.random.next() * n);
  }

  /** Bytes changed, cut out, doubled; lengths put right or wrong. */
  mutate(bytes: Uint8Array): Uint8Array {
    let b = bytes.slice();
    for (let n = 1 + this.below(4); n > 0 && b.length > 0; n--) {
      const at = this.below(b.length);
      const kind = this.below(8);
      if (kind < 4) b[at] = kind < 2 ? this.below(256) : ([0, 1, 0x7f, 0xff][this.below(4)] as number);
      else if (kind === 4) b = Uint8Array.of(...b.slice(0, at), ...b.slice(at + 1 + this.below(8)));
      else if (kind === 5) b = Uint8Array.of(...b.slice(0, at), ...b.slice(this.below(at + 1), at), ...b.slice(at));
      else if (kind === 6 && b.length >= 4) writeU16(b, 2, b.length);
      else b[at] = (b[at] as number) ^ (1 << this.below(8));
    }
    return b;
  }
}

it(`whatever a switch sends, a session goes on or ends with a reason (seed ${seed})`, (t) => {
  const m = new Mutator();
  const frame = ipv4Frame();
  const all = { table: 0xff, cookie: { high: 0, low: 0 }, cookieMask: { high: 0, low: 0 } };
  const ends = new Map<string, number>();
  let packets = 0;
  let runs = 0;
  for (const _ of rounds(iterations)) {
    runs++;
    const output = new Output(256);
    let failed = "";
    let said = 0;
    const session = new Session(
      output,
      {
        ready: () => said++,
        packetIn: (p, b) => {
          packets++;
          assert.ok(p.frameStart <= p.frameEnd && p.frameEnd <= b.length && p.inPort > 0);
        },
        flowRemoved: (r) => assert.ok(r.packets >= 0 && r.bytes >= 0),
        refused: (_e, _b, text) => assert.ok(text.length > 10),
        failed: (reason) => {
          assert.equal(failed, "", "the end is said once");
          failed = reason;
        },
      },
      { receivesEvents: true },
    );
    session.opened(0);
    if (m.below(4) > 0) session.received(S.hello(), 1);
    session.received(S.features(2), 1);
    session.flowStats(
      all,
      (r) => assert.ok(r.packets >= 0),
      () => {},
    );
    session.aggregate(all, (sum) => assert.ok(sum.packets >= 0));
    session.ports((ports) => assert.ok(ports.length < 2000));
    session.barrier(() => {});
    const samples = [
      S.packetIn({ inPort: 1, frame }),
      S.packetIn({ inPort: 100, frame, tunnel: [0x2a, 1, 2] }),
      S.flowRemoved({ high: 1 << 21, low: 1, reason: 0, packets: 1, bytes: 2 }),
      S.flowStats(4, [{ high: 1, low: 2, packets: 3 }], true),
      S.aggregate(5, 1, 1),
      S.ports(6, [{ ofport: 1, name: "a", live: true }]),
      S.message(21, 7, new Uint8Array()),
      S.error(9, 4, 9, S.message(14, 9, new Uint8Array(56))),
      S.message(2, 1, Uint8Array.of(1, 2, 3)),
      S.hello(),
      S.features(2),
    ];
    for (let n = 1 + m.below(6); n > 0; n--) {
      const sample = samples[m.below(samples.length)] as Uint8Array;
      const bytes = m.below(3) > 0 ? m.mutate(sample) : sample;
      const cut = m.below(bytes.length + 1);
      session.received(bytes.subarray(0, cut), 2);
      session.received(bytes.subarray(cut), 2);
    }
    session.tick(3);
    if (failed !== "") {
      const kind = failed.replaceAll(/\d+/g, "n");
      ends.set(kind, (ends.get(kind) ?? 0) + 1);
    }
  }
  t.diagnostic(`${runs} streams, ${packets} packets read, ${ends.size} kinds of ends`);
  assert.ok(packets > runs / 20, "the fuzzer gets through the front door");
  assert.ok(ends.size > 10, "and meets many reasons to end");
});

it(`a switch whose bytes are damaged: the process stays, the link comes back (seed ${seed})`, async (t) => {
  await FakeStage.play(async (stage) => {
    const { fake } = stage;
    const run = await stage.started();
    const { datapath, heard, lines } = run;
    const m = new Mutator();
    const frame = ipv4Frame({ dport: 7 });
    let cookie = 0;
    for (const _ of rounds(Math.max(50, iterations / 100))) {
      fake.corrupt = (bytes) => (m.below(20) === 0 ? m.mutate(bytes) : bytes);
      for (let n = 0; n < 5; n++) {
        datapath.install(
          entry(
            ++cookie,
            matchOf(ipv4Frame({ dport: cookie % 60_000 }), 1),
            F.InPort | F.TpDst | F.EtherType | F.NwProto,
            [output(2)],
          ),
        );
        if (cookie > 40) datapath.remove(cookie - 40);
        fake.packetIn(1, frame);
        datapath.stats();
        datapath.counters(cookie - n);
        for (let k = 0; k < 3; k++) await turn();
      }
      if (datapath.waitingFor().length === 0) continue;
      // The damage may go on while the link is made anew; it does not have to.
      if (m.below(2) === 0) await turn();
      fake.corrupt = (bytes) => bytes;
      run.config.bridgeReady();
      await until("the link", () => datapath.waitingFor().length === 0, 20_000);
    }
    fake.corrupt = (bytes) => bytes;
    run.config.bridgeReady();
    await until("the link", () => datapath.waitingFor().length === 0, 20_000);
    await until(
      "the declared entries and no other",
      () => {
        const there = fake.cookies(1).length;
        return there === datapath.stats().flows;
      },
      20_000,
    );
    const ends = lines.filter((l) => l.includes("the connection to Open vSwitch ended"));
    t.diagnostic(
      `${cookie} entries, ${fake.connections} connections, ${ends.length} ended, ${heard.packets.length} packets`,
    );
    assert.ok(ends.length > 0, "the damage was felt");
    for (const line of ends) assert.match(line, /"reason":"[^"]{5,}/);
    const counted = new Map<number, number>();
    for (const r of heard.removed) counted.set(r.cookie, (counted.get(r.cookie) ?? 0) + 1);
    for (const [c, n] of counted) assert.equal(n, 1, `the end of ${c} was reported ${n} times`);
    for (let c = 1; c <= cookie - 40; c++) assert.ok(counted.has(c), `the end of ${c} was reported`);
  });
});
