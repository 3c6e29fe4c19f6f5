import type { TraceRequestId } from "#core/base";
import {
  DROP_REASONS,
  type HeaderText,
  type Step,
  type StepBody,
  STEP_KINDS,
  type StepKind,
  VERDICTS,
} from "#core/tracing";
import * as z from "zod";
import { type Guard, guardOf } from "./as-it-is.ts";

/*
 * The steps of a trace segment as agents send them, field by field: what is not in the union is refused here, because
 * whoever renders or redacts a step relies on it. Fields that are not known are left out, kinds that are not known refused.
 * `STEPS` has a row for each kind; the compiler compares the rows with the union.
 */

/** Names, ids and addresses, in characters. */
const MAX_WORD = 512;
/** Sentences and formatted matches. */
const MAX_SENTENCE = 8_192;
/** Ports of a flood, actions of a flow: no bridge has more. */
const MAX_LIST = 4_096;

export const keysOf = <K extends string>(table: Readonly<Record<K, unknown>>): [K, ...K[]] =>
  Object.keys(table) as [K, ...K[]];

export const word = z.string().max(MAX_WORD);
const sentence = z.string().max(MAX_SENTENCE);
export const u16 = z.int().min(0).max(0xffff);
/** -1: untagged. */
const vlan = z.int().min(-1).max(0xfff);
export const u32 = z.int().min(0).max(0xffff_ffff);
export const count = z.int().min(0);
/** Milliseconds since the epoch, with a fraction perhaps. */
export const timeMs = z.number().min(0);
const durationMs = z.number().min(0);
export const verdict = z.enum(keysOf(VERDICTS));
export const dropReason = z.enum(keysOf(DROP_REASONS)).nullable();

const device = z.object({ type: z.enum(["port", "bridge", "router", "host"]), id: word, name: word });
const port = z.object({ id: word, name: word });
const stage = z.enum(["port-in", "port-out", "pre-bridging", "post-bridging", "pre-routing", "post-routing"]);

const header = z.object({
  ethSrc: word.exactOptional(),
  ethDst: word.exactOptional(),
  etherType: word.exactOptional(),
  vlan: u16.exactOptional(),
  nwSrc: word.exactOptional(),
  nwDst: word.exactOptional(),
  nwProto: u16.exactOptional(),
  nwTos: u16.exactOptional(),
  nwTtl: u16.exactOptional(),
  fragment: z.enum(["first", "later"]).exactOptional(),
  tpSrc: u16.exactOptional(),
  tpDst: u16.exactOptional(),
  icmpType: u16.exactOptional(),
  icmpCode: u16.exactOptional(),
  icmpId: u16.exactOptional(),
}) satisfies z.ZodType<HeaderText>;

const route = z.object({
  id: word,
  type: word,
  src: word,
  dst: word,
  gateway: word.nullable(),
  port: word.nullable(),
  weight: z.int(),
});

/** What every step has. */
const common = { seq: z.int().min(1), atMs: timeMs, device, owner: word };
const step = <K extends StepKind, S extends z.ZodRawShape>(kind: K, shape: S) =>
  z.object({ ...common, kind: z.literal(kind), ...shape });

const ofChain = { chainId: word, chainOwner: word.exactOptional() };
const chain = { ...ofChain, chainName: word };
const remote = { hostId: word, hostName: word };

type StepOf<K extends StepKind> = Extract<StepBody, { readonly kind: K }> & Pick<Step, "seq" | "atMs">;

const STEPS = {
  "trace-matched": step("trace-matched", {
    requestId: word as z.ZodType as z.ZodType<TraceRequestId>,
    ruleId: word,
    chainId: word,
  }),
  "packet-received": step("packet-received", { header, interface: word, lengthBytes: count }),
  "packet-generated": step("packet-generated", { header, cause: sentence }),
  waited: step("waited", { waitedFor: z.enum(["arp", "topology"]), what: word, waitedMs: durationMs }),
  "port-in": step("port-in", { of: device, header }),
  "port-out": step("port-out", { of: device }),
  "device-in": step("device-in", { inPort: port }),
  "chain-start": step("chain-start", { stage, ...chain, ruleCount: count }),
  rule: step("rule", {
    ...chain,
    ruleId: word,
    position: count,
    ruleType: word,
    matched: z.boolean(),
    condition: sentence.exactOptional(),
    failedField: word.exactOptional(),
    wanted: sentence.exactOptional(),
    had: sentence.exactOptional(),
  }),
  "rule-problem": step("rule-problem", { ...ofChain, ruleId: word, problem: sentence }),
  "chain-jump": step("chain-jump", { ...chain, ruleCount: count }),
  "chain-return": step("chain-return", { ...chain, position: count }),
  "chain-end": step("chain-end", {
    stage,
    ...chain,
    result: z.enum(["accept", "drop", "reject"]),
    decidedBy: sentence,
    deciderOwner: word.exactOptional(),
  }),
  "filter-skipped": step("filter-skipped", { stage, chainId: word, because: sentence }),
  "mac-learned": step("mac-learned", { mac: word, vlan, port }),
  "bridge-decision": step("bridge-decision", {
    decision: z.enum(["unicast", "unicast-linked", "arp-to-router", "flood-unknown", "flood-multicast", "flood-arp"]),
    mac: word,
    vlan,
    outPort: port.nullable(),
  }),
  flood: step("flood", {
    ports: z.array(z.object({ port, included: z.boolean(), because: sentence })).max(MAX_LIST),
  }),
  vlan: step("vlan", { operation: z.enum(["push", "pop"]), vlan }),
  "route-lookup": step("route-lookup", {
    dst: word,
    src: word,
    routeCount: count,
    route: route.nullable(),
    candidates: count,
  }),
  ttl: step("ttl", { before: z.int(), after: z.int() }),
  "next-hop": step("next-hop", {
    ip: word,
    mac: word.nullable(),
    source: z.enum(["linked-port", "arp-table", "asked"]),
  }),
  rewrite: step("rewrite", { before: header, after: header }),
  answer: step("answer", {
    what: z.enum(["arp-reply", "arp-request", "echo-reply", "icmp-error"]),
    summary: sentence,
  }),
  "answer-suppressed": step("answer-suppressed", { what: z.literal("icmp-error"), because: sentence }),
  "arp-learned": step("arp-learned", { ip: word, mac: word }),
  drop: step("drop", { reason: z.enum(keysOf(DROP_REASONS)), detail: sentence }),
  emit: step("emit", { where: z.enum(["local", "remote"]), ...remote, interface: word }),
  "state-sent": step("state-sent", { ...remote, messages: count, token: word }),
  "tunnel-sent": step("tunnel-sent", { ...remote, tunnelIp: word, tunnelKey: u32, wireKey: u32 }),
  "tunnel-received": step("tunnel-received", {
    hostId: word.nullable(),
    hostName: word.nullable(),
    tunnelIp: word,
    tunnelKey: u32,
    header,
    token: word,
    state: z.enum(["before-packet", "after-packet", "never"]),
    duplicate: z.boolean(),
  }),
  delivered: step("delivered", { interface: word, ofport: u32 }),
  "too-big": step("too-big", { lengthBytes: count, limitBytes: count, mtuBytes: count, fragments: count }),
  flow: step("flow", {
    match: sentence.nullable(),
    actions: z.array(sentence).max(MAX_LIST),
    idleTimeoutMs: durationMs,
    hardTimeoutMs: durationMs,
    because: sentence,
  }),
  verdict: step("verdict", { verdict, dropReason }),
  "steps-lost": step("steps-lost", { count }),
} satisfies { readonly [K in StepKind]: z.ZodType<StepOf<K>> };

const byKind: ReadonlyMap<unknown, z.ZodType<Step>> = new Map(Object.entries(STEPS));
const KINDS = keysOf(STEP_KINDS).join(", ");

/** One recorded step, by the row of its kind. */
export const stepSchema: z.ZodType<Step> = z.unknown().transform((value, ctx): Step => {
  const kind = typeof value === "object" && value !== null ? (value as { readonly kind?: unknown }).kind : undefined;
  const row = byKind.get(kind);
  if (row === undefined) {
    const message = value === null || typeof value !== "object" ? "must be an object" : `must be one of ${KINDS}`;
    ctx.addIssue({ code: "custom", path: value === null || typeof value !== "object" ? [] : ["kind"], message });
    return z.NEVER;
  }
  const parsed = row.safeParse(value);
  if (parsed.success) return parsed.data;
  for (const issue of parsed.error.issues) ctx.addIssue({ ...issue, input: undefined } as never);
  return z.NEVER;
});

const guards: ReadonlyMap<unknown, Guard> = new Map(Object.entries(STEPS).map(([kind, row]) => [kind, guardOf(row)]));

/** Whether it is a step as it is. */
export const stepGuard: Guard = (value) =>
  guards.get((value as { readonly kind?: unknown } | null | undefined)?.kind)?.(value) === true;
