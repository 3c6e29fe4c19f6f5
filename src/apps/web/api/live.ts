import { EventStreamParser, type ShownFlow } from "#apps/web/model";
import { ApiError, send } from "./client.ts";

export type LiveState =
  | "connecting"
  | "live"
  /** Nobody answers; it is tried again. */
  | "lost"
  /** The trace request is gone. */
  | "ended";

export interface LiveListener {
  /** Flows in the order in which they came, those of one moment together. */
  flows(flows: readonly ShownFlow[]): void;
  /** Events are gone that nobody here has seen: the list has to be read anew. */
  gap(): void;
  state(state: LiveState): void;
}

const MAX_WAIT_MS = 15_000;
/** No sign of life for this long: the connection is dead, whatever the browser thinks. The server's heart beats every 15 s. */
const SILENCE_MS = 40_000;

/** Follows a trace's stream until `signal`: resumes after the last event seen, and says when something was missed. */
export async function follow(traceId: string, listener: LiveListener, signal: AbortSignal): Promise<void> {
  let lastId: string | null = null;
  let retryMs = 2_000;
  let failures = 0;
  listener.state("connecting");
  while (!signal.aborted) {
    const parser: EventStreamParser = new EventStreamParser();
    parser.lastId = lastId;
    try {
      const reason = await readStream(traceId, parser, listener, signal, () => {
        failures = 0;
      });
      if (reason === "deleted") return listener.state("ended");
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof ApiError && [401, 403, 404].includes(error.status)) return listener.state("ended");
    }
    lastId = parser.lastId;
    retryMs = parser.retryMs ?? retryMs;
    listener.state("lost");
    await pause(Math.min(retryMs * 1.6 ** failures, MAX_WAIT_MS), signal);
    failures++;
  }
}

/** @returns why the server ended the stream; null when it just broke off. */
async function readStream(
  traceId: string,
  parser: EventStreamParser,
  listener: LiveListener,
  outer: AbortSignal,
  connected: () => void,
): Promise<string | null> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await send(`/traces/${traceId}/events`, {
      headers: { accept: "text/event-stream", ...(parser.lastId === null ? {} : { "last-event-id": parser.lastId }) },
      signal: AbortSignal.any([outer, silence.signal]),
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return null;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      connected();
      listener.state("live");
      const flows: ShownFlow[] = [];
      for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
        const said = JSON.parse(data) as { readonly flow?: ShownFlow; readonly reason?: string };
        if (event === "flow" && said.flow !== undefined) flows.push(said.flow);
        else if (event === "gap") listener.gap();
        else if (event === "end") return said.reason ?? null;
      }
      if (flows.length > 0) listener.flows(flows);
    }
  } finally {
    clearTimeout(timer);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      window.removeEventListener("online", done);
      resolve();
    }
    signal.addEventListener("abort", done);
    window.addEventListener("online", done);
  });
}
