import assert from "node:assert/strict";
import { describe, it } from "node:test";
import * as fc from "fast-check";
import { type Behaviour, sinkRig, urlNo } from "../support/sink-rig.ts";

const COLLECTORS = 3;

type Step =
  | { readonly op: "send"; readonly count: number }
  | { readonly op: "time"; readonly ms: number }
  | { readonly op: "register" | "vanish"; readonly n: number }
  | { readonly op: "weather"; readonly n: number; readonly behaviour: Behaviour }
  | { readonly op: "store"; readonly what: "disconnect" | "reconnect" | "expire" };

const collector = fc.integer({ min: 1, max: COLLECTORS });
const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant("send"), count: fc.integer({ min: 1, max: 30 }) }) },
  { weight: 6, arbitrary: fc.record({ op: fc.constant("time"), ms: fc.constantFrom(1, 20, 70, 500, 5_000) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constantFrom("register", "vanish"), n: collector }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("weather"),
      n: collector,
      behaviour: fc.constantFrom<Behaviour[]>("answer", "lost before", "lost after", "silent", 503),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constant("store"), what: fc.constantFrom("disconnect", "reconnect", "expire") }),
  },
);

describe("delivery, whatever the network does", () => {
  it("every segment reaches some collector, and each that was there all the time, or it is told as lost", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { maxLength: 40 }), fc.boolean(), async (script, tight) => {
        const capacity = tight ? 60 : 10_000;
        const r = await sinkRig({ queueSegments: capacity, batchSegments: 20 });
        const weather = new Map<string, Behaviour>();
        r.net.behaviour = ({ url }) => weather.get(url) ?? "answer";
        // Collector 1 is there from the first segment to the last.
        await r.register(1);
        let sent = 0;
        for (const step of script) {
          if (step.op === "send") {
            r.send(sent + 1, sent + step.count);
            sent += step.count;
          } else if (step.op === "time") await r.time.advance(step.ms);
          else if (step.op === "weather") weather.set(urlNo(step.n), step.behaviour);
          else if (step.op === "store") {
            if (step.what === "disconnect") r.session.disconnect();
            else if (step.what === "reconnect") r.session.reconnect();
            else await r.session.expire();
          } else if (step.n > 1) await r[step.op](step.n);
        }
        weather.clear();
        r.session.reconnect();
        await r.time.advance(300_000);
        assert.equal(r.sink.counters().waiting, 0, "nothing waits in good weather");
        const first = urlNo(1);
        const lost = r.net.toldOf(first).reduce((sum, l) => sum + l.count, 0);
        const has = r.net.has(first);
        if (tight) assert.ok(has.length + lost >= sent, `${has.length} came, ${lost} were told as lost, of ${sent}`);
        else assert.deepEqual([has.length, lost], [sent, 0]);
        for (let n = 1; n <= COLLECTORS; n++) {
          const requests = r.net.requests.filter((d) => d.url === urlNo(n));
          // The first attempts of each sequence, in order: what a collector sees is the order of the segments.
          const bySequence = new Map(requests.map((d) => [d.sequence, d.cookies]));
          const order = [...bySequence.keys()];
          assert.deepEqual(
            order,
            order.toSorted((a, b) => a - b),
          );
          for (const d of requests) assert.deepEqual(d.cookies, bySequence.get(d.sequence), "repeated as it was");
        }
        const stopped = r.stop();
        await r.time.advance(2_000);
        await stopped;
      }),
      { numRuns: 60 },
    );
  });
});
