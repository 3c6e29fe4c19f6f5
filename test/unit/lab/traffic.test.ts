import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { type Errand, parseVmTable, Traffic } from "#apps/lab";
import { SeededRandom } from "#core/base";
import { describeFrame } from "#core/packets";
import { parse } from "yaml";
import { pair } from "./vm-pair.ts";

const ERRANDS: readonly Errand[] = [
  { from: "a", to: "b", deed: "ping" },
  { from: "b", to: "a", deed: "tcp", port: 80 },
  { from: "a", to: "b", deed: "tcp", port: 8080 },
  { from: "b", to: "a", deed: "udp-echo" },
];

async function play(seed: number): Promise<{ frames: string[]; counts: Traffic["counters"] }> {
  const { time, a, b, frames } = pair();
  const random = new SeededRandom(seed);
  const traffic = new Traffic({ vms: [a, b], errands: ERRANDS, random, scheduler: time, meanGapMs: 500 });
  traffic.start();
  await time.advance(20_000);
  traffic.stop();
  await time.runUntilIdle();
  return { frames: frames.map((f) => describeFrame(f.bytes)), counts: () => traffic.counters() };
}

test("every errand comes up, the refused ones too, and the same seed does the same", async () => {
  const one = await play(1);
  const counts = one.counts();
  assert.ok(counts.errands >= 24 && counts.errands <= 80, String(counts.errands));
  assert.ok(counts.reply > counts.refused && counts.refused > 0);
  assert.equal(counts.timeout + counts.unresolved + counts["icmp-error"], 0);
  assert.deepEqual((await play(1)).frames, one.frames);
  assert.notDeepEqual((await play(2)).frames, one.frames);
});

test("the example's table of VMs is valid; wrong fields are named, all at once", () => {
  const file = new URL("../../../examples/example-vms.yaml", import.meta.url);
  const table = parseVmTable(parse(readFileSync(file, "utf8")));
  assert.equal(table.vms.length, 7);
  assert.ok(table.traffic.length >= 10);
  const wrong = {
    vms: [{ name: "x", port: "p", mac: "zz", ip: "10.0.0.1/24", gateway: "no", speed: 1, listen: [99_999] }],
    traffic: [{ from: "x", to: "y", do: "sing" }],
    other: 1,
  };
  assert.throws(
    () => parseVmTable(wrong),
    (error: { violations: { property: string }[] }) => {
      assert.deepEqual(error.violations.map((v) => v.property).sort(), [
        "other",
        "traffic[0].do",
        "traffic[0].to",
        "vms[0].gateway",
        "vms[0].listen",
        "vms[0].mac",
        "vms[0].speed",
      ]);
      return true;
    },
  );
});
