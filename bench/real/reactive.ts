import { median } from "../measure.ts";
import { Contestant, type Measured } from "./controllers.ts";
import { type Aim, number, spread, table } from "./report.ts";
import type { Scope } from "./scope.ts";

/** How many times as many answers per second as the others, at `AIM.window`. */
const AIM = { window: 128, timesC: 6, timesOsKen: 60 };
const WINDOWS = [1, AIM.window];

const AGENT = "our agent, 60 rules";
const SIMULATING = "our agent, no two packets alike";
const C = "ovs-testcontroller (C)";
const OS_KEN = "os-ken, learning switch";
const ECHO = "Node, the least it can do";

/** Controllers alone: a switch over TCP that has only ever new flows to ask for. */
export async function reactive(scope: Scope, quick: boolean): Promise<Aim[]> {
  const [rounds, ms, warmUpMs] = quick ? [2, 400, 500] : [7, 1_500, 4_000];
  const contestants = [
    await Contestant.agent(scope, AGENT),
    await Contestant.agent(scope, SIMULATING, undefined, "simulate"),
    await Contestant.testController(scope, C),
    await Contestant.osKen(scope, OS_KEN),
    await Contestant.echo(scope, ECHO),
  ];
  for (const c of contestants) await c.run({ window: AIM.window, ms: warmUpMs });
  const results = new Map<string, Measured[]>();
  for (let round = 0; round < rounds; round++) {
    for (const window of WINDOWS) {
      for (let i = 0; i < contestants.length; i++) {
        const c = contestants[(i + round) % contestants.length] as Contestant;
        const key = `${c.name}/${window}`;
        results.set(key, [...(results.get(key) ?? []), await c.run({ window, ms })]);
      }
    }
  }
  const of = (name: string, window: number): readonly Measured[] => results.get(`${name}/${window}`) ?? [];
  const mid = (name: string, window: number, what: (m: Measured) => number): number =>
    median(of(name, window).map(what));
  console.log(
    `  median (range) of ${rounds} rounds of ${ms} ms each, interleaved; a core for the controller, one for the switch`,
  );
  for (const window of WINDOWS) {
    const rows = contestants.map(({ name }) => [
      name,
      spread(of(name, window).map((m) => m.perSecond)),
      number(mid(name, window, (m) => m.p50Us)),
      number(mid(name, window, (m) => m.p99Us)),
      number(
        mid(name, window, (m) => m.cpuUs),
        1,
      ),
      number(
        mid(name, window, (m) => m.flowMods / Math.max(1, m.answers)),
        2,
      ),
    ]);
    table([[`${window} outstanding`, "answers/s", "p50 µs", "p99 µs", "CPU µs/answer", "flows/answer"], ...rows]);
  }
  const times = (name: string): string =>
    number(mid(ECHO, AIM.window, PER_SECOND) / mid(name, AIM.window, PER_SECOND), 1);
  console.log(
    `  a Node program that looks at nothing gives ${times(C)} × the answers of ${C}, ${times(OS_KEN)} × those of os-ken,` +
      ` and ${times(AGENT)} × ours, or ${times(SIMULATING)} × where ours has to simulate each packet`,
  );
  const rate = (name: string): number => mid(name, AIM.window, (m) => m.perSecond);
  return [
    timesAsMany("ovs-testcontroller", rate(AGENT) / rate(C), AIM.timesC),
    timesAsMany("os-ken", rate(AGENT) / rate(OS_KEN), AIM.timesOsKen),
  ];
}

const PER_SECOND = (m: Measured): number => m.perSecond;

const timesAsMany = (whom: string, times: number, wanted: number): Aim => ({
  what: `(a) ${number(times, 1)} × the answers per second of ${whom} with ${AIM.window} outstanding, at least ${wanted}`,
  held: times >= wanted,
});
