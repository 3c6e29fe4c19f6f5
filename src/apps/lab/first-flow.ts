import type { Io } from "#apps/cli/options";
import type { TraceRequestId } from "#core/base";
import { type FlowTrace, renderFlowTrace, toPublic } from "#core/tracing";
import type { Lab } from "./lab.ts";
import type { Paint } from "./screen.ts";

const MAX_WIDTH = 160;

/** Prints the first flow trace of a request as a tree, once nothing more of it is awaited. */
export function showFirstFlow(lab: Lab, requestId: string, io: Io, paint: Paint): void {
  const id = requestId as TraceRequestId;
  let first: FlowTrace["flowTraceId"] | null = null;
  const end = lab.traces.subscribe(id, ({ flowTraceId, trace: flow }) => {
    first ??= flowTraceId;
    if (flowTraceId !== first || flow === null) return;
    if (flow.completeness.missing.some((m) => m.reason === "awaited")) return;
    end();
    const tree = renderFlowTrace(toPublic(flow), { colour: io.colours, width: Math.min(MAX_WIDTH, io.columns) - 2 });
    io.out(`\n${paint("strong", "First traced flow")}\n\n${indented(tree)}\n`);
  });
}

function indented(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => (line === "" ? line : `  ${line}`))
    .join("\n");
}
