import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, it } from "node:test";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { SeededRandom } from "#core/base";
import { NsdbUnavailable } from "#core/nsdb";
import { withDirectory } from "../support/nsdb-temporary.ts";

const CHILD = fileURLToPath(new URL("../support/nsdb-crash-child.ts", import.meta.url));
const KEPT = 50;

function child(mode: "hold" | "write", directory: string): ChildProcess {
  return spawn(process.execPath, ["--conditions=source", CHILD, mode, directory], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

/** Kills the child after so many lines; all the whole lines it wrote. */
async function linesUntilKilled(process: ChildProcess, lines: number): Promise<string[]> {
  let output = "";
  process.stdout?.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    if (output.split("\n").length > lines) process.kill("SIGKILL");
  });
  const [, signal] = (await once(process, "close")) as [number | null, string | null];
  assert.equal(signal, "SIGKILL");
  return output.split("\n").slice(0, -1);
}

describe("a killed process", () => {
  it("loses no acknowledged commit and leaves none half done (20 kills)", async () => {
    const random = new SeededRandom(20);
    await withDirectory(async (directory) => {
      let acknowledged = 0;
      for (let round = 0; round < 20; round++) {
        const lines = await linesUntilKilled(child("write", directory), 2 + Math.floor(random.next() * 300));
        acknowledged = Math.max(acknowledged, ...lines.slice(1).map(Number));
        const store = openEmbeddedStore(`file:${directory}`);
        await store.start();
        const last = Number((await store.get("/last"))?.data);
        assert.ok(last >= acknowledged, `round ${round}: ${acknowledged} was acknowledged, ${last} is there`);
        const expected = Array.from({ length: Math.min(last, KEPT) }, (_, i) => String(last - i)).sort();
        assert.deepEqual(await store.children("/left"), expected);
        assert.deepEqual(await store.children("/right"), expected);
        const data = await store.getMany(expected.flatMap((n) => [`/left/${n}`, `/right/${n}`]));
        assert.deepEqual(
          data.map((node) => node?.data),
          expected.flatMap((n) => [`l${n}`, `r${n}`]),
        );
        assert.equal((await store.get("/last"))?.version, last);
        assert.equal(await store.get("/ephemeral"), null);
        await store.stop();
      }
      assert.ok(acknowledged > 0);
    });
  });

  it("does not leave the directory locked; while it lives, others are told who it is", async () => {
    await withDirectory(async (directory) => {
      const holder = child("hold", directory);
      await once(holder.stdout as NonNullable<typeof holder.stdout>, "data");
      const store = openEmbeddedStore(`file:${directory}`);
      await assert.rejects(
        store.start(),
        (error) => error instanceof NsdbUnavailable && error.message.endsWith(`is in use by process ${holder.pid}`),
      );
      holder.kill("SIGKILL");
      await once(holder, "exit");
      await store.start();
      assert.deepEqual(await store.children("/"), ["last", "left", "right"]);
      await store.stop();
    });
  });
});
