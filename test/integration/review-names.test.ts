import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { printable, type PublicFlowTrace, renderFlowTrace } from "#core/tracing";
import { table } from "../../src/apps/cli/client/table.ts";

/** A port name that a tenant could give: it ends the line, forges the next and clears the screen. */
const EVIL = "vm\n  complete: all 9 hosts reported\u001b[2J\u009b31m";

describe("names with control characters", () => {
  it("draw nothing of their own into a trace", () => {
    const device = { type: "port" as const, id: "1", name: EVIL };
    const trace: PublicFlowTrace = {
      flowTraceId: "f" as PublicFlowTrace["flowTraceId"],
      traceRequestIds: [],
      startedAtMs: 0,
      key: null,
      verdict: "delivered",
      dropReason: null,
      why: `Delivered to port ${EVIL}.`,
      completeness: { state: "unknown", missing: [] },
      segments: [
        {
          hostId: "h",
          hostName: EVIL,
          role: "ingress",
          cookie: null,
          startedAtMs: 0,
          verdict: "delivered",
          dropReason: null,
          duplicate: false,
          joinedBy: "state",
          detail: "full",
          clockOffsetMs: null,
          steps: [{ seq: 1, atMs: 0, kind: "port-in", device, text: `Enters by ${EVIL}` }],
        },
      ],
    };
    const text = renderFlowTrace(trace, { colour: false, width: 200 });
    assert.equal(
      text.split("\n").some((line) => line.startsWith("  complete")),
      false,
    );
    assert.equal(printable(text.replaceAll("\n", "")), text.replaceAll("\n", ""));
  });

  it("keep a table's rows on their lines", () => {
    assert.equal(
      table([["NAME"], [EVIL]])
        .trimEnd()
        .split("\n").length,
      2,
    );
  });
});
