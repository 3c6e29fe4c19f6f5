import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf, cutToColumns, padToColumns, printable } from "#core/tracing";

test("columns of a text, as a terminal counts them", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["", 0],
    ["red-router", 10],
    ["é", 1],
    ["e\u0301", 1],
    ["网桥", 4],
    ["ルーター", 8],
    ["한국", 4],
    ["ｗｉｄｅ", 8],
    ["🚀", 2],
    ["│├─✗·→▒", 7],
    ["a\u200bb", 2],
  ];
  for (const [text, columns] of cases) assert.equal(columnsOf(text), columns, JSON.stringify(text));
});

test("cutting never takes half of a wide letter, and says that it cut", () => {
  assert.equal(cutToColumns("网桥一号", 8), "网桥一号");
  assert.equal(cutToColumns("网桥一号", 7), "网桥一…");
  assert.equal(cutToColumns("网桥一号", 6), "网桥…");
  assert.equal(cutToColumns("abc", 1), "…");
  assert.equal(padToColumns("网", 4), "网  ");
});

test("nothing in a name moves the cursor, begins a line, or turns round what stands behind it", () => {
  assert.equal(printable("a\u001b[31m\nb\u202ec\u2066d\u2028e\ud800f"), "a?[31m?b?c?d?e?f");
  assert.equal(printable("网桥 🚀 é"), "网桥 🚀 é");
});
