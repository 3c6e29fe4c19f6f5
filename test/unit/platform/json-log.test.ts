import assert from "node:assert/strict";
import { test } from "node:test";
import { jsonLog } from "#adapters/platform";

test("a line is one JSON object with time, level, message and fields; what is less important is left out", () => {
  const lines: string[] = [];
  const clock = { nowMs: () => Date.UTC(2026, 10, 23, 3, 0, 0, 7), monotonicMs: () => 0 };
  const log = jsonLog(clock, "info", (line) => void lines.push(line));
  log("debug", "not this");
  log("warn", "two\nlines", { big: 2n ** 64n, error: new Error("broken"), n: 1 });
  log("error", "bare");
  assert.ok(lines.every((line) => line.endsWith("}\n") && line.indexOf("\n") === line.length - 1));
  const [first, second] = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.equal(lines.length, 2);
  assert.deepEqual(
    [first?.["time"], first?.["level"], first?.["message"]],
    ["2026-11-23T03:00:00.007Z", "warn", "two\nlines"],
  );
  assert.equal(first?.["big"], "18446744073709551616");
  assert.match(String(first?.["error"]), /^Error: broken\n\s+at /);
  assert.deepEqual(second, { time: "2026-11-23T03:00:00.007Z", level: "error", message: "bare" });
});
