import type { Io } from "#apps/cli/options";
import { type PublicFlowTrace, renderFlowTrace } from "#core/tracing";
import type { Paint } from "../screen.ts";

const MAX_WIDTH = 160;
const POLL_MS = 250;

/** Prints the first flow trace of a request as a tree, once nothing more of it is awaited. Asks the API, as anybody would. */
export async function showFirstFlowOf(url: string, requestId: string, io: Io, paint: Paint): Promise<void> {
  while (!io.stop.aborted) {
    const flow = await firstFlow(url, requestId);
    if (flow !== null && !flow.completeness.missing.some((m) => m.reason === "awaited")) {
      const tree = renderFlowTrace(flow, { colour: io.colours, width: Math.min(MAX_WIDTH, io.columns) - 2 });
      const lines = tree.trimEnd().split("\n");
      const text = lines.map((line) => (line === "" ? line : `  ${line}`)).join("\n");
      io.out(`\n${paint("strong", "First traced flow")}\n\n${text}\n`);
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The oldest that the server has, or null: also when it does not answer now. */
async function firstFlow(url: string, requestId: string): Promise<PublicFlowTrace | null> {
  const response = await fetch(`${url}/midonet-api/traces/${requestId}/flows`, {
    headers: { accept: "application/json" },
  }).catch(() => null);
  if (response?.ok !== true) return null;
  const { flows } = (await response.json()) as { readonly flows: readonly PublicFlowTrace[] };
  return flows.at(-1) ?? null;
}
