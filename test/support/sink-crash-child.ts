/**
 * A process to be killed: `DIR` is the agent's state, `URL` the collector's, `ROUND` decides what it does. Notes, reports and delivers one
 * flow after the other for ever and says how many it noted; in the round "last" it only accounts for what was, delivers, and ends.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { HttpTraceSink } from "#adapters/trace-sink-http";
import { FileTraceSpool } from "#adapters/trace-spool-file";
import type { RuleId } from "#core/base";
import { Collectors, initialize } from "#core/nsdb";
import { segmentNo } from "./sink-rig.ts";
import { H1 } from "./tracing-example.ts";

const [directory = "", url = "", round = ""] = process.argv.slice(2);
const RULE = "00000000-0000-4000-8000-000000000001" as RuleId;
const log = (level: string, message: string): void => {
  if (level === "warn") writeSync(2, `${message}\n`);
};
const journal = new FileTraceJournal({ directory, log, compactBytes: 20_000 });
const before = journal.open().counts.get(RULE) ?? 0;
const tree = new EmbeddedNsdb("memory:");
await tree.start();
const session = tree.session();
await session.start();
await initialize(session, systemRandom);
await new Collectors(session).register({ id: "00000000-0000-4000-8000-0000000000c1", url });
const spool = new FileTraceSpool({ directory: join(directory, "spool"), chunkBytes: 60_000, log });
const sink = new HttpTraceSink({
  hostId: H1,
  store: session,
  clock: systemClock,
  scheduler: systemScheduler,
  random: systemRandom,
  log,
  spool,
  kept: (ids) => journal.reported(ids),
  // So few that some have to go.
  limits: { queueSegments: 150, paceMs: 1, batchSegments: 20 },
});
await sink.start();
for (const { id, flowTraceId, requestIds } of journal.open().unreported) {
  if (sink.holds(id)) continue;
  const flowTraceIds = flowTraceId === null ? [] : [flowTraceId];
  sink.lost(H1, 1, "killed", { cause: "killed", requestIds, flowTraceIds, reports: [id] });
}
writeSync(1, `ready ${before}\n`);
if (round === "last") {
  await sink.settled();
  await sink.stop();
  journal.close();
  writeSync(1, `waiting ${spool.segments}\n`);
  process.exit(0);
}
for (let n = before + 1; ; n++) {
  const segment = segmentNo(n);
  journal.counted(RULE, n, `flow ${n}`, n);
  journal.begun({ id: segment.segmentId, flowTraceId: segment.flowTraceId, requestIds: segment.requestIds });
  writeSync(1, `${n}\n`);
  sink.segment(segment);
  journal.ended(RULE, `flow ${n}`);
  if (n % 7 === 0) journal.tend();
  // The spool and the network get their turn.
  if (n % 5 === 0) await new Promise((resolve) => setImmediate(resolve));
}
