import { EmbeddedNsdb, type EmbeddedSession } from "#adapters/nsdb-embedded";
import { HttpTraceSink, type Reply, type SinkLimits, type Transport } from "#adapters/trace-sink-http";
import { type SegmentsAnswerDto, segmentsBody } from "#core/api-contract";
import { SeededRandom } from "#core/base";
import { Collectors, initialize } from "#core/nsdb";
import type { TraceSegment } from "#core/tracing";
import { H1, ingressSegment } from "./tracing-example.ts";
import { flowId } from "./tracing-samples.ts";
import { VirtualTime } from "./virtual-time.ts";

export const segmentNo = (n: number, more: Partial<TraceSegment> = {}): TraceSegment =>
  ingressSegment({ segmentId: `${H1}/boot/${n}`, cookie: n, flowTraceId: flowId(n), hostId: H1, ...more });

export interface Delivered {
  readonly atMs: number;
  readonly url: string;
  readonly sequence: number;
  readonly cookies: readonly number[];
  readonly lost: readonly { readonly count: number; readonly why: string }[];
  readonly sizeBytes: number;
}

/** What a collector does with a request; a rejection: no answer. `taken`: whether it was done before that. */
export type Behaviour = "answer" | "lost before" | "lost after" | "silent" | number | ((d: Delivered) => Reply);

/** Collectors by URL, and a network between them and the sink, without any network. */
export class FakeNetwork implements Transport {
  readonly time: VirtualTime;
  readonly requests: Delivered[] = [];
  /** What each collector has, by cookie, how often. */
  readonly taken = new Map<string, Map<number, number>>();
  /** What each collector was told, once for each sequence. */
  readonly told = new Map<string, Map<number, Delivered["lost"]>>();
  behaviour: (d: Delivered) => Behaviour = () => "answer";
  /** Between request and answer. */
  latencyMs = 1;
  open = 0;
  mostOpen = 0;
  closed = false;

  constructor(time: VirtualTime) {
    this.time = time;
  }

  async post(url: string, body: string, signal: AbortSignal): Promise<Reply> {
    const parsed = segmentsBody.parse(JSON.parse(body));
    const base = url.replace("/midonet-api/trace-segments", "");
    const d: Delivered = {
      atMs: this.time.monotonicMs(),
      url: base,
      sequence: parsed.sequence,
      cookies: parsed.segments.map((s) => (s.ok ? s.segment.cookie : -1)),
      lost: parsed.lost.map(({ count, why }) => ({ count, why })),
      sizeBytes: body.length,
    };
    this.requests.push(d);
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    try {
      return await this.reply(d, signal);
    } finally {
      this.open--;
    }
  }

  close(): void {
    this.closed = true;
  }

  /** How often each collector got each segment, and of what it was told. */
  has(url: string): number[] {
    return [...(this.taken.get(url)?.keys() ?? [])].sort((a, b) => a - b);
  }

  toldOf(url: string): { count: number; why: string }[] {
    return [...(this.told.get(url)?.values() ?? [])].flat();
  }

  private async reply(d: Delivered, signal: AbortSignal): Promise<Reply> {
    const what = this.behaviour(d);
    await this.pause(what === "silent" ? Number.POSITIVE_INFINITY : this.latencyMs, signal);
    if (what === "lost before") throw new Error("connect ECONNREFUSED");
    if (typeof what === "number") return { status: what, body: "no" };
    if (typeof what === "function") return what(d);
    const answer = this.take(d);
    if (what === "lost after") throw new Error("socket hang up");
    return { status: 200, body: JSON.stringify(answer) };
  }

  take(d: Delivered): SegmentsAnswerDto {
    const mine = this.taken.get(d.url) ?? new Map<number, number>();
    this.taken.set(d.url, mine);
    let duplicates = 0;
    for (const cookie of d.cookies) {
      if (mine.has(cookie)) duplicates++;
      mine.set(cookie, (mine.get(cookie) ?? 0) + 1);
    }
    const told = this.told.get(d.url) ?? new Map<number, Delivered["lost"]>();
    this.told.set(d.url, told);
    if (!told.has(d.sequence)) told.set(d.sequence, d.lost);
    return { accepted: d.cookies.length - duplicates, duplicates, refused: [] };
  }

  private pause(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = ms === Number.POSITIVE_INFINITY ? null : this.time.after(ms, resolve);
      signal.addEventListener("abort", () => {
        timer?.cancel();
        reject(signal.reason instanceof Error ? signal.reason : new Error("aborted"));
      });
    });
  }
}

export interface SinkRig {
  readonly time: VirtualTime;
  readonly net: FakeNetwork;
  readonly sink: HttpTraceSink;
  readonly log: string[];
  readonly collectors: Collectors;
  /** The sink's own session. */
  readonly session: EmbeddedSession;
  /** A server registers, or its node goes. */
  readonly register: (n: number) => Promise<void>;
  readonly vanish: (n: number) => Promise<void>;
  readonly send: (from: number, to?: number) => void;
  readonly stop: () => Promise<void>;
}

export const urlNo = (n: number): string => `http://192.0.2.${n}:8181`;
const collectorId = (n: number): string => `00000000-0000-4000-8000-0000000000c${n}`;

export async function sinkRig(limits: Partial<SinkLimits> = {}, started = true): Promise<SinkRig> {
  const time = new VirtualTime();
  const random = new SeededRandom(5);
  const store = new EmbeddedNsdb("memory:");
  await store.start();
  const admin = store.session();
  await admin.start();
  await initialize(admin, random);
  const session = store.session();
  if (started) await session.start();
  const net = new FakeNetwork(time);
  const log: string[] = [];
  const sink = new HttpTraceSink({
    hostId: H1,
    store: session,
    clock: time,
    scheduler: time,
    random,
    transport: net,
    log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    limits,
  });
  await sink.start();
  const collectors = new Collectors(admin);
  return {
    time,
    net,
    sink,
    log,
    collectors,
    session,
    register: async (n) => {
      await collectors.register({ id: collectorId(n), url: urlNo(n) });
      await time.settle();
    },
    vanish: async (n) => {
      await collectors.unregister(collectorId(n));
      await time.settle();
    },
    send: (from, to = from) => {
      for (let n = from; n <= to; n++) sink.segment(segmentNo(n));
    },
    stop: async () => {
      await sink.stop();
      await session.stop();
      await admin.stop();
      await store.stop();
    },
  };
}
