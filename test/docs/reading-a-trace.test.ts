import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DROP_REASONS } from "#core/tracing";
import { recordings, withRecordings } from "../support/recorded-session.ts";
import { check, commandLines } from "./command-lines.ts";
import { ROOT } from "./pages.ts";

const GUIDE = join(ROOT, "docs/guide/reading-a-trace.md");
const recorded = await recordings();

describe("docs/guide/reading-a-trace.md", () => {
  const page = readFileSync(GUIDE, "utf8");

  it("shows what the command line prints, to the letter", () => {
    assert.equal(page, withRecordings(page, recorded), "run: node --conditions=source test/docs/print.ts");
    for (const name of recorded.keys()) assert.ok(page.includes(`<!-- recorded: ${name} -->`), name);
  });

  it("shows each thing that it explains", () => {
    const shows = (name: string, pattern: RegExp): void => assert.match(recorded.get(name) ?? "", pattern);
    shows(
      "dropped",
      /^\$ .*\n✗ DROPPED at port red-db\/router on host host-a: rule 7 [^]*\n {2}→ midotrace topology show --chain red-db-guard\n/,
    );
    shows("dropped", /\n│ {2}✗ Dropped: /);
    shows(
      "delivered",
      /✓ DELIVERED to port red-db\/red-3 on host host-b[^]*host host-b {2}egress[^]*complete: all 2 hosts reported\n$/,
    );
    shows(
      "partial",
      /\? UNKNOWN[^]*\npartial: host host-b has not reported \(host down\)\n {2}→ Start the host, or its agent\.\n/,
    );
    shows("withheld", /✓ DELIVERED[^]*\n└─ ▒▒ withheld: devices of others\n\ncomplete/);
    assert.doesNotMatch(recorded.get("withheld") ?? "", /provider|uplink-net|host-[abc]|outside/);
    shows("flows", /\n\S+ +✗ dropped +complete +filter-drop +TCP /);
    shows("paths", /✓ delivered {2}3 flows[^]*✗ dropped {2}1 flow/);
  });

  it("quotes commands and drop reasons that exist", () => {
    const lines = commandLines(page);
    assert.ok(lines.length >= 12, `${lines.length} command lines`);
    for (const line of lines) assert.doesNotThrow(() => check(line), line.join(" "));
    const table = page.slice(page.indexOf("## From the reason"), page.indexOf("## Completion"));
    const reasons = [...table.matchAll(/^\| (`[a-z`, -]+`) \|/gm)].flatMap((m) => m[1]?.match(/[a-z-]+/g) ?? []);
    assert.ok(reasons.length > 12);
    for (const reason of reasons) assert.ok(Object.hasOwn(DROP_REASONS, reason), reason);
  });
});

describe("README.md", () => {
  it("shows what the command line prints, with lines left out where it says so", () => {
    const page = readFileSync(join(ROOT, "README.md"), "utf8");
    const shown = /<!-- recorded: dropped, shortened -->\n```\n\$ .*\n([^]*?)```/.exec(page)?.[1];
    assert.ok(shown !== undefined, "the block is there");
    const lines = (recorded.get("dropped") ?? "").split("\n").slice(1);
    let from = 0;
    for (const line of shown.trimEnd().split("\n")) {
      if (line.trim() === "…") continue;
      const at = lines.indexOf(line, from);
      assert.ok(at >= from, `not printed, or not here: ${line}`);
      from = at + 1;
    }
  });
});
