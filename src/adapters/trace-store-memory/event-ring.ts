import type { FlowEvent, Replay } from "#core/tracing";

type Listener = (event: FlowEvent) => void;
type Wanted = string | null;

const concerns = (event: FlowEvent, wanted: Wanted): boolean =>
  wanted === null || event.requestIds.some((id) => id === wanted);

/** The last events, for subscribers that come back, and the subscribers themselves. */
export class EventRing {
  private readonly capacity: number;
  private readonly listeners = new Map<symbol, { readonly wanted: Wanted; readonly listener: Listener }>();
  private readonly ring: FlowEvent[] = [];
  /** Everything up to here is gone. */
  private forgottenUpTo: number;
  lastId: number;

  /** `firstId` must be larger than any id given before a restart. */
  constructor(capacity: number, firstId: number) {
    this.capacity = capacity;
    this.lastId = firstId - 1;
    this.forgottenUpTo = firstId - 1;
  }

  emit(event: Omit<FlowEvent, "id">): void {
    const numbered: FlowEvent = { ...event, id: ++this.lastId };
    // A replay shows the flow as it is then: what it was like is not kept.
    this.ring.push({ ...numbered, trace: null });
    // Cut in one go, so that each event pays for its share only.
    if (this.ring.length >= this.capacity * 2) this.ring.splice(0, this.ring.length - this.capacity);
    this.forgottenUpTo = (this.ring[0] as FlowEvent).id - 1;
    for (const { wanted, listener } of Array.from(this.listeners.values())) {
      if (!concerns(numbered, wanted)) continue;
      try {
        listener(numbered);
      } catch {
        // A listener's failure is its own: the store and the other listeners go on.
      }
    }
  }

  subscribe(wanted: Wanted, listener: Listener): () => void {
    const key = Symbol("subscriber");
    this.listeners.set(key, { wanted, listener });
    return () => {
      this.listeners.delete(key);
    };
  }

  since(wanted: Wanted, eventId: number): Replay {
    const known = eventId >= this.forgottenUpTo && eventId <= this.lastId;
    const from = known ? eventId - this.forgottenUpTo : 0;
    return { gap: !known, events: this.ring.slice(from).filter((e) => concerns(e, wanted)) };
  }
}
