import { CATALOGUE } from "./catalogue.ts";
import { type Benchmark, bytesPerOperation, type Plan, timeNs, warmUp } from "./measure.ts";
import { buildAt, compareResults } from "./stripped.ts";

/*
 * A lane is a process with one benchmark, so that what V8 learns from one workload does not slow another. The parent asks
 * the lanes by turns. argv: the benchmark's name, or `build DIR`, or `build -` for the repository's own build.
 */

export type Request =
  | { readonly ask: "warm-up"; readonly plan: Plan }
  | { readonly ask: "round" | "bytes" | "results" };
/** "round": ns per operation; "bytes": per operation; "results": a digest; else 0. */
export type Answer = number | string;

async function benchmark(): Promise<Benchmark> {
  const [name = "", dir = ""] = process.argv.slice(2);
  if (name === "build") return buildAt(dir);
  const entry = CATALOGUE.find((e) => `${e.group} ${e.name}` === name);
  if (entry === undefined) throw new Error(`no benchmark ${name}`);
  return entry.make();
}

const b = await benchmark();
let calls = 1;

function answer(request: Request): Answer {
  switch (request.ask) {
    case "warm-up":
      calls = warmUp(b, request.plan);
      return 0;
    case "round":
      return timeNs(b, calls);
    case "bytes":
      return bytesPerOperation(b);
    case "results":
      return compareResults(b);
  }
}

process.on("message", (request: Request) => void process.send?.(answer(request)));
process.send?.("ready");
