import type { Io } from "#apps/cli/options";
import { stringifyExactJson, parseExactJson } from "#core/api-contract";
import { MidotraceError, type Scheduler } from "#core/base";
import type { PublicFlowTrace } from "#core/tracing";
import { type ApiClient, type Json, objectOf, textOf } from "./api-client.ts";
import { flowPage, flowTraceOf, isFinished, printFlow } from "./flow-text.ts";
import { readEvents } from "./sse.ts";
import { pause, processTimers, unlessQuiet } from "./timers.ts";

export interface FollowOptions {
  readonly requestId: string;
  readonly json: boolean;
  /** Flows after which to end; null: when stopped. */
  readonly count: number | null;
  /** Called once, when the stream is open: what is done then cannot be missed. */
  readonly onOpen?: () => Promise<void>;
  /** Default: timers of this process. */
  readonly scheduler?: Scheduler;
}

/** Waits between attempts, unless the server names another: each twice the one before. */
const RECONNECT_MS = 1_000;
const MAX_RECONNECT_MS = 30_000;
/** A server says something every 15 s. */
const QUIET_MS = 45_000;
/** Ids of flow traces already shown: a later change of one is not shown again. */
const SHOWN_MAX = 10_000;
/** What is read of a gap at most: pages of so many flows. */
const GAP_PAGES = 10;
const GAP_PAGE = 100;

/**
 * Shows each flow trace of a request when it is finished. A connection that is lost is taken up where it ended, however
 * long that takes; what was missed in between is marked, and what is kept of it is shown. Ends when stopped, when `count`
 * flows were shown, or when the server says that there is nothing more.
 * @throws MidotraceError when the first connection fails, the request is gone, or the user may not see it any more.
 */
export async function follow(client: ApiClient, options: FollowOptions, io: Io): Promise<void> {
  await new Follower(client, options, io).run();
}

class Follower {
  private readonly client: ApiClient;
  private readonly options: FollowOptions;
  private readonly io: Io;
  private readonly scheduler: Scheduler;
  private readonly shown = new Set<string>();
  /** Known, and not shown because something of them is awaited. */
  private readonly pending = new Set<string>();
  /** The newest flow trace from before the stream; null: there was none. */
  private newestBefore: string | null = null;
  private lastEventId: string | null = null;
  private reconnectMs = RECONNECT_MS;
  private failures = 0;
  /** The stream was lost, and what came of the next one is not known yet. */
  private lost = false;
  private count = 0;
  private isOpened = false;
  /** Nothing more can come. */
  private over = false;

  constructor(client: ApiClient, options: FollowOptions, io: Io) {
    this.client = client;
    this.options = options;
    this.io = io;
    this.scheduler = options.scheduler ?? processTimers;
  }

  async run(): Promise<void> {
    while (!this.done()) {
      try {
        const stream = await this.client.events(`/traces/${this.options.requestId}/events`, this.lastEventId);
        if (!this.isOpened) await this.opened();
        await this.read(unlessQuiet(stream, this.scheduler, QUIET_MS));
        if (this.done()) return;
        this.mark("connection lost: the server ended the stream");
      } catch (error) {
        if (this.io.stop.aborted) return;
        if (!this.isOpened || isFinal(error)) throw error;
        if (this.lost) this.failures++;
        this.mark(`connection lost: ${(error as Error).message}`);
      }
      this.lost = true;
      const waitMs = Math.min(MAX_RECONNECT_MS, this.reconnectMs * 2 ** this.failures);
      this.mark(`trying again in ${secondsText(waitMs)}`);
      await pause(this.scheduler, waitMs, this.io.stop);
    }
  }

  private async opened(): Promise<void> {
    const newest = await flowPage(this.client, this.flowsPath("limit=1")).catch(() => null);
    this.newestBefore = newest?.flows[0]?.flowTraceId ?? null;
    await this.options.onOpen?.();
    this.isOpened = true;
  }

  private flowsPath(query: string): string {
    return `/traces/${this.options.requestId}/flows?${query}`;
  }

  private done(): boolean {
    return this.over || this.io.stop.aborted || (this.options.count !== null && this.count >= this.options.count);
  }

  private async read(stream: AsyncIterable<Uint8Array>): Promise<void> {
    const seen = {
      id: (id: string): void => {
        // The first that a stream says is where it takes up.
        this.regained();
        this.lastEventId = id;
      },
      retry: (ms: number): void => void (this.reconnectMs = ms),
    };
    for await (const { event, data } of readEvents(stream, seen)) {
      if (event === "gap") await this.fillGap();
      else if (event === "flow") this.show(flowTraceOf(objectOf(parseExactJson(data), "the stream")["flow"]));
      else if (event === "end") this.ended(textOf(objectOf(parseExactJson(data), "the stream"), "reason"));
      if (this.done()) return;
    }
  }

  private regained(): void {
    if (!this.lost) return;
    this.lost = false;
    this.failures = 0;
    this.mark("connected again");
  }

  /** The server says why it ends the stream. */
  private ended(reason: string): void {
    if (reason === "deleted") {
      this.mark("the trace request was deleted");
      this.over = true;
    } else if (reason === "forbidden") {
      throw new MidotraceError("FORBIDDEN", "you may not see this trace request any more");
    } else if (reason === "signed-out") {
      throw new MidotraceError(
        "UNAUTHENTICATED",
        "your token is not valid any more: sign in again, and give --token anew",
      );
    } else if (reason === "slow-client") this.mark("the server could not wait for this terminal any longer");
    else if (reason !== "") this.mark(`the server ends the stream (${reason})`);
  }

  /** Shows what is kept of what was missed: flows that began meanwhile, and those that were awaited and are finished now. */
  private async fillGap(): Promise<void> {
    this.mark("gap: some events were missed; what is kept of them follows");
    const missed: PublicFlowTrace[] = [];
    const whole = await this.newerThanShown(missed);
    const shownBefore = this.count;
    for (const id of Array.from(this.pending)) {
      if (missed.some((f) => f.flowTraceId === id)) continue;
      const flow = await this.client.get(`/traces/${this.options.requestId}/flows/${id}`).catch(() => null);
      if (flow !== null && !this.done()) this.show(flowTraceOf(flow));
    }
    for (const flow of missed.toReversed()) if (!this.done()) this.show(flow);
    const shown = this.count - shownBefore;
    if (this.options.json) this.io.out(`${stringifyExactJson({ gap: { shown, whole } })}\n`);
    this.mark(
      `end of the gap: ${shown} flow${shown === 1 ? "" : "s"} shown${whole ? "" : "; older ones were missed too, see midotrace trace flows"}`,
    );
  }

  /** @returns false: there were more than are read. */
  private async newerThanShown(missed: PublicFlowTrace[]): Promise<boolean> {
    let before = "";
    for (let page = 0; page < GAP_PAGES; page++) {
      const { flows, next } = await flowPage(this.client, this.flowsPath(`limit=${GAP_PAGE}${before}`));
      for (const flow of flows) {
        const id = flow.flowTraceId;
        if (this.shown.has(id) || id === this.newestBefore) return true;
        missed.push(flow);
      }
      if (next === null) return true;
      before = `&before=${encodeURIComponent(next)}`;
    }
    return false;
  }

  private show(flow: PublicFlowTrace): void {
    const id = flow.flowTraceId;
    if (this.shown.has(id)) return;
    if (!isFinished(flow)) {
      remember(this.pending, id);
      return;
    }
    this.pending.delete(id);
    remember(this.shown, id);
    if (this.count++ > 0 && !this.options.json) this.io.out("\n");
    printFlow(flow, this.options, this.io);
  }

  /** About the stream, not of it: on standard error. */
  private mark(text: string): void {
    this.io.err(`- - - ${text} - - -\n`);
  }
}

function remember(ids: Set<string>, id: string): void {
  if (ids.size >= SHOWN_MAX) ids.delete(ids.values().next().value as string);
  ids.add(id);
}

const secondsText = (ms: number): string => (ms < 1_000 ? `${ms} ms` : `${Math.round(ms / 100) / 10} s`);

/** Trying again does not help: the request is gone, or not ours. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof MidotraceError)) return false;
  return error.status >= 400 && error.status < 500 && error.status !== 408 && error.status !== 429;
}

/** Sets `enabled` and nothing else: the whole request goes back as it was read, as MidoNet's servers want it. */
export async function setEnabled(client: ApiClient, request: Json, enabled: boolean): Promise<void> {
  await client.put(`/traces/${String(request["id"])}`, { ...request, enabled });
}
