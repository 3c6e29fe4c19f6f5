import assert from "node:assert/strict";
import { it } from "node:test";
import * as fc from "fast-check";
import { TRACE_STATE_TTL_MS, type TraceArrival, type TraceMatch, TraceTable } from "#core/tracing";
import { flowId, PING, requestId, STATE, token } from "../support/tracing-samples.ts";

const FROM = ["172.16.0.1", "172.16.0.2"];

/** A packet that was sent: packets with the same `look` are byte-identical but of different flow traces. */
interface Sent {
  readonly flow: number;
  readonly look: number;
  readonly host: number;
  readonly keys: readonly number[];
}

type Event =
  | { readonly kind: "state"; readonly sent: number }
  | { readonly kind: "packet"; readonly sent: number; readonly key: number }
  | { readonly kind: "pass"; readonly ms: number };

const sentPackets = fc
  .array(
    fc.record({
      look: fc.integer({ min: 0, max: 3 }),
      host: fc.integer({ min: 0, max: 1 }),
      keys: fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((list) => list.map((s, i): Sent => ({ ...s, flow: i })));

/** States and copies, each delivered no time, once or twice, in any order. */
const scripts = sentPackets.chain((sent) => {
  const all: Event[] = sent.flatMap((s, i) => [
    { kind: "state" as const, sent: i },
    ...s.keys.map((key) => ({ kind: "packet" as const, sent: i, key })),
  ]);
  return fc
    .record({
      order: fc.shuffledSubarray([...all, ...all], { minLength: 0 }),
      waits: fc.array(fc.tuple(fc.nat(30), fc.constantFrom(1, 100, 2_000, TRACE_STATE_TTL_MS)), { maxLength: 4 }),
    })
    .map(({ order, waits }) => {
      const events: Event[] = [...order];
      for (const [where, ms] of waits) events.splice(where % (events.length + 1), 0, { kind: "pass", ms });
      return { sent, events };
    });
});

const arrivalOf = (s: Sent, key: number): TraceArrival => ({
  fromIp: FROM[s.host] as string,
  tunnelKey: key,
  key: PING,
  token: token(s.look),
});

interface Outcome {
  readonly arrival: TraceArrival;
  readonly match: TraceMatch | null;
}

function play(
  sent: readonly Sent[],
  events: readonly Event[],
  maxHeld: number,
): { outcomes: Map<number, Outcome[]>; arrivals: TraceArrival[] } {
  const table = new TraceTable<number>({ maxHeld });
  const arrivals: TraceArrival[] = [];
  const outcomes = new Map<number, Outcome[]>();
  const end = (n: number, match: TraceMatch | null): void => {
    outcomes.set(n, [...(outcomes.get(n) ?? []), { arrival: arrivals[n] as TraceArrival, match }]);
  };
  let now = 0;
  for (const e of events) {
    now += e.kind === "pass" ? e.ms : 1;
    for (const r of table.expire(now)) end(r.payload, r.match);
    if (e.kind === "pass") continue;
    const s = sent[e.sent] as Sent;
    if (e.kind === "state") {
      const state = { ...STATE, flowTraceId: flowId(s.flow), requestIds: [requestId(s.flow)] };
      const joined = table.put({ ...state, token: token(s.look), tunnelKeys: s.keys }, FROM[s.host] as string, now);
      for (const j of joined) end(j.payload, j.match);
      continue;
    }
    const n = arrivals.push(arrivalOf(s, e.key)) - 1;
    const match = table.match(arrivals[n] as TraceArrival, now);
    if (match !== null) end(n, match);
    else for (const r of table.hold(arrivals[n] as TraceArrival, n, now)) end(r.payload, r.match);
  }
  for (const r of table.expire(now + TRACE_STATE_TTL_MS)) end(r.payload, r.match);
  assert.equal(table.heldCount, 0);
  return { outcomes, arrivals };
}

for (const maxHeld of [1_000, 2])
  it(`every arrival ends once, joined to a flow trace that sent it or as an orphan (room for ${maxHeld})`, () => {
    fc.assert(
      fc.property(scripts, ({ sent, events }) => {
        const { outcomes, arrivals } = play(sent, events, maxHeld);
        // A state and a packet that both come again more than 5 s later look like a new pair: nobody remembers the first.
        const remembered = events.reduce((ms, e) => ms + (e.kind === "pass" ? e.ms : 1), 0) < TRACE_STATE_TTL_MS;
        const first = new Set<string>();
        for (const [n, arrival] of arrivals.entries()) {
          const ends = outcomes.get(n) ?? [];
          assert.equal(ends.length, 1, `arrival ${n} ended ${ends.length} times`);
          const match = ends[0]?.match ?? null;
          if (match === null) continue;
          const owner = sent.find((s) => flowId(s.flow) === match.flowTraceId);
          assert.ok(owner !== undefined && owner.keys.includes(arrival.tunnelKey));
          assert.deepEqual(arrival, arrivalOf(owner, arrival.tunnelKey), "joined to another packet's id");
          assert.deepEqual(match.requestIds, [requestId(owner.flow)]);
          if (match.duplicate) continue;
          const copy = `${match.flowTraceId} ${arrival.tunnelKey}`;
          assert.ok(!remembered || !first.has(copy), "two arrivals are the one copy");
          first.add(copy);
        }
      }),
      { numRuns: 400 },
    );
  });

it("in time and with nothing lost, every copy is joined, whatever the order", () => {
  fc.assert(
    fc.property(
      sentPackets.chain((sent) => {
        const distinct = sent.map((s): Sent => ({ ...s, look: s.flow }));
        const all: Event[] = distinct.flatMap((s, i) => [
          { kind: "state" as const, sent: i },
          ...s.keys.map((key) => ({ kind: "packet" as const, sent: i, key })),
        ]);
        const order = fc.shuffledSubarray(all, { minLength: all.length });
        return order.map((events) => ({ sent: distinct, events }));
      }),
      ({ sent, events }) => {
        const { outcomes, arrivals } = play(sent, events, 1_000);
        for (const n of arrivals.keys()) assert.equal(outcomes.get(n)?.[0]?.match?.duplicate, false);
      },
    ),
  );
});
