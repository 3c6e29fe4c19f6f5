import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { Lab } from "#apps/lab";
import type { StepBody } from "#core/tracing";
import type { Browser, Page } from "playwright-core";
import {
  device,
  droppedSegment,
  expected,
  H2,
  HOST1,
  ingressSegment,
  RED,
  START_MS,
  steps,
} from "../support/tracing-example.ts";
import { id, PING } from "../support/tracing-samples.ts";
import { launch, noBrowser, startUiLab, visit } from "../support/ui-kit.ts";

const FLOWS = 10_000;
const DEVICES = 60;
/** Rows of a screen, and some above and below. */
const MOST_ROWS = 60;

interface Work {
  /** Of 50 ms and more, in which the page does not answer (W3C Long Tasks). */
  readonly longTasks: readonly number[];
  readonly frames: number;
  /** Elements that came into the page, in the frame in which it were most. */
  readonly mostAdded: number;
}

/** Runs something in the page, frame by frame, and says how long it was deaf meanwhile. */
async function work(page: Page, frames: number, perFrame: string): Promise<Work> {
  const script = `new Promise((resolve) => {
    const longTasks = [];
    const observer = new PerformanceObserver((list) => { for (const e of list.getEntries()) longTasks.push(Math.round(e.duration)); });
    observer.observe({ type: "longtask" });
    let added = 0, mostAdded = 0;
    const changes = new MutationObserver((list) => { for (const c of list) for (const n of c.addedNodes) added += 1 + (n.querySelectorAll?.("*").length ?? 0); });
    changes.observe(document.body, { childList: true, subtree: true });
    const total = ${frames};
    let frame = 0;
    const step = () => {
      mostAdded = Math.max(mostAdded, added);
      added = 0;
      ${perFrame}
      if (++frame < total) requestAnimationFrame(step);
      else setTimeout(() => { observer.disconnect(); changes.disconnect(); resolve({ longTasks, frames: total, mostAdded }); }, 300);
    };
    requestAnimationFrame(step);
  })`;
  return page.evaluate<Work>(script);
}

/** What a calm machine does well within a frame; where this alone is a long task, long tasks say nothing of the page. */
const EASY = "for (let i = 0, x = 0; i < 2e6; i++) x = (x * 31 + i) | 0;";

async function isCalm(page: Page): Promise<boolean> {
  return (await work(page, 60, EASY)).longTasks.length === 0;
}

/** Few long tasks, where the machine lets that be told. */
async function assertFew(t: TestContext, page: Page, what: string, done: Work): Promise<void> {
  t.diagnostic(report(what, done));
  if (await isCalm(page)) assert.ok(done.longTasks.length <= done.frames / 10, report(what, done));
  else t.diagnostic("the machine is too busy for long tasks to be the page's");
}

const report = (what: string, { longTasks, frames }: Work): string =>
  `${what}: ${longTasks.length} long tasks in ${frames} frames${longTasks.length === 0 ? "" : `, the longest ${Math.max(...longTasks)} ms`}`;

describe("large answers stay smooth", { skip: noBrowser, timeout: 240_000 }, () => {
  let lab: Lab;
  let browser: Browser;
  let page: Page;
  let traceId: TraceRequestId;

  before(async () => {
    lab = await startUiLab();
    browser = await launch();
    const router = lab.records?.routers[0];
    const body = JSON.stringify({ name: "many", deviceType: "ROUTER", deviceId: router?.id });
    const headers = { "content-type": "application/json" };
    const made = await fetch(`${lab.url}/midonet-api/traces`, { method: "POST", headers, body });
    traceId = made.headers.get("location")?.split("/").at(-1) as TraceRequestId;
    ({ page } = await visit(browser));
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
  });

  const segment = (n: number) =>
    (n % 5 === 0 ? droppedSegment : ingressSegment)({
      segmentId: `h1 1 ${n}`,
      flowTraceId: id(n) as FlowTraceId,
      requestIds: [traceId],
      startedAtMs: START_MS + n,
      key: { ...PING, srcPort: 1_024 + (n % 60_000) },
      ...(n % 5 === 0 ? {} : { expects: [expected(H2, "h2")] }),
    });

  it(`a list of ${FLOWS} flows: a screenful of rows is in the page, wherever it is scrolled to`, async (t) => {
    await page.goto(`${lab.url}/traces/${traceId}`);
    await page.getByText("Off: nothing new comes").waitFor();
    // They come by the stream, while the list is looked at.
    for (let n = 1; n <= FLOWS; n += 500) await lab.traces.add(Array.from({ length: 500 }, (_, i) => segment(n + i)));
    await page.locator(`.flow-list[aria-rowcount="${FLOWS + 1}"]`).waitFor({ timeout: 120_000 });
    const rows = (): Promise<number> => page.locator(".flow-space .flow-row").count();
    assert.ok((await rows()) <= MOST_ROWS);
    const scrolled = await work(
      page,
      120,
      `document.querySelector(".flow-box").scrollTop = (frame * ${FLOWS * 38}) / total;`,
    );
    await assertFew(t, page, "scrolling through all of it", scrolled);
    assert.ok(scrolled.mostAdded < 1_500, `${scrolled.mostAdded} elements in one frame`);
    assert.ok((await rows()) <= MOST_ROWS, `${await rows()} rows`);
    const last = page.locator(`.flow-row[aria-rowindex="${FLOWS + 1}"]`);
    await page.evaluate("document.querySelector('.flow-box').scrollTop = 1e9");
    await last.waitFor();
    await lab.traces.add([segment(FLOWS + 1)]);
    await page.getByRole("button", { name: "1 new flow" }).waitFor();
    assert.ok(await last.isVisible(), "whoever reads below is not moved by what comes above");
    const size = Number(await page.evaluate("document.querySelectorAll('*').length"));
    t.diagnostic(`${size} elements in the page`);
    assert.ok(size < 1_500, `${size} elements`);
  });

  it(`a path of ${DEVICES} devices: drawn once, moved and zoomed without being drawn anew`, async (t) => {
    const bodies: StepBody[] = [];
    for (let n = 1; n <= DEVICES; n++) {
      const bridge = device(n % 2 === 0 ? "bridge" : "router", `device-${n}`, 0x1000 + n);
      const into = device("port", `device-${n}/in`, 0x2000 + n);
      const out = device("port", `device-${n}/out`, 0x3000 + n);
      const header = { ethSrc: PING.ethSrc, ethDst: PING.ethDst, etherType: "0x0800" };
      bodies.push(
        { device: into, owner: RED, kind: "port-in", of: bridge, header },
        { device: bridge, owner: RED, kind: "device-in", inPort: into },
        { device: out, owner: RED, kind: "port-out", of: bridge },
      );
    }
    const drop: StepBody = {
      device: device("bridge", `device-${DEVICES}`, 0x1000 + DEVICES),
      owner: RED,
      kind: "drop",
      reason: "loop-limit",
      detail: "",
    };
    bodies.push(drop, { device: HOST1, owner: "", kind: "verdict", verdict: "dropped", dropReason: "loop-limit" });
    const flow = id(77_777) as FlowTraceId;
    const long = { ...segment(5), segmentId: "long", flowTraceId: flow, steps: steps(START_MS, ...bodies) };
    await lab.traces.add([{ ...long, verdict: "dropped", dropReason: "loop-limit", expects: [] }]);
    await page.goto(`${lab.url}/traces/${traceId}/flows/${flow}`);
    await page.locator(".hop-node.is-failed").waitFor();
    assert.equal(await page.locator(".hop-node-device").count(), DEVICES);
    const visible = await page.evaluate(`(() => {
      const box = document.querySelector(".path-box").getBoundingClientRect();
      const node = document.querySelector(".hop-node.is-failed").getBoundingClientRect();
      return node.top >= box.top && node.bottom <= box.bottom;
    })()`);
    assert.equal(visible, true, "the failing hop is where one looks first");
    const zoomed = await work(
      page,
      40,
      `document.querySelector("button[aria-label='" + (frame % 2 === 0 ? "Bigger" : "Smaller") + "']").click();`,
    );
    await assertFew(t, page, "zooming", zoomed);
    assert.equal(zoomed.mostAdded, 0, "nothing is drawn anew");
    const selected = await work(page, DEVICES, `document.querySelectorAll(".hop-node-device")[frame].click();`);
    await assertFew(t, page, "choosing one hop after the other", selected);
    assert.equal(selected.mostAdded, 0, "nothing is drawn anew");
  });
});
