import assert from "node:assert/strict";
import { it } from "node:test";
import type { TraceRequestId } from "#core/base";
import { assembleFlowTrace, type FlowTrace, reached, type TraceSegment, type Viewer } from "#core/tracing";
import * as fc from "fast-check";
import { EXITS } from "../support/exits.ts";
import { frameFieldsArb, frameOf, networkArb, START, TRACEABLE, traceArb } from "../support/simulation-arbitraries.ts";
import {
  type Circumstances,
  otherId,
  OWN,
  ownedBy,
  SECRET,
  traced,
  withOtherSecrets,
} from "../support/tenant-twins.ts";

const OWNABLE = ["b1", "b2", "b3", "b4", "r1", "c1", "c2", "c3", "c4"] as const;
/** Many more in a night: MIDOTRACE_PROPERTY_RUNS. */
const RUNS = Number(process.env["MIDOTRACE_PROPERTY_RUNS"] ?? 200);
const LONG_AFTER_MS = 60_000;
/** With some of what stands around it, for whoever looks for the leak. */
const NOT_THE_TENANTS = new RegExp(
  `.{0,300}(${SECRET}|-5ec1-|tenant-|name of|tunnel|"(owner|chainOwner|deciderOwner)").{0,80}`,
);

const circumstances = (silent: boolean): fc.Arbitrary<Circumstances> =>
  fc.record({
    waitMs: fc.integer({ min: 1, max: 5_000 }),
    clock: fc.array(fc.integer({ min: 0, max: 9_000 }), { minLength: 1, maxLength: 5 }),
    cookie: fc.integer({ min: 1, max: 1_000_000 }),
    repeats: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 5 }),
    silent: fc.constant(silent),
  });

const scene = fc.record({
  net: networkArb,
  frame: frameFieldsArb,
  own: fc.subarray([...OWNABLE], { minLength: 1 }),
  trace: traceArb,
  at: fc.constantFrom(...TRACEABLE),
  about: fc.boolean().chain((silent) => fc.tuple(circumstances(silent), circumstances(silent))),
  only: fc.boolean(),
});

/** What a tenant may know of the end of a packet that others had. */
function endOf(t: FlowTrace): string {
  if (reached(t)) return "arrived";
  return t.verdict === "error" ? "dropped" : t.verdict;
}

function bothSides(s: typeof scene extends fc.Arbitrary<infer S> ? S : never): {
  readonly sides: readonly { readonly segments: readonly TraceSegment[]; readonly trace: FlowTrace }[];
  readonly viewer: Viewer;
} | null {
  const t = s.net.build();
  // A condition of any kind finds few packets; half of the time all are traced.
  t.trace("t0", s.at, s.only ? s.trace.condition : {});
  const requestId = t.traceId("t0");
  const own = ownedBy(t.records(), new Set<string>(s.own));
  const viewer: Viewer = { admin: false, tenantId: OWN, seesRequest: (id) => id === requestId };
  const start = t.portId(START);
  const sides = [own, withOtherSecrets(own)].map((records, n) => {
    const port = records.ports.find((p) => p.id === start || p.id === otherId(start));
    const about = s.about[n] as Circumstances;
    const sent = traced(records, s.net.state(), frameOf(s.frame), port?.id ?? start, about);
    if (sent === null) return null;
    const segments = sent.segments.filter((x) => !about.silent || x.role === "ingress" || isOwn(x));
    const trace = assembleFlowTrace(segments, { nowMs: sent.segments[0]?.startedAtMs ?? 0 + LONG_AFTER_MS });
    return trace === null ? null : { segments, trace };
  });
  const [a, b] = sides;
  return a == null || b == null ? null : { sides: [a, b], viewer };
}

const isOwn = (s: TraceSegment): boolean => s.steps.some((x) => x.kind === "delivered" && x.owner === OWN);
const othersMissing = (t: FlowTrace): boolean => t.completeness.missing.length > 0;

it("a tenant's view is the same to the byte whatever others keep to themselves, at every exit", async () => {
  const met = { compared: 0, withheld: 0, own: 0 };
  await fc.assert(
    fc.asyncProperty(scene, async (s) => {
      const both = bothSides(s);
      if (both === null) return;
      const { sides, viewer } = both;
      const [a, b] = sides as [(typeof sides)[0], (typeof sides)[0]];
      // That the packet arrived, ended or is not known, is the tenant's.
      if (endOf(a.trace) !== endOf(b.trace) || othersMissing(a.trace) !== othersMissing(b.trace)) return;
      met.compared++;
      const [one, two] = [await everyExit(a, viewer), await everyExit(b, viewer)];
      for (const name of Object.keys(EXITS)) assert.equal(two[name], one[name], name);
      const all = Object.values(two).join("\n");
      assert.equal(NOT_THE_TENANTS.exec(all)?.[0], undefined);
      if (/"withheld":true/.test(all)) met.withheld++;
      if (/"kind"/.test(all)) met.own++;
    }),
    { numRuns: RUNS },
  );
  assert.ok(Math.min(met.compared, 2 * met.withheld, 2 * met.own) > RUNS / 10, JSON.stringify(met));
});

async function everyExit(
  side: { readonly segments: readonly TraceSegment[]; readonly trace: FlowTrace },
  viewer: Viewer,
): Promise<Record<string, string>> {
  const requestId = side.trace.traceRequestIds[0] as TraceRequestId;
  const at = { ...side, requestId, flowTraceId: side.trace.flowTraceId, viewer };
  const out: Record<string, string> = {};
  for (const [name, exit] of Object.entries(EXITS)) out[name] = await exit(at);
  return out;
}
