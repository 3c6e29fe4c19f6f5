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

  constructor(store: NsdbStore, traceStore: TraceStore, streams: OpenStreams, log: ApiLog) {
    this.store = store;
    this.traceStore = traceStore;
    this.streams = streams;
    this.log = log;
  }

  events(events: readonly NsdbEvent[]): void {
    for (const { kind, path } of events) {
      const [, id, ...below] = pathElements(path);
      if (kind === "deleted" && id !== undefined && below.length === 0) this.gone(id);
    }
  }

  /** After a gap nobody says what was deleted: the streams that are open are looked at. */
  resync(): void {
    void this.lookAgain();
  }

  private async lookAgain(): Promise<void> {
    try {
      const there = new Set(await this.store.children("/traces"));
      for (const id of this.streams.traceIds()) if (!there.has(id)) this.gone(id);
    } catch (error) {
      this.log.info("trace requests could not be listed", { error: String(error) });
    }
  }

  private gone(id: string): void {
    this.traceStore.forgetRequest(id as TraceRequestId);
    this.streams.end(id, "deleted");
  }
}
