import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { Page } from "playwright-core";
import {
  CHOOSE,
  DEVICES,
  describeWork,
  FLOWS,
  LargeAnswers,
  type Motion,
  SCROLL,
  type Work,
  ZOOM,
} from "../support/ui-large.ts";
import { noBrowser } from "../support/ui-kit.ts";

/** Rows of a screen, and some above and below. */
const MOST_ROWS = 60;
/** A page that measures in the middle of what it changes makes the browser compute a layout for every element it touches. */
const MOST_LAYOUTS_PER_FRAME = 2;

/** How long tasks took is for `bench:ui` to judge, on a quiet machine; here it is what they were made of. */
describe("large answers stay smooth", { skip: noBrowser, timeout: 240_000 }, () => {
  let large: LargeAnswers;
  let page: Page;

  before(async () => {
    large = await LargeAnswers.start();
    page = large.page;
  });
  after(async () => {
    await large?.stop();
  });

  const move = async (t: TestContext, what: string, motion: Motion): Promise<Work> => {
    const work = await large.work(motion);
    t.diagnostic(describeWork(what, work));
    assert.ok(work.layouts <= work.frames * MOST_LAYOUTS_PER_FRAME, describeWork(what, work));
    return work;
  };

  it(`a list of ${FLOWS} flows: a screenful of rows is in the page, wherever it is scrolled to`, async (t) => {
    await large.openList();
    const rows = (): Promise<number> => page.locator(".flow-space .flow-row").count();
    assert.ok((await rows()) <= MOST_ROWS);
    const scrolled = await move(t, "scrolling through all of it", SCROLL);
    assert.ok(scrolled.mostAdded < 1_500, `${scrolled.mostAdded} elements in one frame`);
    assert.ok((await rows()) <= MOST_ROWS, `${await rows()} rows`);
    const last = page.locator(`.flow-row[aria-rowindex="${FLOWS + 1}"]`);
    await page.evaluate("document.querySelector('.flow-box').scrollTop = 1e9");
    await last.waitFor();
    await large.addFlow(FLOWS + 1);
    await page.getByRole("button", { name: "1 new flow" }).waitFor();
    assert.ok(await last.isVisible(), "whoever reads below is not moved by what comes above");
    const size = Number(await page.evaluate("document.querySelectorAll('*').length"));
    t.diagnostic(`${size} elements in the page`);
    assert.ok(size < 1_500, `${size} elements`);
  });

  it(`a path of ${DEVICES} devices: drawn once, moved and zoomed without being drawn anew`, async (t) => {
    await large.openPath();
    assert.equal(await page.locator(".hop-node-device").count(), DEVICES);
    const visible = await page.evaluate(`(() => {
      const box = document.querySelector(".path-box").getBoundingClientRect();
      const node = document.querySelector(".hop-node.is-failed").getBoundingClientRect();
      return node.top >= box.top && node.bottom <= box.bottom;
    })()`);
    assert.equal(visible, true, "the failing hop is where one looks first");
    assert.equal((await move(t, "zooming", ZOOM)).mostAdded, 0, "nothing is drawn anew");
    assert.equal((await move(t, "choosing one hop after the other", CHOOSE)).mostAdded, 0, "nothing is drawn anew");
  });
});
