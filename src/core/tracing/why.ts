import { type MissingPart, type PlacedSegment, REPORTED_REASONS } from "./flow-trace.ts";
import type { DeviceRef, Step } from "./step.ts";
import { DROP_REASONS, type Verdict } from "./verdict.ts";

/** True for the steps that the reader may see. */
export type SeesStep = (step: Step) => boolean;
/** The name of a host as the reader may know it. */
export type NamesHost = (hostId: string, hostName: string) => string;

export interface Outcome {
  readonly verdict: Verdict;
  /** In causal order, without duplicates. */
  readonly segments: readonly PlacedSegment[];
  readonly missing: readonly MissingPart[];
}

export const ENDED: Readonly<Record<Verdict, string>> = {
  delivered: "Delivered",
  flooded: "Flooded",
  dropped: "Dropped",
  rejected: "Rejected",
  consumed: "Answered or absorbed",
  error: "Failed",
  unknown: "Not known",
};

/** One sentence: what became of the packet and why, the failing hop first. */
export function whyOf(o: Outcome, names: NamesHost): string {
  const ingress = o.segments.find((s) => s.role === "ingress");
  if (ingress === undefined) return withoutIngress(o, names);
  if (o.verdict === "unknown" && reached(ingress)) {
    const silent = hostsOf(o.missing, names);
    return silent === ""
      ? `Not known: ${failures(o, names)}.`
      : `Not known: ${silent} ${o.missing.length > 1 ? "have" : "has"} not reported what became of the packet.`;
  }
  if (reached(ingress) && (o.verdict === "delivered" || o.verdict === "flooded")) {
    const failed = failures(o, names);
    const left = leftOut(o.segments.flatMap((s) => s.steps));
    return `${ENDED[o.verdict]} ${destinations(o, names)}${failed === "" ? "" : `; but ${failed}`}${left}.`;
  }
  return `${ENDED[o.verdict]}${causeOn(culpritOf(o.segments) ?? ingress, names)}.`;
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

function withoutIngress(o: Outcome, names: NamesHost): string {
  const first = o.segments[0];
  const known =
    first === undefined
      ? ""
      : `; ${names(first.hostId, first.hostName)}: ${ENDED[first.verdict].toLowerCase()}${reached(first) ? "" : causeOn(first, names)}`;
  return `Not known: the host where the packet entered has not reported${known}.`;
}

function failures(o: Outcome, names: NamesHost): string {
  const failed = o.segments.filter((s) => s.role === "egress" && !reached(s));
  return failed.map((s) => `one copy was ${ENDED[s.verdict].toLowerCase()}${causeOn(s, names)}`).join("; ");
}

function hostsOf(missing: readonly MissingPart[], names: NamesHost): string {
  const list = missing
    .filter((m) => !REPORTED_REASONS.has(m.reason) && m.hostId !== null)
    .map((m) => names(m.hostId ?? "", m.hostName ?? ""));
  return [...new Set(list)].join(" and ");
}

function destinations(o: Outcome, names: NamesHost): string {
  const portsOf = new Map<string, string[]>();
  for (const s of o.segments) {
    const ports = s.steps.filter((x) => x.kind === "delivered");
    if (ports.length === 0) continue;
    const named = ports.filter((x) => x.device.type !== "host").map((x) => deviceText(x.device));
    const host = names(s.hostId, s.hostName);
    portsOf.set(host, [...(portsOf.get(host) ?? []), ...named]);
  }
  if (portsOf.size > 0) return `to ${placesText(portsOf)}`;
  const ends = o.segments.filter((s) => s.role === "egress" && reached(s));
  const hosts = ends.length > 0 ? ends : o.segments.slice(0, 1);
  return `on ${[...new Set(hosts.map((s) => names(s.hostId, s.hostName)))].join(" and ")}`;
}

/** `port a, port b on host h1 and port c on host h2`. */
export function placesText(portsOf: ReadonlyMap<string, readonly string[]>): string {
  const places = [...portsOf].map(([host, named]) =>
    named.length === 0 ? host : `${few([...new Set(named)])} on ${host}`,
  );
  return places.join(" and ");
}

function few(list: readonly string[]): string {
  return list.length <= 3 ? list.join(", ") : `${list.slice(0, 2).join(", ")} and ${list.length - 2} more`;
}

/** Why a bridge gave a port no copy of what it flooded, as its step says. */
export const LEFT_OUT = { ADMIN_DOWN: "administratively down", NOT_UP: "its interface is not up" } as const;

/**
 * Ports that would have got a copy of a flood, were they up: the machine that the packet was for may be behind one of them.
 * @param steps null: steps of others.
 */
export function leftOut(steps: readonly (Step | null)[]): string {
  const ports = steps.flatMap((x) => (x?.kind === "flood" ? x.ports : []));
  const down = ports.filter((p) => p.because === LEFT_OUT.ADMIN_DOWN || p.because === LEFT_OUT.NOT_UP);
  return down.length === 0 ? "" : `; left out: ${few(down.map((p) => `port ${p.port.name} (${p.because})`))}`;
}

const causeOn = (s: PlacedSegment, names: NamesHost): string => cause(s.steps, names(s.hostId, s.hostName));

/**
 * ` at port p on h1: rule 2 (drop) of chain red-in matched`; without a step to show only where.
 * @param steps null: steps of others.
 */
export function cause(steps: readonly (Step | null)[], host: string): string {
  const at = steps.findLastIndex((x) => x?.kind === "drop");
  const drop = steps[at];
  if (drop?.kind !== "drop") return answered(steps, host);
  const rule = drop.reason === "filter-drop" || drop.reason === "filter-reject" ? decidingRule(steps, at) : null;
  const where = drop.device.type === "host" ? ` on ${host}` : ` at ${deviceText(drop.device)} on ${host}`;
  if (rule !== null) return `${where}: ${rule}`;
  return `${where}: ${DROP_REASONS[drop.reason]}${drop.detail === "" ? "" : ` (${drop.detail})`}`;
}

function answered(steps: readonly (Step | null)[], host: string): string {
  const answer = steps.findLast((x) => x?.kind === "answer");
  if (answer?.kind === "answer") return ` by ${deviceText(answer.device)} on ${host}: ${answer.summary}`;
  if (steps.includes(null)) return NOT_YOURS;
  const last = steps.findLast((x) => x !== null && x.device.type !== "host");
  return last === undefined || last === null ? ` on ${host}` : ` at ${deviceText(last.device)} on ${host}`;
}

export const NOT_YOURS = " at a device that is not yours";

/** The matched drop or reject rule before step `before`, in the filter that ended there. */
function decidingRule(steps: readonly (Step | null)[], before: number): string | null {
  for (let i = before - 1; i >= 0; i--) {
    const x = steps[i];
    // Somebody else's chain decided, or the filter has no such rule.
    if (x === null || x === undefined || x.kind === "chain-start") return null;
    if (x.kind === "rule" && x.matched)
      return `rule ${x.position} (${x.ruleType}) of chain ${x.chainName} ${matchText(x.condition)}`;
  }
  return null;
}

/** That a rule matched, and what it asks for. */
export function matchText(condition: string | undefined): string {
  if (condition === undefined) return "matched";
  return `matched: ${condition === "any" ? "any packet" : condition}`;
}

/** `router r1`; at the start of a sentence `Router r1`. */
export function deviceText(d: DeviceRef, capital = false): string {
  const type = capital ? `${d.type.slice(0, 1).toUpperCase()}${d.type.slice(1)}` : d.type;
  return `${type} ${d.name === "" ? d.id : d.name}`;
}
