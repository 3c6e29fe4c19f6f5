import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import type { Lab } from "#apps/lab";
import type { Browser, Page } from "playwright-core";
import { ip, launch, type Look, noBrowser, startUiLab, visit, vmOf } from "../support/ui-kit.ts";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Finding {
  readonly id: string;
  readonly impact: string;
  readonly help: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[];
}

/** WCAG 2.2 A and AA and best practices, as axe-core finds them. Minor findings are no failure, and are none today. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const result = await page.evaluate<{ readonly violations: readonly Finding[] }>(
    "axe.run(document, { resultTypes: ['violations'] })",
  );
  return result.violations.map(
    (v) => `${v.impact} ${v.id}: ${v.help}\n${v.nodes.map((n) => `  ${n.html}\n  ${n.failureSummary}`).join("\n")}`,
  );
}

const LOOKS: Readonly<Record<string, Look>> = {
  light: { colorScheme: "light" },
  dark: { colorScheme: "dark" },
  "360 px": { viewport: { width: 360, height: 740 } },
  "320 px": { viewport: { width: 320, height: 640 }, colorScheme: "dark" },
};

describe("for everybody", { skip: noBrowser, timeout: 240_000 }, () => {
  let lab: Lab;
  let browser: Browser;
  let trace: string;
  const flow = { dropped: "", delivered: "" };

  before(async () => {
    lab = await startUiLab();
    browser = await launch();
    const bridge = lab.records?.bridges.find((b) => b.name === "red-web");
    const body = JSON.stringify({ name: "all", deviceType: "BRIDGE", deviceId: bridge?.id, enabled: true });
    const headers = { "content-type": "application/json" };
    const made = await fetch(`${lab.url}/midonet-api/traces`, { method: "POST", headers, body });
    trace = made.headers.get("location")?.split("/").at(-1) ?? "";
    const known = new Promise<void>((resolve) => {
      lab.traces.subscribe(null, ({ flowTraceId, trace: flowTrace }) => {
        const verdict = flowTrace?.completeness.state === "complete" ? flowTrace.verdict : "unknown";
        if (verdict === "dropped") flow.dropped = flowTraceId;
        if (verdict === "delivered" && flowTrace?.segments.length === 2) flow.delivered = flowTraceId;
        if (flow.dropped !== "" && flow.delivered !== "") resolve();
      });
    });
    await vmOf(lab, "red-web/red-1").ping(ip("10.0.2.2"));
    void vmOf(lab, "red-web/red-2").udp(ip("10.1.0.10"), 7, new Uint8Array(8));
    await known;
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
  });

  const views: Readonly<Record<string, { path: () => string; ready: string }>> = {
    "list of traces": { path: () => "/traces", ready: "table.traces" },
    "new trace": { path: () => "/traces/new", ready: ".new-trace" },
    flows: { path: () => `/traces/${trace}`, ready: ".flow-row .row-link" },
    paths: { path: () => `/traces/${trace}/paths`, ready: ".paths, .empty" },
    "a flow that was dropped": { path: () => `/traces/${trace}/flows/${flow.dropped}`, ready: ".hop-node" },
    "a flow over two hosts": { path: () => `/traces/${trace}/flows/${flow.delivered}`, ready: ".hop-node" },
    hosts: { path: () => "/hosts", ready: "table, .empty" },
    "nothing there": { path: () => "/traces/00000000-0000-4000-8000-000000000000", ready: ".empty" },
  };

  for (const [name, look] of Object.entries(LOOKS)) {
    it(`axe-core finds nothing in any view, and nothing is wider than the page: ${name}`, async () => {
      // Its policy lets nobody else run in the page; the checker has to.
      const { page, context } = await visit(browser, { ...look, bypassCSP: true });
      for (const [view, { path, ready }] of Object.entries(views)) {
        await page.goto(lab.url + path());
        await page.locator(ready).first().waitFor();
        if (name !== "320 px") assert.deepEqual(await findings(page), [], view);
        const wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth");
        assert.ok(Number(wider) <= 0, `${view} is ${String(wider)} px wider than the page`);
        assert.match(await page.title(), /\S · Midotrace$/, view);
      }
      await context.close();
    });
  }

  it("everything can be done with the keyboard alone", async () => {
    const { page, context } = await visit(browser);
    const { keyboard } = page;
    const focused = (): Promise<string> =>
      page.evaluate(
        "(document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent).replace(/\\s+/g, ' ').trim()",
      );
    const tabTo = async (wanted: RegExp): Promise<void> => {
      for (let n = 0; n < 60; n++) {
        await keyboard.press("Tab");
        if (wanted.test(await focused())) return;
      }
      assert.fail(`no way to ${String(wanted)}`);
    };
    await page.goto(`${lab.url}/traces`);
    await page.locator("table.traces").waitFor();
    await keyboard.press("Tab");
    assert.equal(await focused(), "Skip to content", "the first stop leads past the head");
    await keyboard.press("Enter");
    await tabTo(/^New trace$/);
    await keyboard.press("Enter");
    await page.locator(".new-trace").waitFor();
    await page.getByRole("combobox", { name: "Device" }).focus();
    await keyboard.type("red-web/red-2");
    await page.getByRole("listbox").waitFor();
    await keyboard.press("ArrowDown");
    await keyboard.press("Enter");
    assert.equal(await page.getByRole("combobox", { name: "Device" }).inputValue(), "red-web/red-2");
    await tabTo(/^Create and enable$/);
    await keyboard.press("Enter");
    await page.getByRole("heading", { name: "red-web/red-2 any" }).waitFor();
    void vmOf(lab, "red-web/red-2").udp(ip("10.1.0.11"), 7, new Uint8Array(8), { timeoutMs: 300 });
    await page.locator(".flow-why .row-link").first().waitFor();
    await tabTo(/^Dropped at port blue-net/);
    const outline = await page.evaluate(
      "getComputedStyle(document.activeElement.closest('.flow-row')).outlineStyle + getComputedStyle(document.activeElement.closest('.flow-row')).outlineWidth",
    );
    assert.equal(outline, "solid2px", "the focus is seen");
    await keyboard.press("Enter");
    await tabTo(/^Show step/);
    await keyboard.press("Enter");
    await page.locator("tbody.hop.is-selected.is-failed").waitFor();
    await page.locator(".hop-node").first().waitFor();
    await tabTo(/^router red-router/);
    await keyboard.press("Space");
    assert.match(await page.locator("tbody.hop.is-selected").innerText(), /router red-router/);
    await keyboard.press("Shift+Tab");
    await page.goBack();
    await tabTo(/^Enabled$/);
    await keyboard.press("Space");
    await page.getByText("Off: nothing new comes").waitFor();
    await tabTo(/^Delete$/);
    await keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    assert.equal(await focused(), "Keep it", "the harmless answer has the focus");
    await keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await context.close();
  });

  it("colours follow the system until somebody chooses, and then stay as chosen", async () => {
    const { page, context } = await visit(browser, { colorScheme: "dark" });
    const shown = (theme: string): Promise<void> =>
      page.locator(`html[data-theme=${theme}]`).waitFor({ state: "attached" });
    await page.goto(`${lab.url}/traces`);
    await shown("dark");
    await page.emulateMedia({ colorScheme: "light" });
    await shown("light");
    await page.getByRole("button", { name: "Dark colours" }).click();
    await shown("dark");
    await page.reload();
    await page.locator("table.traces").waitFor();
    await shown("dark");
    await context.close();
  });
});
