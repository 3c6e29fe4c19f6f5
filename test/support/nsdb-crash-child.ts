/**
 * A process to be killed. `hold DIR` opens the store and waits. `write DIR` commits for ever, eight at a time, and says
 * on its output which number is acknowledged: commit n makes /left/n and /right/n, removes those 50 before, and sets /last.
 */
import { writeSync } from "node:fs";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import type { NsdbOp } from "#core/nsdb";
import { create, del, set } from "./nsdb-contract-kit.ts";

const KEPT = 50;
const [mode, directory] = process.argv.slice(2);
const store = openEmbeddedStore(`file:${directory}`);
await store.start();
await store.commit([create("/ephemeral", "", true)]);
if ((await store.get("/last")) === null) await store.commit([create("/last", "0"), create("/left"), create("/right")]);
writeSync(1, "ready\n");
setInterval(() => {}, 1_000_000);

async function write(n: number): Promise<void> {
  const ops: NsdbOp[] = [create(`/left/${n}`, `l${n}`), set("/last", String(n)), create(`/right/${n}`, `r${n}`)];
  if (n > KEPT) ops.push(del(`/left/${n - KEPT}`), del(`/right/${n - KEPT}`));
  await store.commit(ops);
  writeSync(1, `${n}\n`);
}

if (mode === "write") {
  for (let n = Number((await store.get("/last"))?.data) + 1; ; n += 8) {
    await Promise.all(Array.from({ length: 8 }, (_, i) => write(n + i)));
  }
}
