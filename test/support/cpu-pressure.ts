/** Whether this machine had CPU enough for what ran on it. */
import { readFileSync } from "node:fs";

/** Microseconds since the boot in which somebody who could have run had to wait (Linux: pressure stall information). */
function stalledUs(): number | null {
  try {
    const total = /^some .*total=(\d+)$/m.exec(readFileSync("/proc/pressure/cpu", "utf8"))?.[1];
    return total === undefined ? null : Number(total);
  } catch {
    return null;
  }
}

/** Tells, from its making to the question, the share of the time in which somebody waited for a CPU; null: nobody knows. */
export class CpuPressure {
  private readonly fromUs = stalledUs();
  private readonly fromMs = performance.now();

  share(): number | null {
    const nowUs = stalledUs();
    if (nowUs === null || this.fromUs === null) return null;
    return (nowUs - this.fromUs) / 1_000 / (performance.now() - this.fromMs);
  }
}
