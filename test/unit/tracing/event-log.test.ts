import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import { JsonLinesLog, type LogOutput, RotatedFile, StreamOutput } from "#adapters/event-log";
import { droppedSegment, H1, START_MS } from "../../support/tracing-example.ts";

const clock = { nowMs: () => START_MS, monotonicMs: () => 0 };
const STEPS = droppedSegment().steps.length;

/** An output that the test holds up and breaks. */
class FakeOutput implements LogOutput {
  readonly lines: string[] = [];
  broken = false;
  gate: Promise<void> = Promise.resolve();

  async open(): Promise<void> {}
  async close(): Promise<void> {}
  async write(lines: readonly string[]): Promise<void> {
    await this.gate;
    if (this.broken) throw new Error("no space left on device");
    this.lines.push(...lines);
  }
}

async function inDirectory(body: (path: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-log-"));
  try {
    await body(join(directory, "trace.log"));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

describe("the log of steps", () => {
  it("writes one JSON object per step, with MidoNet's context names and without the owner", async () => {
    const output = new FakeOutput();
    const log = new JsonLinesLog({ output, clock });
    await log.start();
    log.segment(droppedSegment());
    await log.stop();
    assert.equal(output.lines.length, STEPS);
    const line = JSON.parse(output.lines[5] ?? "") as Record<string, unknown>;
    assert.deepEqual(line, {
      time: new Date(START_MS + 1).toISOString(),
      cookie: 17,
      flowTraceId: "00000000-0000-4000-8000-0000000000f1",
      traceRequestIds: ["00000000-0000-4000-8000-0000000000e1"],
      hostId: H1,
      hostName: "h1",
      role: "ingress",
      seq: 6,
      kind: "rule",
      device: { type: "bridge", name: "red-net", id: "00000000-0000-4000-8000-000000000002" },
      ethSrc: "ac:ca:ba:00:00:01",
      ethDst: "ac:ca:ba:00:00:02",
      etherType: 2048,
      networkSrc: "10.0.1.10",
      networkDst: "10.0.2.20",
      networkProto: 1,
      srcPort: 7,
      stepsVersion: 4,
      dstPort: 7,
      text: "Rule 1 of chain red-in (accept) did not match: dst port wanted 80, packet had 53",
    });
  });

  it("writes lines for people, one line each whatever a name holds", async () => {
    const output = new FakeOutput();
    const log = new JsonLinesLog({ output, clock, format: "text" });
    await log.start();
    log.segment(droppedSegment({ hostName: "h1\nforged line\u001b[2J", flowTraceId: null, requestIds: [] }));
    await log.stop();
    assert.match(
      output.lines[0] ?? "",
      /^2023-11-14T\S+ h1\?forged line\?\[2J .* \[cookie=17 flow=none requests=none\] host h1: Rec/,
    );
    for (const line of output.lines) assert.equal(line.indexOf("\n"), line.length - 1);
  });

  it("counts what finds the queue full, and says so in the log itself", async () => {
    const output = new FakeOutput();
    let open = (): void => {};
    output.gate = new Promise((resolve) => {
      open = resolve;
    });
    const log = new JsonLinesLog({ output, clock, maxQueuedLines: STEPS });
    await log.start();
    log.segment(droppedSegment());
    for (let i = 0; i < 3; i++) log.segment(droppedSegment());
    open();
    await log.stop();
    assert.equal(log.linesLost, 2 * STEPS);
    assert.equal(log.linesWritten, 2 * STEPS);
    const notes = output.lines
      .map((l) => JSON.parse(l) as { kind: string; count?: number })
      .filter((l) => l.kind === "lost");
    assert.deepEqual(
      notes.map((n) => n.count),
      [2 * STEPS],
    );
  });

  it("survives a failing disk, and reports the loss when it is well again", async () => {
    const output = new FakeOutput();
    const log = new JsonLinesLog({ output, clock });
    await log.start();
    output.broken = true;
    log.segment(droppedSegment());
    await log.flush();
    assert.equal(log.linesLost, STEPS);
    assert.match(String(log.lastError), /no space/);
    output.broken = false;
    log.lost(H1, 2, "the spool was full");
    await log.stop();
    assert.match(output.lines[0] ?? "", new RegExp(`"count":${STEPS},"because":"a write failed"`));
    assert.match(output.lines[1] ?? "", /2 segments were lost: the spool was full/);
    assert.equal(output.lines.length, 2);
  });

  it("keeps what comes before the start, and stops twice", async () => {
    const output = new FakeOutput();
    const log = new JsonLinesLog({ output, clock });
    log.segment(droppedSegment());
    await log.start();
    await log.stop();
    await log.stop();
    assert.equal(output.lines.length, STEPS);
  });
});

describe("a rotated file", () => {
  it("never grows beyond its limit, keeps as many as told, and loses none of the newest lines", () =>
    inDirectory(async (path) => {
      const file = new RotatedFile({ path, maxBytes: 100, keep: 2 });
      await file.open();
      const lines = Array.from({ length: 40 }, (_, i) => `line ${String(i).padStart(4, "0")}\n`);
      for (let i = 0; i < 40; i += 7) await file.write(lines.slice(i, i + 7));
      await file.close();
      const names = readdirSync(join(path, "..")).toSorted();
      assert.deepEqual(names, ["trace.log", "trace.log.1", "trace.log.2"]);
      for (const name of names) assert.ok(statSync(join(path, "..", name)).size <= 100);
      const kept = [`${path}.2`, `${path}.1`, path].map((p) => readFileSync(p, "utf8")).join("");
      assert.ok(lines.join("").endsWith(kept));
      assert.ok(kept.length > 200);
    }));

  it("goes on with the file that is there, and writes a line longer than the limit whole", () =>
    inDirectory(async (path) => {
      for (const text of ["first\n", `${"x".repeat(30)}\n`, "last\n"]) {
        const file = new RotatedFile({ path, maxBytes: 20, keep: 5 });
        await file.write([text]);
        await file.close();
      }
      assert.deepEqual(
        [`${path}.2`, `${path}.1`, path].map((p) => readFileSync(p, "utf8").length),
        [6, 31, 5],
      );
    }));

  it("fails to open where it cannot write, and so does the start of the log", async () => {
    const output = new RotatedFile({ path: "/nonexistent/trace.log" });
    await assert.rejects(new JsonLinesLog({ output, clock }).start(), { code: "ENOENT" });
  });
});

describe("a stream", () => {
  it("takes the lines; a closed pipe is loss, not a crash", async () => {
    const stream = new PassThrough();
    const log = new JsonLinesLog({ output: new StreamOutput(stream), clock });
    await log.start();
    log.segment(droppedSegment());
    await log.flush();
    assert.equal(String(stream.read()).trimEnd().split("\n").length, STEPS);
    stream.destroy(new Error("EPIPE"));
    log.segment(droppedSegment());
    await log.stop();
    assert.equal(log.linesLost, STEPS);
  });
});
