import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, describe, it } from "node:test";
import { allRoutes, docsPage, EXAMPLES, statusOf } from "#core/api-contract";
import { type Exchange, examplesPage, replayExamples } from "../support/example-session.ts";
import { pagePath } from "./pages.ts";

describe("an example of each operation", () => {
  let exchanges: Exchange[];
  before(async () => {
    exchanges = await replayExamples();
  });

  it("is there", () => {
    const missing = allRoutes().flatMap(([id]) => (id in EXAMPLES ? [] : [id]));
    assert.deepEqual(missing, [], "add a line to src/core/api-contract/examples.ts");
  });

  it("is answered as the contract says", () => {
    const routes = new Map(allRoutes());
    for (const { operation, status } of exchanges) {
      const route = routes.get(operation) ?? assert.fail(operation);
      assert.equal(status, statusOf(route.answer), operation);
      const path = EXAMPLES[operation]?.path.split("?", 1)[0] ?? "";
      assert.match(path, new RegExp(`^${route.path.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`));
    }
  });

  it("replays as docs/reference/rest-examples.md shows it", () => {
    const page = readFileSync(pagePath("rest-examples.md"), "utf8");
    assert.equal(page, examplesPage(exchanges), "run: node --conditions=source test/docs/print.ts");
  });

  it("is in the page that the server shows, which loads nothing from elsewhere", () => {
    const page = docsPage("1.0.0");
    for (const [id] of allRoutes()) assert.ok(page.includes(`<details id="${id}">`), id);
    assert.doesNotMatch(page, /<script|src=|@import|url\(|href="(?!#|\/midonet-api\/)/);
    assert.match(page, /default-src 'none'/);
  });
});
