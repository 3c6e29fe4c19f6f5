import type { Viewer } from "./redact.ts";
import type { Step, StepKind } from "./step.ts";
import type { SeesStep } from "./why.ts";

/** What hosts, tunnels and switches did is never a tenant's, whoever owns the device that the step stands on. */
const INFRASTRUCTURE: ReadonlySet<StepKind> = new Set<StepKind>([
  "flow",
  "state-sent",
  "tunnel-sent",
  "tunnel-received",
  "too-big",
  "verdict",
  "steps-lost",
]);

/** With these a packet begins, enters or leaves a device, or enters a chain: the first of others' steps in a row. */
const PASSING: ReadonlySet<StepKind> = new Set<StepKind>([
  "packet-received",
  "packet-generated",
  "port-in",
  "port-out",
  "device-in",
  "chain-start",
  "rule",
  "chain-jump",
  "chain-return",
]);

/** With these a packet goes from the viewer's device or chain into somebody else's. */
const ENTERING: ReadonlySet<StepKind> = new Set<StepKind>([
  "port-in",
  "device-in",
  "chain-start",
  "rule",
  "chain-jump",
  "chain-return",
]);

/** These can stand where the packet has left the devices: after all branches of all floods. */
const AFTERWARDS: ReadonlySet<StepKind> = new Set<StepKind>([
  "emit",
  "delivered",
  "drop",
  "answer",
  "answer-suppressed",
]);

/** Which steps a viewer sees: those on the viewer's devices, in the viewer's chains, for requests the viewer may know. */
export function seesOf(viewer: Viewer): SeesStep {
  const { tenantId } = viewer;
  return (step) => {
    if (tenantId === "" || step.owner !== tenantId || step.device.type === "host") return false;
    if (inChain(step)) return step.chainOwner === tenantId;
    if (step.kind === "trace-matched") return viewer.seesRequest?.(step.requestId) ?? true;
    // What had to be loaded may be anybody's.
    if (step.kind === "waited") return step.waitedFor === "arp";
    return !INFRASTRUCTURE.has(step.kind);
  };
}

type InChain = Extract<Step, { readonly chainName: string } | { readonly kind: "rule-problem" }>;

const inChain = (step: Step): step is InChain => "chainName" in step || step.kind === "rule-problem";

/**
 * The steps that are seen, and null for each row of others' steps between them. Only that the packet was with somebody
 * else is told: not how long, nor (after a flood of somebody else's) that it went on to others.
 */
export function outline(steps: readonly Step[], sees: SeesStep): (Step | null)[] {
  const out: (Step | null)[] = [];
  let passed: Step | null = null;
  const mark = (next: Step | null): void => {
    if (passed === null) return;
    const cameBack = next !== null && !AFTERWARDS.has(next.kind);
    if (out.length === 0 || ENTERING.has(passed.kind) || cameBack) out.push(null);
    passed = null;
  };
  for (const step of steps) {
    if (sees(step)) {
      mark(step);
      out.push(step);
    } else if (passed === null && step.device.type !== "host" && PASSING.has(step.kind)) passed = step;
  }
  mark(null);
  return out;
}
