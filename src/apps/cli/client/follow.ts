import { setTimeout as pause } from "node:timers/promises";
import type { Io } from "#apps/cli/options";
import { MidotraceError } from "#core/base";
import { parseExactJson } from "#core/api-contract";
import type { PublicFlowTrace } from "#core/tracing";
import { type ApiClient, type Json, objectOf, textOf } from "./api-client.ts";
import { flowPage, flowTraceOf, isFinished, printFlow } from "./flow-text.ts";
import { readEvents } from "./sse.ts";

export interface FollowOptions {
  readonly requestId: string;
  readonly json: boolean;
  /** Flows after which to end; null: when stopped. */
  readonly count: number | null;
  /** Called once, when the stream is open: what is done then cannot be missed. */
  readonly onOpen?: () => Promise<void>;
}

const RECONNECT_MS = 1_000;
/** Ids of flow traces already shown: a later change of one is not shown again. */
const SHOWN_MAX = 10_000;

/**
 * Shows each flow trace of a request when it is finished. A stream that breaks is taken up where it ended; what was missed
 * in between is said, and what can be read of it is read. Ends when stopped or `count` flows were shown.
 * @throws MidotraceError when the first connection fails, or the request is gone.
 */
export async function follow(client: ApiClient, options: FollowOptions, io: Io): Promise<void> {
  const follower = new Follower(client, options, io);
  await follower.run();
}

class Follower {
  private readonly client: ApiClient;
  private readonly options: FollowOptions;
  private readonly io: Io;
  private readonly shown = new Set<string>();
  private lastEventId: string | null = null;
  private count = 0;
  /** Nothing more can come. */
  private over = false;

  constructor(client: ApiClient, options: FollowOptions, io: Io) {
    this.client = client;
    this.options = options;
    this.io = io;
  }

  async run(): Promise<void> {
    for (let attempt = 0; !this.done(); attempt++) {
      try {
        const stream = await this.client.events(`/traces/${this.options.requestId}/events`, this.lastEventId);
        if (attempt === 0) await this.options.onOpen?.();
        await this.read(stream);
        if (this.done()) return;
        this.io.err("the server ended the stream; connecting again\n");
      } catch (error) {
        if (this.io.stop.aborted) return;
        if (attempt === 0 || isFinal(error)) throw error;
        this.io.err(`the stream broke (${(error as Error).message}); connecting again\n`);
      }
      await pause(RECONNECT_MS, undefined, { signal: this.io.stop }).catch(() => undefined);
    }
  }

  private done(): boolean {
    return this.over || this.io.stop.aborted || (this.options.count !== null && this.count >= this.options.count);
  }

  private async read(stream: ReadableStream<Uint8Array>): Promise<void> {
    const seen = (id: string): void => void (this.lastEventId = id);
    for await (const { event, data } of readEvents(stream, seen)) {
      if (event === "gap") await this.fillGap();
      else if (event === "flow") this.show(flowTraceOf(objectOf(parseExactJson(data), "the stream")["flow"]));
      else if (event === "end") this.ended(textOf(objectOf(parseExactJson(data), "the stream"), "reason"));
      if (this.done()) return;
    }
  }

  /** The server says why it ends the stream. */
  private ended(reason: string): void {
    if (reason !== "deleted") return;
    this.io.err("the trace request was deleted\n");
    this.over = true;
  }

  private async fillGap(): Promise<void> {
    this.io.err("- - - gap: some events were missed; what is kept of them follows - - -\n");
    const flows = await flowPage(this.client, `/traces/${this.options.requestId}/flows?limit=100`);
    for (const flow of flows.toReversed()) if (!this.done()) this.show(flow);
  }

  private show(flow: PublicFlowTrace): void {
    if (!isFinished(flow) || this.shown.has(flow.flowTraceId)) return;
    if (this.shown.size >= SHOWN_MAX) this.shown.delete(this.shown.values().next().value as string);
    this.shown.add(flow.flowTraceId);
    if (this.count++ > 0 && !this.options.json) this.io.out("\n");
    printFlow(flow, this.options.json, this.io);
  }
}

/** Trying again does not help: the request is gone, or not ours. */
function isFinal(error: unknown): boolean {
  return error instanceof MidotraceError && error.status >= 400 && error.status < 500;
}

/** Sets `enabled` and nothing else: the whole request goes back as it was read, as MidoNet's servers want it. */
export async function setEnabled(client: ApiClient, request: Json, enabled: boolean): Promise<void> {
  await client.put(`/traces/${String(request["id"])}`, { ...request, enabled });
}
