import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { it } from "node:test";

const ROOT = new URL("../../", import.meta.url);
const page = readFileSync(new URL("docs/reference/traps.md", ROOT), "utf8");
const rows = page
  .split("\n")
  .filter((line) => line.startsWith("| ") && !line.startsWith("| ---"))
  .map((line) => line.split("|").slice(1, -1))
  .map((cells) => cells.map((cell) => cell.trim()))
  .filter(([first]) => first !== "flaw" && first !== "trap");

/** `file`: "title"; "title" — the titles that follow a file stand in it. */
function testsNamed(text: string): { file: string; title: string }[] {
  return [...text.matchAll(/`(test\/[^`]+\.test\.ts)`: ("[^"]+")/g)].map((m) => ({
    file: m[1] ?? "",
    title: (m[2] ?? "").slice(1, -1),
  }));
}

it("every test that traps.md names exists under that title", () => {
  const named = testsNamed(page);
  assert.ok(named.length > 60, `${named.length} tests named`);
  assert.equal(named.length, page.match(/`test\/[^`]+`:/g)?.length, "no name escapes this test");
  for (const { file, title } of named) {
    const source = readFileSync(new URL(file, ROOT), "utf8").replaceAll('\\"', '"');
    const declared = ["it", "test", "scene"].some(
      (word) => source.includes(`${word}("${title}"`) || source.includes(`${word}(\n    "${title}"`),
    );
    assert.ok(declared, `${file} has no test "${title}"`);
  }
});

it("every decision that traps.md names exists", () => {
  const links = [...page.matchAll(/\]\(\.\.\/(adr\/[^)]+)\)/g)].map((m) => m[1] ?? "");
  assert.ok(links.length > 5);
  for (const link of links) assert.ok(existsSync(new URL(`docs/${link}`, ROOT)), link);
});

it("traps.md has a row for each of the 24 flaws, and every row is answered by a test or a decision", () => {
  const flaws = rows.filter((cells) => cells.length === 3).map(([number]) => Number(number));
  assert.deepEqual(
    flaws,
    Array.from({ length: 24 }, (_, i) => i + 1),
  );
  assert.ok(rows.length - flaws.length >= 25);
  for (const cells of rows) {
    const answer = cells.at(-1) ?? "";
    assert.ok(testsNamed(answer).length > 0 || answer.includes("](../adr/"), `${cells[0]} is not answered`);
  }
});
