import type { TraceRequestId } from "#core/base";
import { type NsdbEvent, type NsdbStore, type NsdbWatcher, pathElements } from "#core/nsdb";
import type { TraceStore } from "#core/tracing";
import type { ApiLog } from "./call.ts";
import type { OpenStreams } from "./streams.ts";

/** Whoever deletes a trace request, here, elsewhere or with its device: its flows are forgotten and its streams end. */
export class TraceWatch implements NsdbWatcher {
  private readonly store: NsdbStore;
  private readonly traceStore: TraceStore;
  private readonly streams: OpenStreams;
  private readonly log: ApiLog;
  /** Requests that are there, as far as is known. */
  private readonly known = new Set<string>();
  private readonly unforgotten = new Set<TraceRequestId>();

  constructor(store: NsdbStore, traceStore: TraceStore, streams: OpenStreams, log: ApiLog) {
    this.store = store;
    this.traceStore = traceStore;
    this.streams = streams;
    this.log = log;
  }

  events(events: readonly NsdbEvent[]): void {
    for (const { kind, path } of events) {
      const [, id, ...below] = pathElements(path);
      if (id === undefined || below.length > 0) continue;
      if (kind === "deleted") this.gone(id);
      else this.known.add(id);
    }
  }

  /** Which requests there are now. After the watch is set. @throws NsdbUnavailable */
  async begin(): Promise<void> {
    await this.lookAgain();
  }

  /** After a gap nobody says what was deleted: those that are not there any more were. */
  resync(): void {
    this.lookAgain().catch((error: unknown) => {
      // The connection broke again: the next one says `resync` again.
      this.log.info("trace requests could not be listed", { error: String(error) });
    });
  }

  private async lookAgain(): Promise<void> {
    // What is made while the list is on its way may not be on it, and is not gone.
    const before = [...this.known, ...this.streams.traceIds()];
    const there = new Set(await this.store.children("/traces"));
    for (const id of before) if (!there.has(id)) this.gone(id);
    for (const id of there) this.known.add(id);
  }

  /** Those that could not be forgotten while the trace store was away, once more. */
  retry(): void {
    for (const id of this.unforgotten) this.forget(id);
  }

  private forget(id: TraceRequestId): void {
    this.unforgotten.delete(id);
    this.traceStore.forgetRequest(id).catch((error: unknown) => {
      this.unforgotten.add(id);
      this.log.info("the flows of a deleted trace request are still there", { id, error: String(error) });
    });
  }

  private gone(id: string): void {
    this.known.delete(id);
    this.forget(id as TraceRequestId);
    this.streams.end(id, "deleted");
  }
}
