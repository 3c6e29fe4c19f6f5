import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { it } from "node:test";
import { systemClock } from "#adapters/platform";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { AgentReports } from "#apps/api";
import { segmentsBody } from "#core/api-contract";
import { SeededRandom } from "#core/base";
import { Collector } from "../../src/apps/api/collector.ts";
import { withDirectory } from "../support/nsdb-temporary.ts";
import { flowId } from "../support/tracing-samples.ts";

const CHILD = join(import.meta.dirname, "../support/sink-crash-child.ts");

/** Runs the child until it has said `lines` lines and kills it (null: to its end); gives what it said. */
async function run(directory: string, url: string, lines: number | null): Promise<string[]> {
  const round = lines === null ? "last" : "kill";
  const child: ChildProcess = spawn(process.execPath, ["--conditions=source", CHILD, directory, url, round], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "close");
  let said = "";
  let problems = "";
  child.stderr?.on("data", (chunk: Buffer) => (problems += chunk.toString()));
  for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
    said += chunk.toString();
    if (lines !== null && !child.killed && said.split("\n").length > lines) child.kill("SIGKILL");
  }
  const [code, signal] = (await ended) as [number | null, string | null];
  const wanted = lines === null ? [0, null] : [null, "SIGKILL"];
  assert.deepEqual([code, signal], wanted, problems);
  return said.split("\n").slice(0, said.endsWith("\n") ? -1 : undefined);
}

it("a process that reports flows and is killed again and again: each flow comes once or is counted as lost, exactly", () =>
  withDirectory(async (directory) => {
    const random = new SeededRandom(23);
    let calm = false;
    const store = new MemoryTraceStore({ clock: systemClock });
    const collector = new Collector(
      store,
      { info: () => undefined, error: () => undefined },
      new AgentReports(systemClock),
    );
    const taken = async (body: string): Promise<string> =>
      JSON.stringify(await collector.take(segmentsBody.parse(JSON.parse(body))));
    const server = createServer((req, res) => {
      let body = "";
      req.setEncoding("utf8");
      req.on("data", (chunk: string) => (body += chunk));
      req.on("end", () => {
        // One in four is not taken, one in four is taken and its answer lost.
        const fate = calm ? 1 : random.next();
        if (fate < 0.25) {
          res.destroy();
          return;
        }
        void taken(body).then((answer) => (fate < 0.5 ? res.destroy() : res.end(answer)));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    try {
      let noted = 0;
      // A process that dies between counting a flow and beginning its report has sent no packet of it: nothing is missing.
      let onlyCounted = 0;
      const began = (ready: string | undefined): number => {
        const counted = Number(ready?.replace("ready ", ""));
        assert.ok(counted === noted || counted === noted + 1, `${counted} in the journal, ${noted} said`);
        onlyCounted += counted - noted;
        return counted;
      };
      for (let round = 0; round < 4; round++) {
        const said = await run(directory, url, 200 + Math.floor(random.next() * 400));
        began(said[0]);
        noted = Number(said.at(-1)?.replace("ready ", ""));
      }
      // Until nothing waits, which a slow machine may not get done before the first end.
      calm = true;
      let end: string[] = [];
      let firstReady: string | undefined;
      for (let tries = 0; end.at(-1) !== "waiting 0" && tries < 5; tries++) {
        end = await run(directory, url, null);
        firstReady ??= end[0];
      }
      assert.equal(end.at(-1), "waiting 0");
      // The runs after the first of these counted nothing.
      const counted = began(firstReady);
      let there = 0;
      for (let n = 1; n <= counted; n++) there += (await store.flow(flowId(n)))?.segments.length ?? 0;
      const { lost, lostBy, duplicates } = collector.counters;
      const missing = counted - there - lost;
      assert.ok(missing >= 0 && missing <= onlyCounted, `${missing} of ${counted} missing, ${JSON.stringify(lostBy)}`);
      assert.ok(there > 100 && (lostBy.killed ?? 0) > 0 && (lostBy["spool-full"] ?? 0) > 0, JSON.stringify(lostBy));
      assert.ok(duplicates > 0);
    } finally {
      server.closeAllConnections();
      server.close();
    }
  }));
