import { readFile } from "node:fs/promises";
import { until } from "./command.ts";

/** A process, told apart from a later one with the same number by its start in clock ticks since boot (proc(5), stat field 22). */
export interface ProcessIdentity {
  readonly pid: number;
  readonly startTicks: number;
}

/** null: no such process, or only its zombie is left. */
export async function identify(pid: number): Promise<ProcessIdentity | null> {
  let text: string;
  try {
    text = await readFile(`/proc/${pid}/stat`, "utf8");
  } catch {
    return null;
  }
  // The command's name stands in parentheses and may hold any character.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  if (fields[0] === "Z" || fields[0] === "X") return null;
  return { pid, startTicks: Number(fields[19]) };
}

export async function isRunning(process: ProcessIdentity): Promise<boolean> {
  return (await identify(process.pid))?.startTicks === process.startTicks;
}

/** Ends the process by SIGKILL if it is still that one, and waits until it is gone. @returns whether there was one. */
export async function killProcess(target: ProcessIdentity): Promise<boolean> {
  if (!(await isRunning(target))) return false;
  try {
    process.kill(target.pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
  await until(`the end of process ${target.pid}`, 5000, async () => ((await isRunning(target)) ? null : true));
  return true;
}
