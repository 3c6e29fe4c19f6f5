/**
 * The server's byte stream, mutated: the machine never throws, every request is settled exactly once, a broken stream drops
 * the connection with a reason, and a sound server afterwards gets the session going again.
 * MIDOTRACE_FUZZ_ITERATIONS, MIDOTRACE_FUZZ_SECONDS (a time instead of a number), MIDOTRACE_FUZZ_SEED.
 */
import assert from "node:assert/strict";
import { it } from "node:test";
import { SeededRandom } from "#core/base";
import {
  addWatch,
  type Call,
  ERR,
  EVENT,
  exists,
  getChildren,
  getData,
  multi,
  multiRead,
  OP,
  XID,
  type ZkRequest,
} from "#protocols/zookeeper";
import { Bench, greeting, joined, notice, reply, type Sent, stat } from "../../support/zookeeper-bytes.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 4000);
const seconds = Number(process.env["MIDOTRACE_FUZZ_SECONDS"] ?? 0);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 20_161_123);

const random = new SeededRandom(seed);
const below = (n: number): number => Math.floor(random.next() * n);

class Once implements Call<unknown> {
  settled = 0;
  reason: string | null = null;
  answered(): void {
    this.settled++;
  }
  failed(reason: string): void {
    this.settled++;
    this.reason = reason;
  }
}

const set = { op: "set", path: "/n", data: Uint8Array.of(1), version: 0 } as const;
const REQUESTS: readonly (() => ZkRequest<unknown>)[] = [
  () => exists("/n"),
  () => getData("/n"),
  () => getChildren("/n"),
  () => addWatch("/"),
  () => multi([set, { op: "check", path: "/n", version: 1 }]),
  () => multiRead(["/a", "/b", "/c"]),
];

/** What a sound server says to one request. */
function answer({ xid, op }: Sent, zxid: bigint): Uint8Array {
  switch (op) {
    case OP.exists:
      return below(3) === 0 ? reply(xid, zxid, ERR.noNode) : reply(xid, zxid, 0, (w) => stat(w));
    case OP.getData:
      return reply(xid, zxid, 0, (w) => stat(w.buffer(new Uint8Array(below(300)))));
    case OP.getChildren:
      return reply(xid, zxid, 0, (w) => w.ustrings(Array.from({ length: below(40) }, (_, i) => `child-${i}`)));
    case OP.multi:
      return reply(xid, zxid, 0, (w) => {
        if (below(2) === 0) stat(w.int(OP.setData).bool(false).int(0)).int(OP.check).bool(false).int(0);
        else for (const code of [ERR.badVersion, -2]) w.int(-1).bool(false).int(code).int(code);
        w.int(-1).bool(true).int(-1);
      });
    case OP.multiRead:
      return reply(xid, zxid, 0, (w) => {
        for (let i = 0; i < 3; i++) {
          if (below(3) === 0) w.int(-1).bool(false).int(ERR.noNode).int(ERR.noNode);
          else
            stat(
              w
                .int(OP.getData)
                .bool(false)
                .int(0)
                .buffer(Uint8Array.of(1, 2, 3)),
            );
        }
        w.int(-1).bool(true).int(-1);
      });
    case OP.setWatches2:
    case OP.ping:
    default:
      return reply(op === OP.setWatches2 ? XID.setWatches : xid, zxid, 0, (w) => w.int(0));
  }
}

function mutate(stream: Uint8Array): Uint8Array {
  let b: Uint8Array = stream.slice();
  for (let edits = 1 + below(4); edits > 0 && b.length > 0; edits--) {
    const at = below(b.length);
    switch (below(7)) {
      case 0: // a bit
        b[at] = (b[at] as number) ^ (1 << below(8));
        break;
      case 1: // a byte
        b[at] = below(256);
        break;
      case 2: // a length, or any int
        new DataView(b.buffer, b.byteOffset).setInt32(
          Math.min(at & ~3, Math.max(0, b.length - 4)),
          [0, -1, 2 ** 31 - 1, -(2 ** 31), below(2 ** 24)][below(5)] as number,
        );
        break;
      case 3: // cut
        b = b.slice(0, at);
        break;
      case 4: // a piece left out
        b = joined([b.subarray(0, at), b.subarray(Math.min(b.length, at + 1 + below(30)))]);
        break;
      case 5: // a piece twice, or somewhere else
        b = joined([b.subarray(0, at), b.subarray(below(b.length)).slice(0, below(60)), b.subarray(at)]);
        break;
      default: // noise
        b = joined([b.subarray(0, at), Uint8Array.from({ length: below(40) }, () => below(256)), b.subarray(at)]);
    }
    if (b.length >= 4) continue;
    b = joined([b, new Uint8Array(4)]);
  }
  return b;
}

/** Brings the machine to `ready` with a server that says what it should. */
function recover(bench: Bench): void {
  for (let step = 0; step < 5000; step++) {
    if (bench.news.at(-1)?.kind === "ready") return;
    if (bench.resolving) bench.resolve();
    else if (bench.connecting !== null) {
      const request = bench.open();
      assert.ok(request, "a connection begins with the handshake");
      bench.say(greeting(request.session?.id ?? 0x51n, 9000));
      for (const sent of bench.sent()) bench.say(answer(sent, 1n));
    } else bench.advance(50);
  }
  assert.fail(`the session does not recover: ${JSON.stringify(bench.news.at(-1)?.kind)}`);
}

function conversation(): { readonly reset: boolean; readonly reasons: readonly string[] } {
  const glance = (): string[] => (below(2) === 0 ? [] : ["/a", "/b", "/c"]);
  const bench = new Bench({ watchedPaths: () => ["/", "/n"], operationTimeoutMs: 20_000, glance });
  bench.start();
  recover(bench);
  bench.news.length = 0;
  const dropsBefore = bench.drops;
  const calls: Once[] = [];
  // Nothing is asked yet: the machine has to, for an end of the transaction.
  if (below(3) === 0) bench.say(notice(EVENT.changed, "/n"));
  for (let i = 1 + below(8); i > 0; i--) {
    const call = new Once();
    calls.push(call);
    bench.take(
      bench.session.submit((REQUESTS[below(REQUESTS.length)] as () => ZkRequest<unknown>)(), call, bench.nowMs),
    );
  }
  const parts: Uint8Array[] = [];
  for (const sent of bench.sent()) {
    for (let n = below(3); n > 0; n--)
      parts.push(notice([EVENT.created, EVENT.deleted, EVENT.changed][below(3)] as number, `/n/${n}`));
    parts.push(answer(sent, BigInt(10 + parts.length)));
  }
  const stream = mutate(joined(parts));
  for (let at = 0; at < stream.length; ) {
    const length = 1 + below(stream.length);
    bench.say(stream.subarray(at, at + length));
    at += length;
  }
  // Nothing more comes: a stream cut within a frame is ended by its silence.
  bench.advance(9000);
  assert.ok(
    calls.every((call) => call.settled === 1),
    `settled: ${calls.map((call) => call.settled).join()}`,
  );
  assert.ok(bench.drops > dropsBefore, "dropped, for nonsense or at the latest for silence");
  const reasons = bench.news.flatMap((item) => (item.kind === "disconnected" ? [item.reason] : []));
  assert.equal(reasons.length, 1);
  assert.ok(reasons.every((reason) => reason.length > 10));
  for (const call of calls) assert.ok(call.reason === null || call.reason.length > 10);
  recover(bench);
  return { reset: /made no sense/.test(reasons[0] ?? ""), reasons };
}

it(`a mutated stream (seed ${seed})`, (t) => {
  let n = 0;
  let resets = 0;
  const reasons = new Set<string>();
  const endMs = performance.now() + seconds * 1000;
  for (; seconds > 0 ? performance.now() < endMs : n < iterations; n++) {
    try {
      const outcome = conversation();
      if (outcome.reset) resets++;
      for (const reason of outcome.reasons) reasons.add(reason.replace(/-?\d+/g, "N"));
    } catch (cause) {
      throw new Error(`seed ${seed}, iteration ${n}`, { cause });
    }
  }
  t.diagnostic(`${n} streams, ${resets} of them reset as nonsense, ${reasons.size} kinds of reasons`);
  assert.ok(resets > n / 4 && reasons.size > 8, "the mutations reach the decoders");
});

it(`a mutated handshake (seed ${seed})`, () => {
  for (let n = 0; n < iterations / 4; n++) {
    const bench = new Bench({ watchedPaths: () => ["/"] });
    bench.start();
    bench.open();
    bench.say(mutate(greeting(0x51n, 9000)));
    for (const sent of bench.sent()) bench.say(answer(sent, 1n));
    bench.advance(20_000);
    bench.news.length = 0;
    // Whatever session it believes to have, a sound server gets it to work again.
    recover(bench);
  }
});
