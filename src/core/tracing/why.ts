import { type MissingPart, type PlacedSegment, REPORTED_REASONS } from "./flow-trace.ts";
import type { DeviceRef, Step } from "./step.ts";
import { DROP_REASONS, type Verdict } from "./verdict.ts";

/** True for the steps that the reader may see; the sentence says nothing that stands only in the others. */
export type SeesStep = (step: Step) => boolean;
/** The name of a host as the reader may know it. */
export type NamesHost = (hostId: string, hostName: string) => string;

export interface Outcome {
  readonly verdict: Verdict;
  /** In causal order, without duplicates. */
  readonly segments: readonly PlacedSegment[];
  readonly missing: readonly MissingPart[];
}

const ENDED: Readonly<Record<Verdict, string>> = {
  delivered: "Delivered",
  flooded: "Flooded",
  dropped: "Dropped",
  rejected: "Rejected",
  consumed: "Answered or absorbed",
  error: "Failed",
  unknown: "Not known",
};

/** One sentence: what became of the packet and why, the failing hop first. */
export function whyOf(o: Outcome, sees: SeesStep, names: NamesHost): string {
  const ingress = o.segments.find((s) => s.role === "ingress");
  if (ingress === undefined) return withoutIngress(o, sees, names);
  if (o.verdict === "unknown" && reached(ingress)) {
    const silent = hostsOf(o.missing, names);
    return silent === ""
      ? `Not known: ${failures(o, sees, names)}.`
      : `Not known: ${silent} ${o.missing.length > 1 ? "have" : "has"} not reported what became of the packet.`;
  }
  if (reached(ingress) && (o.verdict === "delivered" || o.verdict === "flooded")) {
    const failed = failures(o, sees, names);
    return `${ENDED[o.verdict]} ${destinations(o, sees, names)}${failed === "" ? "" : `; but ${failed}`}.`;
  }
  return `${ENDED[o.verdict]}${cause(culpritOf(o.segments) ?? ingress, sees, names)}.`;
}

/** The segment where the packet ended when it was not delivered; null without an ingress segment. */
export function culpritOf(segments: readonly PlacedSegment[]): PlacedSegment | null {
  const ingress = segments.find((s) => s.role === "ingress") ?? null;
  if (ingress === null || !reached(ingress)) return ingress;
  return segments.find((s) => s.role === "egress" && !reached(s)) ?? ingress;
}

/** Handed on: delivered or flooded as far as this host can say. */
export function reached(s: { readonly verdict: Verdict }): boolean {
  return s.verdict === "delivered" || s.verdict === "flooded";
}

function withoutIngress(o: Outcome, sees: SeesStep, names: NamesHost): string {
  const first = o.segments[0];
  const known =
    first === undefined
      ? ""
      : `; ${names(first.hostId, first.hostName)}: ${ENDED[first.verdict].toLowerCase()}${reached(first) ? "" : cause(first, sees, names)}`;
  return `Not known: the host where the packet entered has not reported${known}.`;
}

function failures(o: Outcome, sees: SeesStep, names: NamesHost): string {
  const failed = o.segments.filter((s) => s.role === "egress" && !reached(s));
  return failed.map((s) => `one copy was ${ENDED[s.verdict].toLowerCase()}${cause(s, sees, names)}`).join("; ");
}

function hostsOf(missing: readonly MissingPart[], names: NamesHost): string {
  const list = missing
    .filter((m) => !REPORTED_REASONS.has(m.reason) && m.hostId !== null)
    .map((m) => names(m.hostId ?? "", m.hostName ?? ""));
  return [...new Set(list)].join(" and ");
}

function destinations(o: Outcome, sees: SeesStep, names: NamesHost): string {
  const portsOf = new Map<string, string[]>();
  for (const s of o.segments) {
    const ports = s.steps.filter((x) => x.kind === "delivered" && sees(x));
    if (ports.length === 0) continue;
    const named = ports.filter((x) => x.device.type !== "host").map((x) => deviceText(x.device));
    const host = names(s.hostId, s.hostName);
    portsOf.set(host, [...(portsOf.get(host) ?? []), ...named]);
  }
  const places = [...portsOf].map(([host, named]) =>
    named.length === 0 ? host : `${few([...new Set(named)])} on ${host}`,
  );
  if (places.length > 0) return `to ${places.join(" and ")}`;
  const ends = o.segments.filter((s) => s.role === "egress" && reached(s));
  const hosts = ends.length > 0 ? ends : o.segments.slice(0, 1);
  return `on ${[...new Set(hosts.map((s) => names(s.hostId, s.hostName)))].join(" and ")}`;
}

function few(list: readonly string[]): string {
  return list.length <= 3 ? list.join(", ") : `${list.slice(0, 2).join(", ")} and ${list.length - 2} more`;
}

/** ` at port p on h1: rule 2 (drop) of chain red-in matched`; without a step to show only where. */
function cause(s: PlacedSegment, sees: SeesStep, names: NamesHost): string {
  const host = names(s.hostId, s.hostName);
  const at = s.steps.findLastIndex((x) => x.kind === "drop" && sees(x));
  const drop = s.steps[at];
  if (drop === undefined || drop.kind !== "drop") return answered(s, sees, host);
  const rule =
    drop.reason === "filter-drop" || drop.reason === "filter-reject" ? decidingRule(s.steps, at, sees) : null;
  const where = drop.device.type === "host" ? ` on ${host}` : ` at ${deviceText(drop.device)} on ${host}`;
  if (rule !== null) return `${where}: ${rule}`;
  return `${where}: ${DROP_REASONS[drop.reason]}${drop.detail === "" ? "" : ` (${drop.detail})`}`;
}

function answered(s: PlacedSegment, sees: SeesStep, host: string): string {
  const answer = s.steps.findLast((x) => x.kind === "answer" && sees(x));
  if (answer?.kind === "answer") return ` by ${deviceText(answer.device)} on ${host}: ${answer.summary}`;
  if (!s.steps.every(sees)) return " at a device that is not yours";
  const last = s.steps.findLast((x) => x.device.type !== "host");
  return last === undefined ? ` on ${host}` : ` at ${deviceText(last.device)} on ${host}`;
}

/** The matched drop or reject rule before step `before`. */
function decidingRule(steps: readonly Step[], before: number, sees: SeesStep): string | null {
  for (let i = before - 1; i >= 0; i--) {
    const x = steps[i];
    if (x === undefined || !sees(x)) continue;
    if (x.kind === "chain-start") return null;
    if (x.kind !== "rule" || !x.matched) continue;
    return `rule ${x.position} (${x.ruleType}) of chain ${x.chainName} matched`;
  }
  return null;
}

/** `router r1`; at the start of a sentence `Router r1`. */
export function deviceText(d: DeviceRef, capital = false): string {
  const type = capital ? `${d.type.slice(0, 1).toUpperCase()}${d.type.slice(1)}` : d.type;
  return `${type} ${d.name === "" ? d.id : d.name}`;
}
