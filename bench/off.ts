import { interleaved, Lane } from "./lanes.ts";
import { median, PLAN, standardDeviation } from "./measure.ts";
import { removeCopy, strippedCopy } from "./stripped.ts";

export interface OffReport {
  readonly offNs: number;
  readonly strippedNs: number;
  /** Of the two medians, as a part of the stripped build's. */
  readonly difference: number;
  /** Two standard deviations between processes of one and the same build, as a part of the median. */
  readonly noise: number;
  readonly processes: number;
}

/**
 * "Off" (this repository, no trace enabled) against a build without recorder and trace rules. Each build runs in several
 * processes, all interleaved, because the compiler decides a little differently in each: a process has one figure, the
 * median of its rounds; a build has the median of its processes.
 *
 * @throws Error when the builds do not give the same results for the same packets.
 */
export async function offAgainstStripped(): Promise<OffReport> {
  const dir = strippedCopy();
  const lanes: Lane[] = [];
  try {
    for (let i = 0; i < PLAN.processes; i++)
      lanes.push(await Lane.start(["build", "-"]), await Lane.start(["build", dir]));
    const results = await Promise.all(lanes.slice(0, 2).map((lane) => lane.ask({ ask: "results" })));
    if (results[0] !== results[1]) throw new Error("the stripped build gives other results");
    const figures = (await interleaved(lanes)).map(median);
    const off = figures.filter((_, i) => i % 2 === 0);
    const stripped = figures.filter((_, i) => i % 2 === 1);
    const [offNs, strippedNs] = [median(off), median(stripped)];
    const spread = Math.hypot(standardDeviation(off) / offNs, standardDeviation(stripped) / strippedNs) / Math.SQRT2;
    return { offNs, strippedNs, difference: offNs / strippedNs - 1, noise: 2 * spread, processes: PLAN.processes };
  } finally {
    for (const lane of lanes) lane.stop();
    removeCopy(dir);
  }
}
