import { type StreamEventName, stringifyExactJson } from "#core/api-contract";
import type { Cancel, Scheduler, TraceRequestId } from "#core/base";
import { type FlowEvent, type FlowTrace, type TraceStore, type Viewer } from "#core/tracing";
import type { StreamSink } from "./call.ts";
import type { Seal } from "./seal.ts";
import { TenantEvents } from "./tenant-events.ts";

/** A comment this often keeps proxies from cutting a quiet stream. */
export const HEARTBEAT_MS = 15_000;
/** How long a browser waits before it comes back. */
const RETRY_MS = 2_000;
/** A client that was cut gets this long to read why. */
const LINGER_MS = 10_000;

export interface EventStreamOptions {
  readonly traceStore: TraceStore;
  readonly scheduler: Scheduler;
  readonly traceId: TraceRequestId;
  readonly viewer: Viewer;
  /** Of the ids that tenants get; administrators get them as they are. */
  readonly seal: Seal;
  /** Events that may wait for the client. */
  readonly queue: number;
  /** What the client has seen last, null for a client that begins now. */
  readonly lastEventId: number | null;
}

/**
 * One client's stream of server-sent events (WHATWG HTML §9.2). What waits for a slow client are ids, not texts: a flow is
 * read when it is written, so the client gets its newest state; a client that keeps up costs no read, for the event has the
 * flow with it. When more wait than the queue takes, the client is cut
 * with an `end` event; it may come back with the id it has seen last.
 */
export class EventStream {
  private readonly sink: StreamSink;
  private readonly options: EventStreamOptions;
  private readonly waiting: WaitingEvent[] = [];
  /** How many may wait: a replay is bounded by the store and comes on top. */
  private capacity: number;
  private blocked = false;
  /** A flow is being read, or what was missed: what comes meanwhile waits. */
  private reading = false;
  private ended = false;
  private released = false;
  private heartbeat: Cancel | null = null;
  private linger: Cancel | null = null;
  private unsubscribe: () => void = () => undefined;
  private readonly closed: () => void;
  private readonly events: TenantEvents;

  /** @param closed called once, when the stream is over for whatever reason. */
  constructor(sink: StreamSink, options: EventStreamOptions, closed: () => void) {
    this.sink = sink;
    this.options = options;
    this.capacity = options.queue;
    this.closed = closed;
    this.events = new TenantEvents(options.viewer, options.lastEventId !== null);
  }

  /** Begins: what the client has missed, or a `gap`, and from then on what comes. Never rejects. */
  async open(): Promise<void> {
    const { traceStore, traceId, lastEventId } = this.options;
    this.sink.onClose(() => this.release());
    this.unsubscribe = traceStore.subscribe(traceId, (event) => this.take(event));
    const newest = traceStore.lastEventId();
    // An event without data is not dispatched, but sets the id that the client will come back with.
    const start = lastEventId ?? newest;
    this.send(`retry: ${RETRY_MS}\nid: ${this.idText(start)}\n\n`);
    this.beat();
    if (lastEventId !== null) await this.exclusively(() => this.replay(lastEventId, newest));
  }

  /** Ends the stream with an event that says why. */
  end(reason: string): void {
    if (this.ended) return;
    this.ended = true;
    this.waiting.length = 0;
    this.stopTimers();
    this.unsubscribe();
    this.sink.write(frame("end", { reason }, null));
    this.sink.end();
    // A client that reads nothing would never see the end; the connection goes after a while.
    this.linger = this.options.scheduler.after(LINGER_MS, () => this.release());
  }

  private async replay(lastEventId: number, newest: number): Promise<void> {
    const { traceStore, traceId } = this.options;
    const { gap, events } = await traceStore.since(traceId, lastEventId);
    if (this.ended) return;
    if (gap) {
      const { admin } = this.options.viewer;
      this.send(frame("gap", { lastEventId: admin ? newest : this.idText(newest) }, this.idText(newest)));
      return;
    }
    const last = events.at(-1)?.id ?? lastEventId;
    // What came while it was read may be told of there, too.
    const later = this.waiting.filter((e) => e.id > last);
    this.capacity += events.length;
    this.waiting.splice(0, this.waiting.length, ...events.map(waitingEvent), ...later);
  }

  private take(event: FlowEvent): void {
    if (this.ended) return;
    const free = !this.blocked && !this.reading;
    if (free && event.trace !== null) this.write(event, event.trace);
    else if (this.waiting.length >= this.capacity) this.end("slow-client");
    else {
      this.waiting.push(waitingEvent(event));
      if (free) void this.exclusively(async () => {});
    }
  }

  private write(event: WaitingEvent, flow: FlowTrace): void {
    const dto = this.events.dtoOf(event.change, flow);
    if (dto !== null) this.send(frame("flow", dto, this.idText(event.id)));
  }

  private idText(id: number): string {
    const { viewer, seal } = this.options;
    return viewer.admin ? String(id) : seal.seal(String(id));
  }

  private send(text: string): void {
    if (this.sink.write(text) || this.blocked) return;
    this.blocked = true;
    this.sink.onDrain(() => this.drain());
  }

  private drain(): void {
    this.blocked = false;
    if (!this.reading) void this.exclusively(async () => {});
  }

  /** Does the work, then writes what waits, as far as the client takes it. */
  private async exclusively(work: () => Promise<void>): Promise<void> {
    this.reading = true;
    try {
      await work();
      await this.writeWaiting();
    } catch {
      // The client comes back with the id it has seen last.
      this.end("store-unavailable");
    } finally {
      this.reading = false;
    }
  }

  private async writeWaiting(): Promise<void> {
    while (!this.blocked && !this.ended) {
      const event = this.waiting.shift();
      if (event === undefined) return;
      const flow = await this.options.traceStore.flow(event.flowTraceId);
      if (flow !== null && !this.ended) this.write(event, flow);
    }
  }

  private beat(): void {
    if (this.ended) return;
    this.heartbeat = this.options.scheduler.after(HEARTBEAT_MS, () => {
      if (!this.blocked) this.send(": still here\n\n");
      this.beat();
    });
  }

  private stopTimers(): void {
    this.heartbeat?.cancel();
    this.linger?.cancel();
  }

  private release(): void {
    if (this.released) return;
    this.released = true;
    this.ended = true;
    this.stopTimers();
    this.unsubscribe();
    this.sink.destroy();
    this.closed();
  }
}

type WaitingEvent = Pick<FlowEvent, "id" | "change" | "flowTraceId">;

const waitingEvent = ({ id, change, flowTraceId }: FlowEvent): WaitingEvent => ({ id, change, flowTraceId });

function frame(name: StreamEventName, data: unknown, id: string | null): string {
  const idLine = id === null ? "" : `id: ${id}\n`;
  return `event: ${name}\n${idLine}data: ${stringifyExactJson(data)}\n\n`;
}
