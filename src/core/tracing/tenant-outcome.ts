import { REPORTED_REASONS } from "./flow-trace.ts";
import type { SeenSegment, SeenTrace } from "./redact-tenant.ts";
import type { Step } from "./step.ts";
import type { DropReason, Verdict } from "./verdict.ts";
import { cause, deviceText, ENDED, leftOut, NOT_YOURS, placesText, reached } from "./why.ts";

export interface TenantOutcome {
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  readonly why: string;
}

/** The reasons of verdict `error`. */
const DEFECTS: ReadonlySet<DropReason> = new Set<DropReason>(["loop-limit", "rule-jump-depth", "device-missing"]);

/**
 * What became of the packet, as far as that is the tenant's: that it arrived, ended or is not known. By what and where
 * only when that was on a device of the tenant.
 */
export function tenantOutcome(verdict: Verdict, seen: SeenTrace): TenantOutcome {
  const { segments } = seen;
  const ingress = segments.find((s) => s.role === "ingress");
  if (verdict === "unknown") return { verdict, dropReason: null, why: unknownText(seen, ingress) };
  if (reached({ verdict })) {
    const own = segments.some((s) => s.steps.some(floodsToSeveral));
    const told = own ? "flooded" : "delivered";
    const left = leftOut(segments.flatMap((s) => (s.of.duplicate ? [] : s.steps)));
    const why = `${ENDED[told]} ${destinations(segments)}${failures(segments)}${left}.`;
    return { verdict: told, dropReason: null, why };
  }
  const culprit = segments.findLast((s) => s.steps.some(isDrop)) ?? ingress;
  const drop = culprit?.steps.findLast(isDrop);
  const dropReason = drop?.kind === "drop" ? drop.reason : null;
  const told = verdict === "error" && (dropReason === null || !DEFECTS.has(dropReason)) ? "dropped" : verdict;
  const why = culprit === undefined ? NOT_YOURS : cause(culprit.steps, hostText(culprit));
  return { verdict: told, dropReason, why: `${ENDED[told]}${why}.` };
}

const isDrop = (x: Step | null): boolean => x?.kind === "drop";
const floodsToSeveral = (x: Step | null): boolean =>
  x?.kind === "flood" && x.ports.filter((p) => p.included).length > 1;
const hostText = (s: SeenSegment): string => `host ${s.host}`;

function unknownText({ segments, completeness }: SeenTrace, ingress: SeenSegment | undefined): string {
  if (ingress === undefined) {
    const first = segments.find((s) => !s.of.duplicate);
    const known = first === undefined ? "" : `; ${hostText(first)}: ${arrivalText(first)}`;
    return `Not known: the host where the packet entered has not reported${known}.`;
  }
  const silent = completeness.missing.filter((m) => !REPORTED_REASONS.has(m.reason) && m.hostName !== null);
  const names = [...new Set(silent.map((m) => m.hostName))];
  if (names.length === 0) return "Not known: not every host has reported what became of the packet.";
  return `Not known: ${names.join(" and ")} ${names.length > 1 ? "have" : "has"} not reported what became of the packet.`;
}

function arrivalText(s: SeenSegment): string {
  return s.steps.some(isDrop) ? `dropped${cause(s.steps, hostText(s))}` : "delivered";
}

function destinations(segments: readonly SeenSegment[]): string {
  const portsOf = new Map<string, string[]>();
  for (const s of segments) {
    if (s.of.duplicate) continue;
    const ports = s.steps.flatMap((x) => (x?.kind === "delivered" ? [deviceText(x.device)] : []));
    if (ports.length > 0) portsOf.set(hostText(s), [...(portsOf.get(hostText(s)) ?? []), ...ports]);
  }
  return portsOf.size === 0 ? "beyond your devices" : `to ${placesText(portsOf)}`;
}

/** Copies that ended at ports of the tenant. */
function failures(segments: readonly SeenSegment[]): string {
  const failed = segments.filter((s) => s.role === "egress" && !s.of.duplicate && s.steps.some(isDrop));
  if (failed.length === 0) return "";
  return `; but ${failed.map((s) => `one copy was dropped${cause(s.steps, hostText(s))}`).join("; ")}`;
}
