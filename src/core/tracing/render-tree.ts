import type { Completeness, PublicFlowTrace, PublicSegment, PublicStep, ShownStep } from "./flow-trace.ts";
import { type AdviceNames, type Advice, adviceCommand, DROP_ADVICE, MISSING_ADVICE } from "./advice.ts";
import { type Ink, Page, type PageOptions, type Piece } from "./page.ts";
import type { DropReason } from "./verdict.ts";
import type { TraceKey } from "./trace-key.ts";

export interface TreeOptions extends PageOptions {
  /** Say below the sentence what to do about it. Default false. */
  readonly advice?: boolean;
}

const MISSING_WORDS = {
  awaited: "awaited",
  late: "late",
  "segment-missing": "never came",
  "state-lost": "state lost",
  "segments-lost": "reports lost",
  "host-down": "host down",
  "ingress-missing": "ingress missing",
} as const;

const REPORTED_WORDS = {
  "steps-lost": "did not keep all steps",
  truncated: "reported in short (event budget used up)",
  "store-unreachable": "could not reach the store",
} as const;

/** Clocks that are further apart than this are worth a word, ms. */
const CLOCK_NOTED_MS = 1_000;

/** Verdicts that are failures. */
const FAILED = new Set(["dropped", "rejected", "error"]);

/** The answer as a tree for the terminal: sentence, packet, hosts with their devices and steps, completeness. */
export function renderFlowTrace(trace: PublicFlowTrace, options: TreeOptions): string {
  const out = new Page(options);
  out.line("", "  ", headline(trace));
  if (trace.key !== null) out.line("", "", [[keyLine(trace.key), "plain"]]);
  out.line("", "", [[`flow trace ${trace.flowTraceId}`, "faint"]]);
  const failing = failingStep(trace);
  if (options.advice === true) renderAdvice(out, trace, failing);
  for (const segment of trace.segments) {
    out.blank();
    renderSegment(out, segment, trace, failing?.step ?? null);
  }
  out.blank();
  const known = trace.completeness.state === "complete";
  const words =
    trace.simulated === true
      ? `simulated: no packet was sent${known ? "" : ", and not everything it depends on is known"}`
      : completenessLine(trace.completeness, trace.segments);
  const tone: Ink = known ? "good" : "unsure";
  out.line("", "  ", [[words, tone]]);
  if (options.advice === true && trace.simulated !== true) renderMissing(out, trace);
  return out.text();
}

/** `complete: all 2 hosts reported`, `partial: host h2 has not reported (state lost)`. */
export function completenessLine(c: Completeness, segments: readonly PublicSegment[]): string {
  const hosts = new Set(segments.map((s) => s.hostId)).size;
  if (c.missing.length === 0) return `${c.state}: ${hosts === 1 ? "the one host" : `all ${hosts} hosts`} reported`;
  const parts = c.missing.map((m) => {
    const host = m.hostName === null ? "the ingress host" : hostText(m.hostName);
    if (m.reason in REPORTED_WORDS) return `${host} ${REPORTED_WORDS[m.reason as keyof typeof REPORTED_WORDS]}`;
    return `${host} has not reported (${MISSING_WORDS[m.reason as keyof typeof MISSING_WORDS]})`;
  });
  return `${c.state}: ${parts.join("; ")}`;
}

/** The verdict in capitals, in its place in the sentence when the sentence begins with it. */
function headline(trace: PublicFlowTrace): Piece[] {
  const { verdict, why } = trace;
  const begins = why.slice(0, verdict.length).toLowerCase() === verdict;
  return [
    [`${MARKS[verdictInk(verdict)] ?? ""}\u00a0${verdict.toUpperCase()}`, verdictInk(verdict)],
    [begins ? why.slice(verdict.length) : `  ${why}`, "strong"],
  ];
}

/** So that nobody needs colours to tell them apart. */
const MARKS: { readonly [I in Ink]?: string } = { good: "✓", bad: "✗", unsure: "?" };

function verdictInk(verdict: PublicFlowTrace["verdict"]): Ink {
  if (FAILED.has(verdict)) return "bad";
  return verdict === "unknown" ? "unsure" : "good";
}

interface Failure {
  readonly segment: PublicSegment;
  readonly step: ShownStep;
}

/** The last drop step of the first segment that failed. */
function failingStep(trace: PublicFlowTrace): Failure | null {
  for (const segment of trace.segments) {
    if (segment.duplicate) continue;
    const step = segment.steps.findLast((x): x is ShownStep => isShown(x) && x.kind === "drop");
    if (step !== undefined && FAILED.has(segment.verdict)) return { segment, step };
  }
  return null;
}

function renderAdvice(out: Page, trace: PublicFlowTrace, failing: Failure | null): void {
  if (failing === null) return;
  const advice = DROP_ADVICE[failing.step["reason"] as DropReason] as Advice | undefined;
  if (advice !== undefined) adviceLines(out, advice, namesAt(trace, failing), failing.segment.hostName);
}

/** What to do about what is missing: each reason once. */
function renderMissing(out: Page, trace: PublicFlowTrace): void {
  const said = new Set<string>();
  for (const { reason, hostName } of trace.completeness.missing) {
    const advice = MISSING_ADVICE[reason] as Advice | undefined;
    if (advice === undefined || said.has(reason)) continue;
    said.add(reason);
    adviceLines(out, advice, { TRACE: trace.traceRequestIds[0] ?? "TRACE", FLOW: trace.flowTraceId }, hostName);
  }
}

function adviceLines(out: Page, { say, run, at }: Advice, names: AdviceNames, hostName: string | null): void {
  out.line("  → ", "    ", [[say.replaceAll("`", ""), "plain"]]);
  if (run === null) return;
  const where = at === "GUEST" ? "in the guest: " : at === "HOST" ? `on ${hostText(hostName ?? "the host")}: ` : "";
  out.line("  → ", "    ", [
    [where, "plain"],
    [adviceCommand(run, names), "strong"],
  ]);
}

/** What the words of an advice stand for where the packet ended. */
function namesAt(trace: PublicFlowTrace, { segment, step }: Failure): AdviceNames {
  const shown = segment.steps.filter(isShown);
  const before = shown.slice(0, shown.indexOf(step));
  const last = (field: string): string | undefined => {
    for (const step of before.toReversed()) {
      const value = step[field];
      if (typeof value === "string" || typeof value === "number") return String(value);
    }
    return undefined;
  };
  const { type, name, id } = step.device;
  const device = { [type.toUpperCase()]: name === "" ? id : name };
  const named = { CHAIN: last("chainName"), INTERFACE: last("interface"), MTU: last("mtuBytes") };
  const known = Object.entries(named).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(known),
    ...device,
    TRACE: trace.traceRequestIds[0] ?? "TRACE",
    FLOW: trace.flowTraceId,
  };
}

/** A tenant's alias already says that it is a host. */
const hostText = (name: string): string => (/^(the )?host /.test(name) ? name : `host ${name}`);

const isShown = (s: PublicStep): s is ShownStep => s.withheld !== true;

/** By the collector's clock where the clocks of both hosts are known against it, else as each host's clock says. */
function clockNotes(segment: PublicSegment, trace: PublicFlowTrace): string[] {
  const { clockOffsetMs } = segment;
  const entry = trace.segments.find((s) => s.role === "ingress")?.clockOffsetMs ?? null;
  const known = clockOffsetMs !== null && entry !== null;
  const afterMs = segment.startedAtMs - trace.startedAtMs - (known ? clockOffsetMs - entry : 0);
  const far = clockOffsetMs !== null && Math.abs(clockOffsetMs) >= CLOCK_NOTED_MS;
  return [
    ...(segment.role === "ingress" ? [] : [offset(afterMs)]),
    ...(far ? [`its clock ${solid(offset(clockOffsetMs))}`] : afterMs < 0 ? ["clocks differ"] : []),
  ];
}

function renderSegment(out: Page, segment: PublicSegment, trace: PublicFlowTrace, failing: PublicStep | null): void {
  const notes = [
    segment.role,
    ...(segment.duplicate ? ["duplicate from the underlay"] : []),
    ...(segment.joinedBy === "token" ? ["state lost, joined by its token"] : []),
    ...clockNotes(segment, trace),
  ];
  out.line("", "  ", [
    [hostText(segment.hostName), "strong"],
    [`  ${notes.join(", ")}`, "faint"],
  ]);
  const groups = grouped(segment.steps);
  let shownAtMs = segment.startedAtMs;
  for (const [g, group] of groups.entries()) {
    const last = g === groups.length - 1;
    const stem = last ? "   " : "│  ";
    if (group.title === null) {
      out.line(last ? "└─ " : "├─ ", stem, [["▒▒ withheld: devices of others", "faint"]]);
      continue;
    }
    out.line(last ? "└─ " : "├─ ", stem, [[group.title, "strong"]]);
    for (const step of group.steps) {
      const failed = step === failing;
      const rule = step.kind === "rule" && step["matched"] === false;
      out.line(`${stem}${failed ? "✗ " : "· "}`, `${stem}  `, [
        [step.text, failed ? "bad" : rule ? "faint" : "plain"],
        [step.atMs === shownAtMs ? "" : `  ${solid(offset(step.atMs - segment.startedAtMs))}`, "faint"],
      ]);
      shownAtMs = step.atMs;
    }
  }
  if (groups.length === 0) out.line("└─ ", "   ", [["no steps", "faint"]]);
}

interface Group {
  /** Null: withheld. */
  readonly title: string | null;
  readonly steps: ShownStep[];
}

/** Runs of steps of one device. */
function grouped(steps: readonly PublicStep[]): Group[] {
  const groups: Group[] = [];
  for (const step of steps) {
    if (!isShown(step)) {
      groups.push({ title: null, steps: [] });
      continue;
    }
    const { type, name, id } = step.device;
    const title = `${type === "host" ? "switch of host" : type} ${name === "" ? id : name}`;
    const open = groups.at(-1);
    if (open !== undefined && open.title === title) open.steps.push(step);
    else groups.push({ title, steps: [step] });
  }
  return groups;
}

const offset = (ms: number): string => (ms < 0 ? `${ms} ms` : `+${ms} ms`);

/** Kept on one line. */
const solid = (text: string): string => text.replaceAll(" ", "\u00a0");

function keyLine(k: TraceKey): string {
  const ends = (ip: string | null, port: number | null): string => (port === null ? `${ip}` : `${ip}:${port}`);
  if (k.networkSrc === null)
    return `${k.ethSrc} > ${k.ethDst} ethertype 0x${k.etherType.toString(16).padStart(4, "0")}`;
  if (k.etherType === 0x0806) return arpLine(k);
  if (k.networkProto === 1 || k.networkProto === 58) return `ICMP ${k.networkSrc} > ${k.networkDst} id ${k.srcPort}`;
  const name = k.networkProto === 6 ? "TCP" : k.networkProto === 17 ? "UDP" : `IP protocol ${k.networkProto}`;
  return `${name} ${ends(k.networkSrc, k.srcPort)} > ${ends(k.networkDst, k.dstPort)}`;
}

function arpLine(k: TraceKey): string {
  const word = k.networkProto === 1 ? "request" : k.networkProto === 2 ? "reply" : `operation ${k.networkProto}`;
  return `ARP ${word} for ${k.networkDst} from ${k.networkSrc}`;
}
