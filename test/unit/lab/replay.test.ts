import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { loadCapture, LONGEST_GAP_MS, parseReplaySpec, Replay } from "#apps/lab";
import type { CapturedFrame } from "#core/packets";
import { VirtualTime } from "../../support/virtual-time.ts";

const REAL = new URL("../../fixtures/captures/real-kernel.pcap", import.meta.url);

function frameAt(ms: number): CapturedFrame {
  return {
    timestampNs: 1_700_000_000_000_000_000n + BigInt(ms) * 1_000_000n,
    bytes: new Uint8Array(14),
    originalLength: 14,
  };
}

async function timesOf(frames: readonly CapturedFrame[], speed: "recorded" | "max"): Promise<number[]> {
  const time = new VirtualTime();
  const sent: number[] = [];
  const replay = new Replay({ frames, speed, scheduler: time, send: () => sent.push(time.monotonicMs()) });
  const done = replay.run();
  await time.runUntilIdle();
  await done;
  assert.equal(replay.injected, frames.length);
  return sent;
}

test("with its timing: gaps as recorded, long ones cut, backward ones none", async () => {
  const frames = [frameAt(0), frameAt(20), frameAt(20), frameAt(15), frameAt(115), frameAt(9_000_000)];
  assert.deepEqual(await timesOf(frames, "recorded"), [0, 20, 20, 20, 120, 120 + LONGEST_GAP_MS]);
});

test("as fast as possible: no time passes, and the order stays", async () => {
  const frames = Array.from({ length: 1000 }, (_, i) => frameAt(i * 1000));
  assert.deepEqual(await timesOf(frames, "max"), new Array(1000).fill(0));
});

test("a file without times goes at once", async () => {
  const frames = [frameAt(0), frameAt(1)].map((f) => ({ ...f, timestampNs: 0n }));
  assert.deepEqual(await timesOf(frames, "recorded"), [0, 0]);
});

test("stop ends it in the middle", async () => {
  const time = new VirtualTime();
  let sent = 0;
  const frames = [frameAt(0), frameAt(1000), frameAt(2000)];
  const replay = new Replay({ frames, speed: "recorded", scheduler: time, send: () => sent++ });
  const done = replay.run();
  await time.advance(1500);
  replay.stop();
  await done;
  assert.equal(sent, 2);
  assert.equal(time.pending, 0);
});

test("PORT=FILE", () => {
  assert.deepEqual(parseReplaySpec("red-web/red-1=a=b.pcap"), { port: "red-web/red-1", file: "a=b.pcap" });
  for (const bad of ["", "=x", "x=", "x"]) assert.throws(() => parseReplaySpec(bad), { code: "USAGE" });
});

test("captures load plain and compressed; a cut file is used as far as it goes", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "midotrace-replay-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const bytes = readFileSync(REAL);
  const write = (name: string, content: Uint8Array): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const plain = await loadCapture(write("a.pcap", bytes));
  assert.ok(plain.frames.length > 100);
  assert.equal(plain.warning, null);
  assert.equal((await loadCapture(write("a.pcap.gz", gzipSync(bytes)))).frames.length, plain.frames.length);
  const cut = await loadCapture(write("cut.pcap", bytes.subarray(0, bytes.length - 3)));
  assert.equal(cut.frames.length, plain.frames.length - 1);
  assert.match(cut.warning ?? "", /ends in the middle of a frame/);
  await assert.rejects(loadCapture(write("no.pcap", new Uint8Array(40))), {
    code: "VALIDATION",
    message: /neither a pcap/,
  });
  await assert.rejects(loadCapture(write("bad.gz", gzipSync(bytes).subarray(0, 99))), { code: "VALIDATION" });
  await assert.rejects(loadCapture(join(folder, "none.pcap")), { code: "NOT_FOUND" });
});
