import { type Loss, type LossAbout, type LossCause, MAX_LOSS_IDS } from "./loss.ts";

/** Losses that are told apart; what comes beyond is one. */
const MAX_ROWS = 100;
const MAX_WHY = 500;

interface Row {
  readonly cause: LossCause;
  readonly why: string;
  readonly requestIds: Set<LossAbout["requestIds"][number]>;
  readonly flowTraceIds: Set<LossAbout["flowTraceIds"][number]>;
  readonly reports: string[];
  count: number;
}

/** Reports that never come, until somebody has been told: one row for each cause, sentence and set of requests. */
export class LossTally {
  private readonly rows = new Map<string, Row>();

  get empty(): boolean {
    return this.rows.size === 0;
  }

  add(count: number, why: string, about?: LossAbout): void {
    const said = why.slice(0, MAX_WHY);
    const cause = about?.cause ?? "other";
    const requestIds = about?.requestIds ?? [];
    const row = this.row(`${cause} ${requestIds.join(" ")} ${said}`, { cause, why: said });
    row.count += count;
    for (const id of requestIds) if (row.requestIds.size < MAX_LOSS_IDS) row.requestIds.add(id);
    for (const id of about?.flowTraceIds ?? []) if (row.flowTraceIds.size < MAX_LOSS_IDS) row.flowTraceIds.add(id);
    row.reports.push(...(about?.reports ?? []));
  }

  take(): Loss[] {
    const losses = [...this.rows.values()].map(
      ({ count, why, cause, requestIds, flowTraceIds, reports }): Loss => ({
        count,
        why,
        cause,
        requestIds: [...requestIds],
        flowTraceIds: [...flowTraceIds],
        reports,
      }),
    );
    this.rows.clear();
    return losses;
  }

  private row(key: string, of: Pick<Row, "cause" | "why">): Row {
    const known = this.rows.get(key);
    if (known !== undefined) return known;
    if (this.rows.size >= MAX_ROWS - 1 && key !== "other")
      return this.row("other", { cause: "other", why: "other reasons" });
    const row: Row = { ...of, requestIds: new Set(), flowTraceIds: new Set(), reports: [], count: 0 };
    this.rows.set(key, row);
    return row;
  }
}

/** Numbers by cause, for counters. */
export type LossCounts = Partial<Record<LossCause, number>>;

export function countLoss(counts: LossCounts, cause: LossCause, count: number): void {
  counts[cause] = (counts[cause] ?? 0) + count;
}

export function sumOfLosses(...all: readonly Readonly<LossCounts>[]): LossCounts {
  const sum: LossCounts = {};
  for (const counts of all) for (const [cause, n] of Object.entries(counts)) countLoss(sum, cause as LossCause, n);
  return sum;
}
