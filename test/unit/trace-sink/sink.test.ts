import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SINK_LIMITS, type SinkLimits } from "#adapters/trace-sink-http";
import { H1 } from "../../support/tracing-example.ts";
import { segmentNo, type SinkRig, sinkRig, urlNo } from "../../support/sink-rig.ts";

const A = urlNo(1);
const B = urlNo(2);
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** Runs `work` with a sink and stops it, while time goes on. */
function withSink(work: (r: SinkRig) => Promise<void>, limits: Partial<SinkLimits> = {}): () => Promise<void> {
  return async () => {
    const r = await sinkRig(limits);
    await work(r);
    const stopped = r.stop();
    await r.time.advance(SINK_LIMITS.stopMs);
    await stopped;
    assert.ok(r.net.closed);
    assert.equal(r.time.pending, 0, "no timer is left behind");
  };
}

describe("segments on their way to the collectors", () => {
  it(
    "go to every collector, in order, in batches, one request at a time and not too often",
    withSink(async ({ net, register, send, time, sink }) => {
      await register(1);
      await register(2);
      send(1, 1200);
      await time.advance(40);
      send(1201);
      await time.advance(400);
      for (const url of [A, B]) {
        const mine = net.requests.filter((d) => d.url === url);
        assert.deepEqual(
          mine.flatMap((d) => d.cookies),
          range(1, 1201),
        );
        assert.ok(mine.every((d) => d.cookies.length <= 500 && d.sizeBytes <= 1024 * 1024 + 1000));
        for (const [i, d] of mine.entries()) {
          const next = mine[i + 1];
          if (next !== undefined) assert.ok(next.atMs - d.atMs >= 50, `${next.atMs - d.atMs} ms`);
        }
        const sequences = mine.map((d) => d.sequence);
        assert.deepEqual(
          sequences,
          [...new Set(sequences)].sort((a, b) => a - b),
        );
      }
      assert.equal(net.mostOpen, 2, "one for each");
      assert.equal(sink.counters().delivered, 2402);
      assert.equal(sink.counters().waiting, 0);
    }),
  );

  it(
    "are sent at once when nothing was sent for a while",
    withSink(async ({ net, register, send, time }) => {
      await register(1);
      await time.advance(1_000);
      send(1, 3);
      await time.advance(0);
      assert.deepEqual(
        net.requests.map((d) => d.cookies),
        [[1, 2, 3]],
      );
      await time.advance(1_000);
      assert.equal(net.requests.length, 1, "and nothing when there is nothing");
    }),
  );

  it(
    "are repeated as they were until they are answered, with longer and longer pauses",
    withSink(async ({ net, register, send, time, sink, log }) => {
      await register(1);
      net.behaviour = () => "lost before";
      send(1, 2);
      await time.advance(1);
      send(3);
      await time.advance(60_000);
      const attempts = net.requests.length;
      assert.ok(attempts > 8 && attempts < 25, `${attempts} attempts in a minute`);
      const pauses = net.requests.slice(1).map((d, i) => d.atMs - (net.requests[i]?.atMs ?? 0));
      assert.ok((pauses[0] ?? 0) < 200 && Math.max(...pauses) <= 10_001 && Math.max(...pauses) > 5_000, pauses.join());
      assert.deepEqual(new Set(net.requests.map((d) => `${d.sequence} ${d.cookies.join()}`)), new Set(["1 1,2"]));
      assert.equal(sink.counters().failing, 1);
      net.behaviour = () => "answer";
      await time.advance(10_200);
      assert.deepEqual(net.has(A), [1, 2, 3]);
      assert.equal(sink.counters().failing, 0);
      assert.equal(log.filter((l) => l.startsWith("warn")).length, 1, "said once");
      assert.match(log.at(-1) ?? "", /takes trace segments again/);
    }),
  );

  it(
    "arrive also when answers are lost: then twice, under the same sequence",
    withSink(async ({ net, register, send, time }) => {
      await register(1);
      net.behaviour = () => (net.requests.length < 3 ? "lost after" : "answer");
      send(1, 4);
      await time.advance(5_000);
      assert.deepEqual(
        net.requests.map((d) => d.sequence),
        [1, 1, 1],
      );
      assert.deepEqual([...(net.taken.get(A)?.values() ?? [])], [3, 3, 3, 3]);
    }),
  );

  it(
    "are not kept by a collector that takes the request and is silent",
    withSink(async ({ net, register, send, time }) => {
      await register(1);
      net.behaviour = () => (net.requests.length < 2 ? "silent" : "answer");
      send(1);
      await time.advance(9_900);
      assert.equal(net.requests.length, 1);
      await time.advance(300);
      assert.deepEqual(net.has(A), [1]);
    }),
  );

  it(
    "are not kept by an answer that is none of a collector: a proxy's page, an error, a redirect",
    withSink(async ({ net, register, send, time }) => {
      await register(1);
      const answers = [503, 500, 404, 302, 429, 401, 204];
      net.behaviour = ({ url }) =>
        answers.shift() ?? (net.requests.length === 8 ? () => ({ status: 200, body: `<html>${url}` }) : "answer");
      send(1);
      await time.advance(60_000);
      assert.deepEqual(net.has(A), [1]);
      assert.equal(net.requests.length, 9);
    }),
  );
  it(
    "go to the collector that came later when the one that they waited for never answers and is forgotten",
    withSink(async ({ net, register, vanish, send, time, sink }) => {
      net.behaviour = (d) => (d.url === A ? "lost before" : "answer");
      await register(1);
      send(1, 3);
      await time.advance(1_000);
      await register(2);
      send(4);
      await time.advance(1_000);
      assert.deepEqual(net.has(B), [4], "the first ones wait for the collector that is still in the store");
      await vanish(1);
      await time.advance(SINK_LIMITS.forgetMs + 1_000);
      assert.deepEqual(net.has(B), [1, 2, 3, 4]);
      assert.equal(sink.counters().waiting, 0);
      assert.deepEqual(net.toldOf(B), []);
    }),
  );

  it(
    "leave word of losses also when the delivery that told of them was refused as a whole",
    withSink(async ({ net, register, send, time, sink }) => {
      await register(1);
      sink.lost(H1, 7, "the agent's queue of trace segments was full");
      send(1, 2);
      net.behaviour = (d) => (d.cookies.length > 0 ? 400 : "answer");
      await time.advance(1_000);
      assert.deepEqual(
        net.toldOf(A).map((l) => l.count),
        [7, 2],
      );
      net.behaviour = () => 400;
      const before = net.requests.length;
      sink.lost(H1, 1, "why");
      await time.advance(60_000);
      assert.equal(net.requests.length, before + 1, "what is refused by itself is not repeated for ever");
    }),
  );
});

describe("a queue that is full", () => {
  it(
    "loses the oldest, and the collector is told how many, when it is back",
    withSink(
      async ({ net, register, send, time, sink }) => {
        await register(1);
        await register(2);
        net.behaviour = ({ url }) => (url === A ? "lost before" : "answer");
        for (let n = 1; n <= 300; n++) {
          send(n);
          await time.advance(10);
        }
        await time.advance(60);
        assert.deepEqual(net.has(B), range(1, 300), "the other collector does not suffer");
        net.behaviour = () => "answer";
        await time.advance(20_000);
        const has = net.has(A);
        assert.equal(has.length, 100);
        assert.deepEqual(has.slice(-99), range(202, 300), "the newest, besides what was under way");
        assert.deepEqual(net.toldOf(A), [{ count: 200, why: "the agent's queue for this collector was full" }]);
        assert.deepEqual(net.toldOf(B), []);
        assert.equal(sink.counters().overflowed, 200);
      },
      { queueSegments: 100 },
    ),
  );

  it(
    "is bounded in bytes too",
    withSink(
      async ({ net, register, time, sink }) => {
        await register(1);
        net.behaviour = () => "lost before";
        const size = JSON.stringify(segmentNo(10)).length;
        for (let n = 10; n < 60; n++) sink.segment(segmentNo(n));
        assert.ok(sink.counters().waiting * size <= 40_000, `${sink.counters().waiting} of ${size}`);
        net.behaviour = () => "answer";
        await time.advance(20_000);
        const lost = net.toldOf(A).reduce((sum, l) => sum + l.count, 0);
        assert.equal(lost + net.has(A).length, 50);
      },
      { queueBytes: 40_000 },
    ),
  );

  it(
    "what its host lost before is told too, once, also when the answer is lost",
    withSink(async ({ net, register, time, sink }) => {
      await register(1);
      net.behaviour = () => (net.requests.length < 3 ? "lost after" : "answer");
      sink.lost(H1, 7, "full");
      sink.lost(H1, 1, "full");
      await time.advance(10_000);
      assert.deepEqual(net.toldOf(A), [{ count: 8, why: "full" }]);
    }),
  );
});

describe("what a collector refuses", () => {
  it(
    "is dropped, counted and told; the others are not asked again",
    withSink(async ({ net, register, send, time, sink, log }) => {
      await register(1);
      net.behaviour = (d) =>
        net.requests.length > 1
          ? "answer"
          : () => {
              const { accepted } = net.take({ ...d, cookies: [1, 3] });
              const refused = [{ index: 1, segmentId: "x", violations: [{ property: "verdict", message: "no" }] }];
              return { status: 200, body: JSON.stringify({ accepted, duplicates: 0, refused }) };
            };
      send(1, 3);
      await time.advance(1_000);
      assert.deepEqual(
        net.requests.map((d) => d.cookies),
        [[1, 2, 3], []],
      );
      assert.deepEqual(net.toldOf(A), [{ count: 1, why: "the collector refused segments" }]);
      assert.equal(sink.counters().refused, 1);
      assert.match(log.join(), /refused segments .*verdict/);
    }),
  );

  it(
    "as a whole does not stand in the way for ever",
    withSink(async ({ net, register, send, time, sink }) => {
      await register(1);
      net.behaviour = (d) => (d.cookies.includes(1) ? 400 : "answer");
      send(1, 3);
      await time.advance(60);
      send(4);
      await time.advance(1_000);
      assert.deepEqual(net.has(A), [4]);
      assert.deepEqual(net.toldOf(A), [{ count: 3, why: "the collector refused a whole delivery (HTTP 400)" }]);
      assert.equal(sink.counters().refused, 3);
    }),
  );

  it(
    "as too large goes in smaller parts, down to the one segment that is",
    withSink(async ({ net, register, send, time }) => {
      await register(1);
      net.behaviour = (d) => (d.cookies.length > 3 || d.cookies.includes(7) ? 413 : "answer");
      send(1, 20);
      await time.advance(20_000);
      assert.deepEqual(
        net.has(A),
        range(1, 20).filter((n) => n !== 7),
      );
      assert.deepEqual(net.toldOf(A), [{ count: 1, why: "a segment is larger than the collector takes" }]);
    }),
  );

  it(
    "a segment longer than any delivery is not even tried",
    withSink(async ({ net, register, time, sink }) => {
      await register(1);
      sink.segment(segmentNo(1, { hostName: "h".repeat(SINK_LIMITS.segmentBytes) }));
      await time.advance(100);
      assert.deepEqual(net.toldOf(A), [{ count: 1, why: "a segment is longer than a delivery may be" }]);
    }),
  );
});

describe("collectors that come and go", () => {
  it(
    "what comes before the first one waits for it, and for those that come with it",
    withSink(
      async ({ net, register, send, time, sink, collectors }) => {
        send(1, 120);
        sink.lost(H1, 2, "full");
        await time.advance(60_000);
        assert.equal(sink.counters().waiting, 100);
        await collectors.register({ id: "00000000-0000-4000-8000-0000000000d1", url: A });
        await time.advance(1_000);
        assert.deepEqual(net.has(A), range(21, 120));
        assert.deepEqual(net.toldOf(A), [
          { count: 20, why: "the agent knew no collector, and its backlog was full" },
          { count: 2, why: "full" },
        ]);
        await register(2);
        send(121);
        await time.advance(1_000);
        assert.deepEqual(net.has(B), [121], "who comes later gets what comes later");
      },
      { queueSegments: 100 },
    ),
  );

  it(
    "one that lost its session is delivered to all the same, and is itself when it is back",
    withSink(async ({ net, register, vanish, send, time, sink }) => {
      await register(1);
      send(1);
      await vanish(1);
      send(2);
      await time.advance(100_000);
      assert.deepEqual(net.has(A), [1, 2]);
      await register(1);
      await time.advance(100_000);
      send(3);
      await time.advance(100);
      assert.deepEqual(net.has(A), [1, 2, 3]);
      assert.equal(sink.counters().collectors, 1);
    }),
  );

  it(
    "one that is gone for long is forgotten, with what only it did not have",
    withSink(async ({ net, register, vanish, send, time, sink, log }) => {
      await register(1);
      await register(2);
      net.behaviour = ({ url }) => (url === A ? "lost before" : "answer");
      send(1, 5);
      await vanish(1);
      await time.advance(SINK_LIMITS.forgetMs + 1);
      assert.equal(sink.counters().collectors, 1);
      assert.equal(sink.counters().waiting, 0);
      const before = net.requests.length;
      send(6);
      await time.advance(30_000);
      assert.deepEqual(
        net.requests.slice(before).map((d) => d.url),
        [B],
      );
      assert.match(log.join(), /forgotten/);
    }),
  );

  it(
    "the next one gets what the only one did not have, when that came to nothing: at once, or after it was forgotten",
    withSink(async ({ net, register, vanish, send, time, sink }) => {
      for (const [n, waitMs] of [
        [1, 1_000],
        [3, SINK_LIMITS.forgetMs + 1_000],
      ] as const) {
        net.behaviour = () => "answer";
        await register(n);
        send(100 * n);
        await time.advance(100);
        net.behaviour = ({ url }) => (url === urlNo(n) ? "lost before" : "answer");
        send(100 * n + 1, 100 * n + 3);
        sink.lost(H1, 5, "full");
        await time.advance(100);
        await vanish(n);
        send(100 * n + 4);
        await time.advance(waitMs);
        await register(n + 1);
        await time.advance(1_000);
        assert.deepEqual(net.has(urlNo(n + 1)), range(100 * n + 1, 100 * n + 4));
        await vanish(n + 1);
        await time.advance(2 * SINK_LIMITS.forgetMs);
      }
      assert.deepEqual(net.toldOf(urlNo(4)), [{ count: 5, why: "full" }]);
    }),
  );

  it(
    "a store that is away changes nothing, and what it did meanwhile is seen when it is back",
    withSink(async ({ net, register, vanish, send, time, session }) => {
      await register(1);
      session.disconnect();
      await vanish(1);
      await register(2);
      send(1);
      await time.advance(2 * SINK_LIMITS.forgetMs);
      assert.deepEqual(net.has(A), [1]);
      session.reconnect();
      await time.settle();
      send(2);
      await time.advance(100);
      assert.deepEqual(net.has(B), [2]);
      await session.expire();
      await time.settle();
      await register(3);
      send(3);
      await time.advance(100);
      assert.deepEqual(net.has(urlNo(3)), [3]);
    }),
  );

  it("are found when the store comes after the sink", async () => {
    const r = await sinkRig({}, false);
    r.send(1);
    await r.register(1);
    await r.time.advance(10_000);
    assert.equal(r.net.requests.length, 0);
    await r.session.start();
    await r.time.advance(1_100);
    assert.deepEqual(r.net.has(A), [1]);
    await r.stop();
  });
});

describe("the end of a sink", () => {
  it("delivers what waits, without pauses", async () => {
    const r = await sinkRig({ batchSegments: 10 });
    await r.register(1);
    await r.register(2);
    r.send(1, 100);
    const stopped = r.stop();
    await r.time.advance(40);
    await stopped;
    assert.deepEqual(r.net.has(A), range(1, 100));
    assert.deepEqual(r.net.has(B), range(1, 100));
    r.send(101);
    assert.equal(r.net.requests.length, 20);
  });

  it("tries once more who failed before, and waits for nobody longer than 2 s", async () => {
    const r = await sinkRig();
    await r.register(1);
    await r.register(2);
    r.net.behaviour = () => "lost before";
    r.send(1, 3);
    await r.time.advance(30_000);
    r.net.behaviour = ({ url }) => (url === A ? "answer" : "silent");
    const begun = r.time.monotonicMs();
    let over = 0;
    const stopped = (async () => {
      await r.sink.stop();
      over = r.time.monotonicMs();
    })();
    await r.time.advance(5_000);
    await stopped;
    await r.stop();
    assert.deepEqual(r.net.has(A), [1, 2, 3]);
    assert.equal(over - begun, 2_000);
    assert.match(r.log.at(-1) ?? "", /^warn trace segments were not delivered before the end \{"segments":3\}/);
  });
});
