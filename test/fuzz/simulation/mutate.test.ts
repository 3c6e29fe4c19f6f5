import assert from "node:assert/strict";
import test from "node:test";
import { hex, SeededRandom } from "#core/base";
import { FlowMatch, parseFlowMatch } from "#core/flows";
import {
  buildArpRequest,
  buildIcmpEcho,
  buildIcmpError,
  buildTcp,
  buildUdp,
  decodeFrame,
  setEthDst,
  setEthSrc,
} from "#core/packets";
import { CLOSED_GATE, PacketContext, Simulation } from "#core/simulation";
import { VERDICTS, decodeTraceState, encodeTraceState, packetToken, traceKeyOf, TraceTable } from "#core/tracing";
import { corpus, realCapture } from "../../unit/packets/support.ts";
import { FakeGate, ip, mac, Scene } from "../../support/simulation-scene.ts";
import { TopologyBuilder } from "../../support/topology-builder.ts";
import { STATE } from "../../support/tracing-samples.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20_000);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 1);
const random = new SeededRandom(seed);
const below = (n: number): number => Math.floor(random.next() * n);

const ROUTER = "ac:ca:ba:00:00:01";
const ENDS = { ethSrc: mac("02:00:00:00:00:0a"), ethDst: mac(ROUTER), ipSrc: ip("10.0.1.10"), ipDst: ip("10.0.2.20") };

/** Every kind of device and filter: VLANs, two routers, ICMP-sending rules, a trace on each device. */
function scene(): Scene {
  const t = new TopologyBuilder();
  t.chain("mixed", [
    { type: "drop", condition: { dlType: 0x88cc } },
    { type: "reject", condition: { nwProto: 17, tpDst: { start: 1, end: 20 } } },
    { type: "jump", to: "more", condition: { nwProto: 6 } },
    { type: "drop", condition: { icmpDataDstIpAddress: "10.9.9.9" } },
    { type: "drop", condition: { fragmentPolicy: "nonheader", nwTos: 7 } },
  ]);
  t.chain("more", [{ type: "accept", condition: { vlan: 5 } }, { type: "return" }]);
  const both = { inFilter: "mixed", outFilter: "mixed" };
  t.bridge("b", both).bridge("c").bridge("v").router("r", both).router("s");
  t.port("b/a", { host: "h1", ...both })
    .port("b/z", { host: "h2" })
    .port("b/v5", { vlan: 5 })
    .port("b/up");
  t.port("v/up").port("v/x", { host: "h1" }).port("c/up").port("c/d", { host: "h2" });
  t.routerPort("r/b", "10.0.1.1/24", { mac: ROUTER }).routerPort("r/s", "10.0.3.1/30");
  t.routerPort("s/r", "10.0.3.2/30").routerPort("s/c", "10.0.2.1/24");
  t.link("b/up", "r/b").link("b/v5", "v/up").link("r/s", "s/r").link("s/c", "c/up");
  t.route("r", { dst: "10.0.1.0/24", port: "b" }).route("r", { port: "s", gateway: "10.0.3.2" });
  t.route("s", { dst: "10.0.2.0/24", port: "c" }).route("s", { dst: "10.0.1.0/24", port: "r", gateway: "10.0.3.1" });
  for (const device of ["b/a", "b", "r", "c"]) t.trace(device, device, { nwProto: 17, invNwProto: device === "r" });
  const s = new Scene(t)
    .neighbour("s", "10.0.2.20", "02:00:00:00:00:0d")
    .neighbour("r", "10.0.1.10", "02:00:00:00:00:0a");
  return s.at("b/a", "02:00:00:00:00:0a").at("c/d", "02:00:00:00:00:0d");
}

function seeds(): Uint8Array[] {
  const ports = { srcPort: 1000, dstPort: 80 };
  const udp = buildUdp({ ...ENDS, ...ports, payload: new Uint8Array(8) });
  const real = [...realCapture().frames, ...corpus()].map((f) => f.bytes);
  return [
    ...real,
    ...real.map((frame) => withMacs(frame)),
    udp,
    buildTcp({ ...ENDS, ...ports }),
    buildUdp({ ...ENDS, ...ports, vlans: [5] }),
    buildUdp({ ...ENDS, ...ports, vlans: [5, 7] }),
    buildIcmpEcho({ ...ENDS, icmpId: 7, seq: 1 }),
    buildIcmpEcho({ ...ENDS, ipDst: ip("10.0.1.1"), icmpId: 7, seq: 1 }),
    buildIcmpError({ ...ENDS, type: 3, code: 1, quotedFrame: udp }),
    buildArpRequest({ senderMac: ENDS.ethSrc, senderIp: ENDS.ipSrc, targetIp: ip("10.0.1.1") }),
  ];
}

/** A copy that goes to the router. */
function withMacs(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  setEthSrc(copy, ENDS.ethSrc);
  setEthDst(copy, ENDS.ethDst);
  return copy;
}

/** A copy, cut to 200 bytes, with one to five bits flipped, bytes put in or taken out, or cut off. */
function mutated(frame: Uint8Array): Uint8Array {
  const b = Array.from(frame.subarray(0, 200));
  for (let edits = below(6); edits > 0; edits--) {
    const i = below(b.length + 1);
    const how = below(5);
    if (how === 0) b[i] = (b[i] ?? 0) ^ (1 << below(8));
    else if (how === 1) b[i] = below(256);
    else if (how === 2) b.splice(i, 0, below(256));
    else if (how === 3) b.splice(i, 1);
    else b.length = i;
  }
  return Uint8Array.from(b, (v) => v ?? 0);
}

/** Heap in use after a collection, MiB; NaN without --expose-gc. */
function heapMiB(): number {
  if (globalThis.gc === undefined) return Number.NaN;
  globalThis.gc();
  return process.memoryUsage().heapUsed / 2 ** 20;
}

test(`${iterations} mutated frames through decode and simulation, MIDOTRACE_FUZZ_SEED=${seed}`, (t) => {
  t.diagnostic(`seed ${seed}`);
  const s = scene();
  const starts = seeds();
  const port = s.t.portId("b/a");
  const off = new PacketContext(s.view);
  const on = new PacketContext(s.view);
  const untraced = new Simulation(s.view, s.state, CLOSED_GATE);
  const match = new FlowMatch();
  const verdicts = new Map<string, number>();
  let before = Number.NaN;
  for (let n = 0; n < iterations; n++) {
    // What is compiled and allocated once is there after the first tenth.
    if (n === Math.floor(iterations / 10)) before = heapMiB();
    const frame = mutated(starts[below(starts.length)] as Uint8Array);
    try {
      decodeFrame(frame);
      parseFlowMatch(frame, match);
      untraced.run(off.begin(frame, port, false));
      new Simulation(s.view, s.state, new FakeGate()).run(on.begin(frame, port, false));
      assert.ok(off.wait !== null || off.verdict in VERDICTS);
      assert.ok(off.wait !== null || off.verdict !== "unknown", "every packet ends");
      assert.deepEqual(
        [on.verdict, on.dropReason, on.outputs.length],
        [off.verdict, off.dropReason, off.outputs.length],
      );
      for (const packet of off.generatedPackets) decodeFrame(packet.frame);
      if (off.wait !== null) untraced.giveUp(off, "arp-timeout", "");
    } catch (cause) {
      throw new Error(`seed ${seed}, iteration ${n}: keep this frame in the corpus: ${hex(frame)}`, { cause });
    }
    const key = `${off.verdict} ${off.dropReason ?? ""}`;
    verdicts.set(key, (verdicts.get(key) ?? 0) + 1);
  }
  t.diagnostic([...verdicts].map(([k, v]) => `${k}: ${v}`).join(", "));
  const growth = heapMiB() - before;
  t.diagnostic(`heap growth ${growth.toFixed(1)} MiB`);
  assert.ok(Number.isNaN(growth) || growth < 8, `the heap grew by ${growth} MiB`);
  assert.ok(verdicts.size > 8, "the mutations reach all kinds of ends");
});

test(`${iterations} mutated trace states through the codec and the table, MIDOTRACE_FUZZ_SEED=${seed}`, (t) => {
  const table = new TraceTable<number>({ maxEntries: 256, maxHeld: 64 });
  const starts = seeds();
  const m = new FlowMatch();
  let held = 0;
  let released = 0;
  let accepted = 0;
  let before = Number.NaN;
  for (let n = 0; n < iterations; n++) {
    if (n === Math.floor(iterations / 10)) before = heapMiB();
    const frame = starts[below(starts.length)] as Uint8Array;
    parseFlowMatch(frame, m);
    const key = traceKeyOf(m);
    const token = packetToken(frame);
    const message = encodeTraceState({ ...STATE, key, token, tunnelKeys: [below(4) + 1] })[0] as Uint8Array;
    // Half of them whole; the others must be refused or be what was written.
    const decoded = decodeTraceState(below(2) === 0 ? message : mutated(message));
    const nowMs = n * 10;
    if (decoded.ok) {
      accepted++;
      released += table.put(decoded.state, "192.0.2.1", nowMs).length;
    } else assert.ok(decoded.reason !== "");
    const arrival = { fromIp: "192.0.2.1", tunnelKey: below(4) + 1, key, token };
    if (table.match(arrival, nowMs) === null) {
      held++;
      released += table.hold(arrival, n, nowMs).length;
    }
    released += table.expire(nowMs).length;
    assert.ok(table.size <= 256 && table.heldCount <= 64);
    assert.equal(held - released, table.heldCount, "every held arrival comes back exactly once");
  }
  const growth = heapMiB() - before;
  t.diagnostic(`seed ${seed}, ${accepted} accepted, ${held} held, heap growth ${growth.toFixed(1)} MiB`);
  assert.ok(Number.isNaN(growth) || growth < 8, `the heap grew by ${growth} MiB`);
  assert.ok(accepted > iterations / 3 && held > 0);
});
