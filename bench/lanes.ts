import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { Answer, Request } from "./lane.ts";
import { type Plan, PLAN } from "./measure.ts";

/** A process with one benchmark; see lane.ts. */
export class Lane {
  private readonly child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.child = child;
  }

  static async start(args: readonly string[]): Promise<Lane> {
    const child = fork(join(import.meta.dirname, "lane.ts"), args, {
      execArgv: ["--conditions=source", "--expose-gc"],
    });
    const lane = new Lane(child);
    await lane.next();
    return lane;
  }

  async ask(request: Request): Promise<Answer> {
    const answer = this.next();
    this.child.send(request);
    return answer;
  }

  stop(): void {
    this.child.disconnect();
  }

  private async next(): Promise<Answer> {
    const ended = new AbortController();
    const exit = once(this.child, "exit", { signal: ended.signal }).then(([code]) => {
      throw new Error(`a lane ended with code ${String(code)}`);
    });
    exit.catch(() => undefined);
    try {
      const [answer] = (await Promise.race([once(this.child, "message"), exit])) as [Answer];
      return answer;
    } finally {
      ended.abort();
    }
  }
}

/**
 * Measures side by side: in every round each lane runs once, one at a time, in an order that turns from round to round,
 * so that what changes over time (frequency, neighbours) hits all alike.
 *
 * @returns ns per operation: per lane, per round.
 */
export async function interleaved(lanes: readonly Lane[], plan: Plan = PLAN): Promise<number[][]> {
  for (const lane of lanes) await lane.ask({ ask: "warm-up", plan });
  const times: number[][] = lanes.map(() => []);
  for (let round = 0; round < plan.rounds; round++) {
    for (let i = 0; i < lanes.length; i++) {
      const at = (i + round) % lanes.length;
      times[at]?.push(Number(await lanes[at]?.ask({ ask: "round" })));
    }
  }
  return times;
}
