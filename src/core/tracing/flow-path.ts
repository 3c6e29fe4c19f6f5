import type { PublicFlowTrace, PublicSegment, PublicStep, ShownStep } from "./flow-trace.ts";
import type { DeviceRef, StepKind } from "./step.ts";
import type { DropReason, Verdict } from "./verdict.ts";

export type PathDevice = DeviceRef | { readonly withheld: true };

/** What one host did on a path. */
export interface PathHop {
  readonly hostId: string;
  readonly hostName: string;
  readonly role: "ingress" | "egress";
  /** In the order in which the packet met them; devices of others are marked as withheld. */
  readonly devices: readonly PathDevice[];
}

/** What many flows have in common: the same devices, the same decisions, the same end. */
export interface FlowPath {
  /** Of the path as this viewer sees it: what is withheld cannot tell two paths apart. */
  readonly pathId: string;
  readonly verdict: Verdict;
  readonly dropReason: DropReason | null;
  /** The sentence of the flow that was first seen to take the path. */
  readonly why: string;
  readonly hops: readonly PathHop[];
}

/**
 * What of a step makes a path: the decision, without what is different in each packet (times, headers, learned addresses).
 * Kinds that are not here decide nothing about the way.
 */
const DECISIONS: { readonly [K in StepKind]?: (s: ShownStep) => unknown } = {
  "packet-generated": () => "generated",
  "port-in": () => "in",
  "port-out": () => "out",
  "device-in": (s) => field(s["inPort"], "id"),
  rule: (s) => (s["matched"] === true ? [s["ruleId"], s["ruleType"]] : undefined),
  "rule-problem": (s) => [s["ruleId"], s["problem"]],
  "chain-end": (s) => [s["chainId"], s["result"]],
  "bridge-decision": (s) => [s["decision"], field(s["outPort"], "id")],
  flood: (s) => floodedTo(s["ports"]),
  vlan: (s) => [s["operation"], s["vlan"]],
  "route-lookup": (s) => field(s["route"], "id"),
  answer: (s) => s["what"],
  drop: (s) => s["reason"],
  emit: (s) => s["where"],
  delivered: () => "delivered",
  "too-big": (s) => s["fragments"] === 0,
};

const field = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : null;

function floodedTo(ports: unknown): unknown {
  if (!Array.isArray(ports)) return null;
  return ports.filter((p) => field(p, "included") === true).map((p) => field(field(p, "port"), "id"));
}

/** Said at the end of a part, of the device where it began. */
const NO_PLACE: ReadonlySet<StepKind> = new Set<StepKind>(["flow", "verdict", "steps-lost"]);

/** The path of a flow as a viewer sees it: of the redacted trace, so that it can say nothing that the trace does not. */
export function pathOf(trace: PublicFlowTrace): FlowPath {
  const segments = trace.segments.filter((s) => !s.duplicate);
  const decided = segments.map((s) => [s.hostId, s.role, s.verdict, decisionsOf(s.steps)]);
  const { verdict, dropReason, why } = trace;
  const pathId = fingerprint(JSON.stringify([verdict, dropReason, decided]));
  return { pathId, verdict, dropReason, why, hops: segments.map(hopOf) };
}

function decisionsOf(steps: readonly PublicStep[]): unknown[] {
  const found: unknown[] = [];
  let last: string | null = null;
  let hidden = false;
  for (const s of steps) {
    if (s.withheld === true) {
      hidden = true;
      continue;
    }
    const decision = DECISIONS[s.kind]?.(s);
    if (decision === undefined) continue;
    // Something withheld between two steps of one device is no other way: a trace of somebody else that matched there.
    if (hidden && last !== s.device.id) found.push(null);
    hidden = false;
    last = s.device.id;
    found.push([s.kind, s.device.id, decision]);
  }
  if (hidden && last === null) found.push(null);
  return found;
}

function hopOf({ hostId, hostName, role, steps }: PublicSegment): PathHop {
  const devices: PathDevice[] = [];
  let last: string | null = null;
  let hidden = false;
  for (const s of steps) {
    if (s.withheld === true) {
      hidden = true;
      continue;
    }
    if (s.device.type === "host" || NO_PLACE.has(s.kind)) continue;
    if (s.device.id === last) continue;
    if (hidden) devices.push({ withheld: true });
    hidden = false;
    last = s.device.id;
    devices.push(s.device);
  }
  if (hidden) devices.push({ withheld: true });
  return { hostId, hostName, role, devices };
}

/** 128 bits over a text, as hex digits: four sums with different multipliers. Tells apart, and does not protect. */
export function fingerprint(text: string): string {
  let a = 0x811c9dc5;
  let b = 0x9747b28c ^ text.length;
  let c = 0x6c078965;
  let d = 0x2545f491 ^ text.length;
  for (let i = 0; i < text.length; i++) {
    const w = text.charCodeAt(i);
    a = Math.imul(a ^ w, 0x01000193);
    b = Math.imul(b ^ w, 0x5bd1e995);
    b ^= b >>> 13;
    c = Math.imul(c ^ w, 0x85ebca6b);
    c ^= c >>> 16;
    d = Math.imul(d ^ w, 0xc2b2ae35);
    d ^= d >>> 11;
  }
  return [a, b, c, d].map((n) => (n >>> 0).toString(16).padStart(8, "0")).join("");
}
