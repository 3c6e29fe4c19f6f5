import type { ShownStep } from "./flow-trace.ts";
import { headerLine } from "./header.ts";
import { renderStep } from "./render.ts";
import type { Step } from "./step.ts";
import type { DropReason } from "./verdict.ts";

/** Drop reasons whose detail speaks of hosts, tunnels and defects. */
const INFRASTRUCTURE_DETAIL: ReadonlySet<DropReason> = new Set<DropReason>([
  "unbound-interface",
  "port-unplugged",
  "port-inactive",
  "no-tunnel",
  "topology-timeout",
  "waiting-room-full",
  "unknown-tunnel-key",
  "simulation-error",
]);

/** A step with its sentence and without its owners. */
export function shown(step: Step): ShownStep {
  const rest: Record<string, unknown> = { ...step };
  delete rest["owner"];
  delete rest["chainOwner"];
  delete rest["deciderOwner"];
  return { ...rest, text: renderStep(step) } as unknown as ShownStep;
}

/** As it is told to the owner of the step's device: without hosts, interfaces, and rules of chains of others. */
export function toldToTenant(x: Step, tenantId: string): Step {
  if (x.kind === "drop" && INFRASTRUCTURE_DETAIL.has(x.reason)) return { ...x, detail: "" };
  if (x.kind === "chain-end" && x.deciderOwner !== undefined && x.deciderOwner !== tenantId)
    return { ...x, decidedBy: "a rule of a chain that is not yours" };
  return x;
}

/** `toldToTenant`, as it is shown. `where`: whether it says on which host a port is. */
export function shownToTenant(step: Step, tenantId: string, where: boolean): ShownStep {
  const x = toldToTenant(step, tenantId);
  const { seq, atMs, kind, device } = x;
  const base = { seq, atMs, kind, device };
  if (x.kind === "packet-received") return { ...base, header: x.header, text: `Received: ${headerLine(x.header)}` };
  if (x.kind === "delivered") return { ...base, text: "Delivered" };
  if (x.kind === "emit")
    return where
      ? { ...base, where: x.where, text: `To leave on ${x.where === "local" ? "this" : "another"} host` }
      : { ...base, text: "To leave" };
  return shown(x);
}
