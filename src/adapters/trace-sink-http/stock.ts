import type { Clock } from "#core/base";
import type { SpooledReport, TraceSegment, TraceSpool } from "#core/tracing";
import type { Parcel } from "./parcel.ts";

const NEW = {
  ready: false,
  spooled: false,
  delivered: false,
  holders: 0,
  told: false,
  replaced: false,
  version: 0,
} as const;

export interface StockListener {
  /** Something that could not be sent can be now. */
  ready(): void;
  /** Reports with these ids outlive the process, or are not needed any more. */
  kept(ids: readonly string[]): void;
}

/**
 * All parcels, wherever they stand. With a spool each is put there before it may be sent; what memory has no room for stays
 * there alone until it is. A parcel that nobody holds any more is done.
 */
export class Stock {
  private readonly clock: Clock;
  private readonly spool: TraceSpool | null;
  private readonly memoryBytes: number;
  private readonly listener: StockListener;
  private nextSerial = 1;
  private hotBytes = 0;
  private keptIds: string[] = [];
  private announcing = false;

  constructor(clock: Clock, spool: TraceSpool | null, memoryBytes: number, listener: StockListener) {
    this.clock = clock;
    this.spool = spool;
    this.memoryBytes = memoryBytes;
    this.listener = listener;
  }

  /** Serials begin above those of earlier runs. */
  beginAt(serial: number): void {
    this.nextSerial = Math.max(this.nextSerial, serial);
  }

  /** What is put outlives the process. */
  get outlives(): boolean {
    return this.spool !== null;
  }

  /** The serial of the newest parcel. */
  get last(): number {
    return this.nextSerial - 1;
  }

  segment(segment: TraceSegment, text: string, sizeBytes: number): Parcel {
    const { segmentId: id, flowTraceId, requestIds } = segment;
    const parcel = this.make("segment", { id, flowTraceId, requestIds, text, sizeBytes });
    this.put(parcel, [], []);
    return parcel;
  }

  /** An empty one; `put` says what it holds. */
  loss(id: string, requestIds: Parcel["requestIds"]): Parcel {
    return this.make("loss", { id, flowTraceId: null, requestIds, text: "", sizeBytes: 0 });
  }

  /** Of an earlier run. */
  found(report: SpooledReport): Parcel {
    const { serial, kind, id, flowTraceId, requestIds, sizeBytes } = report;
    // Long ago: nothing more is expected of its flow.
    const atMs = Number.NEGATIVE_INFINITY;
    const known = { serial, kind, id, flowTraceId, requestIds, atMs, sizeBytes };
    return { ...known, text: null, ...NEW, ready: true, spooled: true, told: true };
  }

  /** Into the spool, as it is now; it may be sent when it is there, or cannot be. */
  put(parcel: Parcel, replaces: readonly number[], stands: readonly string[]): void {
    const { spool } = this;
    if (spool === null) {
      parcel.ready = true;
      if (parcel.kind === "segment") this.tell([parcel.id]);
      parcel.told = true;
      this.tell(stands);
      return;
    }
    const { serial, kind, id, flowTraceId, requestIds, text, version } = parcel;
    parcel.ready = false;
    spool.put({ serial, kind, id, flowTraceId, requestIds, replaces, stands }, text ?? "", (spooled) => {
      // It may have grown meanwhile.
      parcel.ready = parcel.version === version;
      parcel.spooled = spooled && parcel.ready;
      if (spooled && kind === "segment") {
        parcel.told = true;
        this.tell([id]);
      }
      this.tell(stands);
      if (parcel.spooled && kind === "segment" && this.hotBytes > this.memoryBytes) this.cool(parcel);
      if (parcel.holders === 0 && !parcel.replaced) spool.done(serial);
      this.announce();
    });
  }

  /** Null when it cannot be read any more. */
  async text(parcel: Parcel): Promise<string | null> {
    return parcel.text ?? (await this.spool?.read(parcel.serial)) ?? null;
  }

  hold(parcel: Parcel): void {
    parcel.holders++;
  }

  /** @param done false: something else says in the spool that it is not needed any more. @returns nobody holds it now. */
  release(parcel: Parcel, done = true): boolean {
    if (--parcel.holders > 0) return false;
    this.cool(parcel);
    parcel.replaced ||= !done;
    // What a loss stands for is crossed out when the loss is kept.
    if (done && !parcel.told && parcel.kind === "segment") this.tell([parcel.id]);
    if (done) this.spool?.done(parcel.serial);
    return true;
  }

  private make(
    kind: Parcel["kind"],
    of: Pick<Parcel, "id" | "flowTraceId" | "requestIds" | "text" | "sizeBytes">,
  ): Parcel {
    this.hotBytes += of.sizeBytes;
    return { serial: this.nextSerial++, kind, atMs: this.clock.monotonicMs(), ...of, ...NEW };
  }

  private cool(parcel: Parcel): void {
    if (parcel.text === null || parcel.kind === "loss") return;
    this.hotBytes -= parcel.sizeBytes;
    parcel.text = null;
  }

  /** Once for all that a write of the spool has made ready. */
  private announce(): void {
    if (this.announcing) return;
    this.announcing = true;
    queueMicrotask(() => {
      this.announcing = false;
      const ids = this.keptIds;
      this.keptIds = [];
      // Before anything of it is sent: who counts what is missing must not count what was delivered.
      if (ids.length > 0) this.listener.kept(ids);
      this.listener.ready();
    });
  }

  private tell(ids: readonly string[]): void {
    if (ids.length === 0) return;
    this.keptIds.push(...ids);
    this.announce();
  }
}
