import assert from "node:assert/strict";
import test from "node:test";
import { SeededRandom } from "#core/base";
import type { SessionEffect } from "#protocols/ovsdb";
import { bytes, sampleSession, SERVER_MESSAGES } from "../../support/ovsdb-samples.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20000);
const seconds = Number(process.env["MIDOTRACE_FUZZ_SECONDS"] ?? 0);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 1);

const LIMIT_BYTES = 4096;
/** Pieces that turn a message into another one that is still nearly right. */
const WORDS = [
  '"new"',
  '"old"',
  '"set"',
  '"map"',
  '"uuid"',
  '"echo"',
  "null",
  "[]",
  "{}",
  "1e999",
  "-0",
  "{",
  "}",
  '"',
  "\\",
];

/** Every value of a replica has the type that its column says, whatever the server sent. */
function check(session: ReturnType<typeof sampleSession>): void {
  for (const row of session.rows.Interface.values()) {
    assert.equal(typeof row.name, "string");
    assert.ok(row.ofport === null || Number.isSafeInteger(row.ofport));
    assert.equal(typeof row.up, "boolean");
    for (const [key, value] of row.external_ids) assert.equal(`${typeof key} ${typeof value}`, "string string");
  }
  for (const row of session.rows.Open_vSwitch.values()) {
    assert.ok(Number.isSafeInteger(row.cur_cfg));
    for (const id of row.bridges) assert.match(id, /^[0-9a-f-]{36}$/);
  }
}

const budget = seconds > 0 ? `${seconds} s` : String(iterations);
test(`streams of an OVSDB server, mutated: ${budget}, MIDOTRACE_FUZZ_SEED=${seed}`, (t) => {
  const random = new SeededRandom(seed);
  const below = (n: number): number => Math.floor(random.next() * n);
  const endMs = performance.now() + seconds * 1000;
  const reasons = new Map<string, number>();
  let survived = 0;
  let n = 0;
  for (; seconds > 0 ? performance.now() < endMs : n < iterations; n++) {
    const stream = Array.from(Buffer.concat(SERVER_MESSAGES.map(bytes)));
    for (let edits = below(4); edits >= 0; edits--) {
      const at = below(stream.length + 1);
      const how = below(7);
      if (how === 0) stream[at] = (stream[at] ?? 0) ^ (1 << below(8));
      else if (how === 1) stream.splice(at, 0, below(256));
      else if (how === 2) stream.splice(at, 1 + below(8));
      else if (how === 3) stream.splice(at, below(3), ...Buffer.from(WORDS[below(WORDS.length)] ?? ""));
      else if (how === 4)
        stream.splice(at, 0, ...stream.slice(below(stream.length), below(stream.length)).slice(0, 400));
      else if (how === 5) stream.length = at;
      else stream.splice(at, 0, ...Array.from({ length: below(3) * LIMIT_BYTES }, () => 0x7b));
    }
    const data = Uint8Array.from(stream);
    try {
      const session = sampleSession({ maxTextBytes: LIMIT_BYTES });
      const effects: SessionEffect[] = session.open(0);
      for (let at = 0; at < data.length; ) {
        const end = at + 1 + below(300);
        effects.push(...session.receive(data.subarray(at, end), at));
        effects.push(
          ...session.transact(
            [
              { op: "comment", comment: "x" },
              { op: "comment", comment: "y" },
            ],
            at,
          ).effects,
        );
        at = end;
      }
      const ends = effects.filter((e) => e.kind === "ended");
      assert.ok(ends.length <= 1, "it ends once");
      const last = ends[0];
      if (last === undefined) {
        survived++;
        // What never ends is noticed by its silence.
        const later = [...session.tick(1e6), ...session.tick(2e6), ...session.tick(3e6)];
        assert.ok(later.some((e) => e.kind === "ended"));
      } else {
        assert.notEqual(last.reason, "");
        assert.ok(last.reason.length < 500, `a reason is one line: ${last.reason.length} characters`);
        assert.deepEqual(session.receive(bytes(SERVER_MESSAGES[0]), 1e6), []);
        const kind = last.reason.replaceAll(/["0-9].*/g, "");
        reasons.set(kind, (reasons.get(kind) ?? 0) + 1);
      }
      check(session);
    } catch (cause) {
      const text = Buffer.from(data).toString("hex");
      throw new Error(`seed ${seed}, iteration ${n}: keep this stream: ${text}`, { cause });
    }
  }
  t.diagnostic(`${n} streams: ${survived} whole, the rest ended for ${reasons.size} kinds of reason`);
  assert.ok(n < 1000 || (survived > 0 && reasons.size > 8), "the mutations reach both sides");
});
