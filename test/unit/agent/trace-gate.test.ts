import assert from "node:assert/strict";
import { test } from "node:test";
import { SeededRandom } from "#core/base";
import { FlowMatch } from "#core/flows";
import type { PacketContext } from "#core/simulation";
import type { ArmedTrace } from "#core/topology";
import { NO_JOURNAL } from "#core/tracing";
import { AgentTraceGate } from "../../../src/apps/agent/trace-gate.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

const TRACE = { ruleId: "rule", requestId: "request", limit: 1_000_000n } as unknown as ArmedTrace;

function packet(ethSrc: number): PacketContext {
  const original = new FlowMatch();
  original.ethSrc = ethSrc;
  return { startPort: "port", original, trace: null } as unknown as PacketContext;
}

test("flows that are made up without end are remembered up to a bound, the oldest is forgotten first", () => {
  const gate = new AgentTraceGate(
    new VirtualTime(),
    new SeededRandom(1),
    { exhausted: () => {}, onlyCounted: () => {} },
    NO_JOURNAL,
    { maxFlows: 3 },
  );
  const decide = (n: number): string => gate.decide(TRACE, packet(n));
  for (const n of [1, 2, 3]) assert.equal(decide(n), "trace");
  gate.takeCurrent();
  assert.equal(decide(1), "known");
  gate.attach(gate.takeCurrent(), 7);
  assert.equal(decide(4), "trace", "the first makes room");
  assert.deepEqual([decide(2), decide(3), decide(4)], ["known", "known", "known"]);
  assert.equal(decide(1), "trace");
  // The entry of the forgotten one goes: the one that was traced anew lives on.
  gate.entryGone(7, true);
  assert.equal(decide(1), "known");
  assert.equal(gate.usedOf(TRACE.ruleId), 5);
});
