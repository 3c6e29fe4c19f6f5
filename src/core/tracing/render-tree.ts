import type { Completeness, PublicFlowTrace, PublicSegment, PublicStep, ShownStep } from "./flow-trace.ts";
import { printable } from "./printable.ts";
import type { TraceKey } from "./trace-key.ts";

/** What a piece of the tree is; the palette gives it a colour. */
export type Ink = "good" | "bad" | "unsure" | "strong" | "faint" | "plain";

/** Opening code of each ink; closed by `reset`. */
export type Palette = Readonly<Record<Ink | "reset", string>>;

export const ANSI: Palette = {
  good: "\u001b[32m",
  bad: "\u001b[1;31m",
  unsure: "\u001b[33m",
  strong: "\u001b[1m",
  faint: "\u001b[2m",
  plain: "",
  reset: "\u001b[0m",
};

export interface TreeOptions {
  readonly colour: boolean;
  /** Columns of the terminal; at least 24 are used. */
  readonly width: number;
  readonly palette?: Palette;
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

/** Verdicts that are failures. */
const FAILED = new Set(["dropped", "rejected", "error"]);

/** The answer as a tree for the terminal: sentence, packet, hosts with their devices and steps, completeness. */
export function renderFlowTrace(trace: PublicFlowTrace, options: TreeOptions): string {
  const out = new Page(options);
  out.line("", "", headline(trace));
  if (trace.key !== null) out.line("", "", [[keyLine(trace.key), "plain"]]);
  out.line("", "", [[`flow trace ${trace.flowTraceId}`, "faint"]]);
  const failing = failingStep(trace);
  for (const segment of trace.segments) {
    out.blank();
    renderSegment(out, segment, trace.startedAtMs, failing);
  }
  out.blank();
  const known = trace.completeness.state === "complete";
  const words =
    trace.simulated === true
      ? `simulated: no packet was sent${known ? "" : ", and not everything it depends on is known"}`
      : completenessLine(trace.completeness, trace.segments);
  const tone: Ink = known ? "good" : "unsure";
  out.line("", "  ", [[words, tone]]);
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
    [verdict.toUpperCase(), verdictInk(verdict)],
    [begins ? why.slice(verdict.length) : `  ${why}`, "strong"],
  ];
}

function verdictInk(verdict: PublicFlowTrace["verdict"]): Ink {
  if (FAILED.has(verdict)) return "bad";
  return verdict === "unknown" ? "unsure" : "good";
}

/** The last drop step of the first segment that failed. */
function failingStep(trace: PublicFlowTrace): PublicStep | null {
  for (const s of trace.segments) {
    if (s.duplicate) continue;
    const drop = s.steps.findLast((x) => isShown(x) && x.kind === "drop");
    if (drop !== undefined && FAILED.has(s.verdict)) return drop;
  }
  return null;
}

/** A tenant's alias already says that it is a host. */
const hostText = (name: string): string => (name.startsWith("host ") ? name : `host ${name}`);

const isShown = (s: PublicStep): s is ShownStep => s.withheld !== true;

function renderSegment(out: Page, segment: PublicSegment, startMs: number, failing: PublicStep | null): void {
  const notes = [
    segment.role,
    ...(segment.duplicate ? ["duplicate from the underlay"] : []),
    ...(segment.joinedBy === "token" ? ["state lost, joined by its token"] : []),
    ...(segment.role === "ingress" ? [] : [offset(segment.startedAtMs - startMs)]),
    ...(segment.startedAtMs < startMs ? ["clocks differ"] : []),
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
      out.line(last ? "└─ " : "├─ ", stem, [["withheld: devices of others", "faint"]]);
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

type Piece = readonly [text: string, ink: Ink];

/** Wraps words into lines that are never wider than the terminal; a word that is wider loses its tail to an ellipsis. */
class Page {
  private readonly lines: string[] = [];
  private readonly width: number;
  private readonly palette: Palette | null;

  constructor(options: TreeOptions) {
    this.width = Math.max(24, Math.floor(options.width));
    this.palette = options.colour ? (options.palette ?? ANSI) : null;
  }

  blank(): void {
    this.lines.push("");
  }

  /** `first` stands before the first line, `stem` before the others. */
  line(first: string, stem: string, pieces: readonly Piece[]): void {
    let prefix = first;
    let row: Piece[] = [];
    let used = first.length;
    for (const [text, ink] of pieces) {
      for (const token of printable(text).match(/ +|[^ ]+/g) ?? []) {
        const blank = token.startsWith(" ");
        const word = blank ? token : this.fit(token, Math.max(first.length, stem.length));
        if (used + word.length > this.width) {
          this.flush(prefix, row);
          prefix = stem;
          row = [];
          used = stem.length;
        }
        if (blank && row.length === 0) continue;
        row.push([word, ink]);
        used += word.length;
      }
    }
    this.flush(prefix, row);
  }

  text(): string {
    return `${this.lines.join("\n")}\n`;
  }

  private fit(word: string, margin: number): string {
    const room = this.width - margin;
    return word.length <= room ? word : `${word.slice(0, room - 1)}…`;
  }

  private flush(prefix: string, row: readonly Piece[]): void {
    let end = row.length;
    while (end > 0 && row[end - 1]?.[0].startsWith(" ") === true) end--;
    let text = this.paint(end === 0 ? prefix.trimEnd() : prefix, "faint");
    for (let i = 0; i < end; ) {
      const ink = (row[i] as Piece)[1];
      let run = "";
      while (i < end && (row[i] as Piece)[1] === ink) run += (row[i++] as Piece)[0];
      text += this.paint(run, ink);
    }
    this.lines.push(text.replaceAll("\u00a0", " "));
  }

  private paint(text: string, ink: Ink): string {
    if (this.palette === null || this.palette[ink] === "" || text === "") return text;
    return `${this.palette[ink]}${text}${this.palette.reset}`;
  }
}
