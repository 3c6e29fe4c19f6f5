import { cpus, loadavg, totalmem } from "node:os";
import { ascending, quantile } from "../measure.ts";
import { followLatencies } from "./follow.ts";
import { OutputBench, type Receiver } from "./output.ts";

const QUICK = process.env["MIDOTRACE_BENCH_QUICK"] === "1";
const FOLLOWED = QUICK ? 30 : 300;
const ROUNDS = QUICK ? 3 : 15;
const ROUND_MS = QUICK ? 300 : 1_000;
const AIM = { followMs: 300, deadRatio: 0.97 };
const RECEIVERS: readonly Receiver[] = ["no output", "live collector", "dead collector"];

const failures: string[] = [];
const hold = (what: string, held: boolean): void => {
  console.log(`  ${held ? "holds " : "MISSED"} ${what}`);
  if (!held) failures.push(what);
};
const median = (values: readonly number[]): number => quantile(ascending(values), 0.5);

const memory = Math.round(totalmem() / 2 ** 30);
console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, ${memory} GiB, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}`,
);

const took = ascending(await followLatencies(FOLLOWED));
const [p50, p90, p99] = [0.5, 0.9, 0.99].map((q) => quantile(took, q)) as [number, number, number];
console.log(`\nfrom a packet's entering a port of the lab to its flow in the event stream, ${FOLLOWED} flows`);
console.log(`  median ${p50.toFixed(1)} ms, p90 ${p90.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`);

console.log(
  `\npackets through the whole agent, one in 200 traced, journal and spool on the disk, ${ROUNDS} rounds of ${ROUND_MS} ms, interleaved`,
);
const benches = RECEIVERS.map((r) => new OutputBench(r));
const rates = new Map<Receiver, number[]>(RECEIVERS.map((r) => [r, []]));
try {
  for (const b of benches) await b.start();
  for (const b of benches) await b.run(2 * ROUND_MS);
  for (let round = 0; round < ROUNDS; round++)
    for (let i = 0; i < benches.length; i++) {
      const b = benches[(round + i) % benches.length] as OutputBench;
      rates.get(b.receiver)?.push(await b.run(ROUND_MS));
    }
  for (const b of benches) {
    const sorted = ascending(rates.get(b.receiver) ?? []);
    const [low, mid, high] = [0.25, 0.5, 0.75].map((q) => Math.round(quantile(sorted, q)).toLocaleString("en"));
    console.log(`  ${b.receiver.padEnd(16)} ${mid} packets/s (${low} … ${high}), ${b.traced} traced  ${b.counters()}`);
  }
} finally {
  for (const b of benches) await b.stop();
}
/** Of rounds that stand beside each other: what else the machine does hits both. */
const paired = (a: Receiver, b: Receiver): number =>
  median((rates.get(a) ?? []).map((v, i) => v / (rates.get(b)?.[i] ?? Number.NaN)));
const dead = paired("dead collector", "live collector");

console.log("\naims");
hold(`a flow is visible ${p50.toFixed(1)} ms after its packet, less than ${AIM.followMs}`, p50 < AIM.followMs);
hold(
  `a dead collector: ${dead.toFixed(3)} × the packets with a live one, at least ${AIM.deadRatio}`,
  dead >= AIM.deadRatio,
);
console.log(`  (all output: ${paired("live collector", "no output").toFixed(3)} × the packets without)`);
process.exitCode = failures.length === 0 ? 0 : 1;
