import type { Cancel, Random, Scheduler } from "#core/base";
import { type Loss, type LossAbout, MAX_LOSS_IDS } from "#core/tracing";
import type { Parcel } from "./parcel.ts";
import type { Stock } from "./stock.ts";

/** Losses are written down together with those that follow within this time, ms. */
const PAUSE_MS = 100;
/** Losses that are told apart while nobody takes them; what comes beyond is one. */
const MAX_OPEN = 100;
const MAX_WHY = 500;
/** What a loss is on the wire, about. */
const EMPTY_BYTES = 200;
const ID_BYTES = 40;

interface Open {
  readonly parcel: Parcel;
  readonly loss: Loss & { count: number };
  readonly flowTraceIds: Set<Loss["flowTraceIds"][number]>;
  readonly segmentIds: string[];
  /** Since it was written last. */
  replaces: number[];
  stands: string[];
  dirty: boolean;
}

/** What a loss stands for besides what everybody is told. */
export interface StandsFor {
  /** Parcels that it takes the place of. */
  readonly replaces?: readonly number[];
  /** A segment that may have reached the collector although nobody knows: it does not count it then. */
  readonly segmentId?: string;
  /** Reports that never became parcels. */
  readonly stands?: readonly string[];
}

/**
 * Losses on their way to those who have not been told. Equal ones (cause, words, requests) are one parcel that grows until
 * somebody takes it. A grown one is written anew under its serial before it may be taken, so that who is told of a loss is
 * told of the same again after a crash.
 */
export class LossBook {
  private readonly stock: Stock;
  private readonly scheduler: Scheduler;
  private readonly random: Random;
  private readonly resized: (parcel: Parcel, byBytes: number) => void;
  private readonly open = new Map<string, Open>();
  private timer: Cancel | null = null;

  constructor(
    stock: Stock,
    scheduler: Scheduler,
    random: Random,
    resized: (parcel: Parcel, byBytes: number) => void = () => undefined,
  ) {
    this.stock = stock;
    this.scheduler = scheduler;
    this.random = random;
    this.resized = resized;
  }

  /** @returns a new parcel, to be queued; null when one that is queued has grown. */
  add(count: number, why: string, about: LossAbout | undefined, more: StandsFor = {}): Parcel | null {
    const said = why.slice(0, MAX_WHY);
    const cause = about?.cause ?? "other";
    const requestIds = about?.requestIds ?? [];
    const key = `${cause} ${requestIds.join(" ")} ${said}`;
    const known = this.open.get(key) ?? (this.open.size >= MAX_OPEN ? this.open.get("") : undefined);
    const crowded = known === undefined && this.open.size >= MAX_OPEN;
    const row =
      known ?? (crowded ? this.begin("", "other reasons", "other", []) : this.begin(key, said, cause, requestIds));
    row.loss.count += count;
    for (const id of about?.flowTraceIds ?? []) if (row.flowTraceIds.size < MAX_LOSS_IDS) row.flowTraceIds.add(id);
    if (more.segmentId !== undefined) row.segmentIds.push(more.segmentId);
    row.replaces.push(...(more.replaces ?? []));
    row.stands.push(...(more.stands ?? []));
    this.changed(row);
    // All that it stands for is named: what comes next is another loss.
    if (row.segmentIds.length >= MAX_LOSS_IDS) this.close(row);
    return known === undefined ? row.parcel : null;
  }

  /** Somebody takes it: what comes now is another loss. */
  taken(parcel: Parcel): void {
    for (const [key, row] of this.open) {
      if (row.parcel !== parcel) continue;
      row.parcel.text = textOf(row);
      this.open.delete(key);
    }
  }

  private close(row: Open): void {
    if (row.dirty && this.stock.outlives) this.put(row);
    this.taken(row.parcel);
  }

  /** Whether it still grows. */
  isOpen(parcel: Parcel): boolean {
    for (const row of this.open.values()) if (row.parcel === parcel) return true;
    return false;
  }

  /** Everything is given to the spool now. */
  write(): void {
    this.timer?.cancel();
    this.timer = null;
    for (const row of this.open.values()) if (row.dirty) this.put(row);
  }

  stop(): void {
    this.write();
  }

  private begin(key: string, why: string, cause: Loss["cause"], requestIds: Loss["requestIds"]): Open {
    const id = this.random.uuid();
    const parcel = this.stock.loss(id, requestIds);
    const loss = { id, count: 0, why, cause, requestIds, flowTraceIds: [] };
    const row: Open = { parcel, loss, flowTraceIds: new Set(), segmentIds: [], replaces: [], stands: [], dirty: false };
    this.open.set(key, row);
    return row;
  }

  private changed(row: Open): void {
    const { parcel, loss } = row;
    row.dirty = true;
    parcel.ready = false;
    parcel.version++;
    const before = parcel.sizeBytes;
    parcel.sizeBytes =
      EMPTY_BYTES +
      loss.why.length +
      ID_BYTES * (loss.requestIds.length + row.flowTraceIds.size + 2 * row.segmentIds.length);
    this.resized(parcel, parcel.sizeBytes - before);
    if (!this.stock.outlives) this.put(row);
    else this.timer ??= this.scheduler.after(PAUSE_MS, () => this.write());
  }

  private put(row: Open): void {
    row.dirty = false;
    if (this.stock.outlives) row.parcel.text = textOf(row);
    const { replaces, stands } = row;
    row.replaces = [];
    row.stands = [];
    this.stock.put(row.parcel, replaces, stands);
  }
}

const textOf = (row: Open): string =>
  JSON.stringify({ ...row.loss, flowTraceIds: [...row.flowTraceIds], segmentIds: row.segmentIds });
