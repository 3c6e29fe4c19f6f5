/**
 * Whether exports slow packets: `npm run bench:exports`. Agents that trace every packet, without exports, with three targets that
 * are down, and with one that never answers, side by side.
 */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { cpus } from "node:os";
import { join } from "node:path";
import { ascending, quantile } from "./measure.ts";

const QUICK = process.env["MIDOTRACE_BENCH_QUICK"] === "1";
const KINDS = ["none", "none again", "dead", "hung"] as const;
const PACKETS = 1_000;
/** Enough to fill the queues of what is not taken. */
const WARM_UP = QUICK ? 4 : 8;
const ROUNDS = QUICK ? 4 : 41;
/** Of the cost of a traced packet. */
const MOST = 1.1;

async function ask(lane: ChildProcess, packets: number): Promise<number | string> {
  const end = new AbortController();
  const exit = once(lane, "exit", { signal: end.signal }).then(() => Promise.reject(new Error("a lane ended")));
  exit.catch(() => undefined);
  const answer = once(lane, "message");
  lane.send({ packets });
  const [value] = (await Promise.race([answer, exit])) as [number | string];
  end.abort();
  return value;
}

const lanes: ChildProcess[] = [];
for (const kind of KINDS) {
  const lane = fork(join(import.meta.dirname, "export-lane.ts"), [kind.split(" ")[0] ?? ""], {
    execArgv: ["--conditions=source"],
  });
  await once(lane, "message");
  lanes.push(lane);
}
const times: number[][] = lanes.map(() => []);
for (let round = -WARM_UP; round < ROUNDS; round++) {
  for (let i = 0; i < lanes.length; i++) {
    const at = (i + round + WARM_UP) % lanes.length;
    const ns = Number(await ask(lanes[at] as ChildProcess, PACKETS));
    if (round >= 0) times[at]?.push(ns);
  }
}

console.log(`${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}`);
console.log(`${ROUNDS} rounds of ${PACKETS} traced packets each, every lane a process, by turns`);
const low = times.map((t) => quantile(ascending(t), 0.25));
for (const [i, kind] of KINDS.entries()) {
  const sorted = ascending(times[i] ?? []);
  const [mid, high] = [quantile(sorted, 0.5), quantile(sorted, 0.75)];
  const rate = Math.round(1e9 / (low[i] as number)).toLocaleString("en");
  console.log(
    `  ${kind.padEnd(11)}${(low[i] as number).toFixed(0).padStart(8)} ns (median ${mid.toFixed(0)}, upper quarter ${high.toFixed(0)})` +
      `${rate.padStart(10)} packets/s   ${String(await ask(lanes[i] as ChildProcess, 0))}`,
  );
}
for (const lane of lanes) lane.kill();

/** Median over rounds, whose lanes stand side by side. */
function ratio(lane: number, base: (round: number) => number): number {
  return quantile(ascending((times[lane] ?? []).map((ns, round) => ns / base(round))), 0.5);
}
const at = (lane: number, round: number): number => times[lane]?.[round] as number;
const none = (round: number): number => (at(0, round) + at(1, round)) / 2;
const same = ratio(1, (round) => at(0, round));
console.log(`\nthe second lane without exports: ${same.toFixed(3)} × the first`);
let missed = false;
for (const [i, kind] of KINDS.entries()) {
  if (i < 2) continue;
  const cost = ratio(i, none);
  const held = cost < MOST;
  missed ||= !held;
  console.log(`  ${held ? "holds " : "MISSED"} ${kind} target: ${cost.toFixed(3)} × none, less than ${MOST}`);
}
process.exitCode = missed ? 1 : 0;
