import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { FlowEvent, Replay } from "#core/tracing";
import type { Change } from "./batch.ts";
import { Counters } from "./counters.ts";
import type { Sql } from "./sql.ts";

type Listener = (event: FlowEvent) => void;
type Wanted = TraceRequestId | null;

const concerns = (event: FlowEvent, wanted: Wanted): boolean => wanted === null || event.requestIds.includes(wanted);

/** The subscribers of this process, and how far they have been told. */
export class Subscribers {
  lastId = 0;
  private readonly listeners = new Map<symbol, { readonly wanted: Wanted; readonly listener: Listener }>();

  get size(): number {
    return this.listeners.size;
  }

  subscribe(wanted: Wanted, listener: Listener): () => void {
    const key = Symbol("subscriber");
    this.listeners.set(key, { wanted, listener });
    return () => {
      this.listeners.delete(key);
    };
  }

  tell(event: FlowEvent): void {
    this.lastId = event.id;
    for (const { wanted, listener } of Array.from(this.listeners.values())) {
      if (!concerns(event, wanted)) continue;
      try {
        listener(event);
      } catch {
        // A listener's failure is its own: the store and the other listeners go on.
      }
    }
  }
}

export const eventOf = ({ id, change, flowTraceId, requestIds, trace }: Change): FlowEvent => ({
  id,
  change,
  flowTraceId,
  requestIds,
  trace,
});

/** Stored events after `id`, oldest first, without their flows. */
export async function eventsAfter(sql: Sql, id: number): Promise<FlowEvent[]> {
  const rows = await sql.all("SELECT * FROM event WHERE id > ? ORDER BY id", id);
  return rows.map((r) => ({
    id: Number(r["id"]),
    change: r["change"] === "new" ? "new" : "changed",
    flowTraceId: String(r["flow"]) as FlowTraceId,
    requestIds: JSON.parse(String(r["requests"])) as TraceRequestId[],
    trace: null,
  }));
}

/** What somebody has missed who has seen `eventId` last. */
export async function replayAfter(sql: Sql, wanted: Wanted, eventId: number): Promise<Replay> {
  const counters = await Counters.load(sql);
  const known = eventId >= counters.last("trimmed") && eventId <= counters.last("event");
  const events = await eventsAfter(sql, known ? eventId : 0);
  return { gap: !known, events: events.filter((e) => concerns(e, wanted)) };
}
