import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { hashPassword, StaticIdentities } from "#adapters/auth-static";
import { systemClock, systemScheduler } from "#adapters/platform";
import type { Lab } from "#apps/lab";
import type { Browser } from "playwright-core";
import { ip, launch, noBrowser, signIn, startUiLab, type Visit, visit, vmOf } from "../support/ui-kit.ts";

/** What an operator does at night: sign in, ask for a trace, watch a flow come, read where it failed, tidy up. */
describe("the operator's walk", { skip: noBrowser, timeout: 180_000 }, () => {
  let lab: Lab;
  let browser: Browser;
  let here: Visit;

  let directory: string;
  let identity: StaticIdentities;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-ui-"));
    const file = join(directory, "users.yaml");
    const projects = [{ id: "operators", name: "operators", roles: ["admin"] }];
    const users = [{ name: "root", password: await hashPassword("right"), projects }];
    writeFileSync(file, JSON.stringify({ users }), { mode: 0o600 });
    identity = new StaticIdentities({ file, clock: systemClock, scheduler: systemScheduler, log: () => undefined });
    await identity.start();
    lab = await startUiLab({ identity });
    browser = await launch();
    here = await visit(browser);
    await here.page.goto(lab.url);
  });
  after(async () => {
    await browser?.close();
    await lab?.stop();
    await identity?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it("asks who is there, and says when the password is wrong", async () => {
    const { page } = here;
    await signIn(page, "root", "wrong");
    await page.getByText("The name or the password is wrong.").waitFor();
    await signIn(page, "root", "right");
    await page.getByRole("heading", { name: "Nothing is being traced" }).waitFor();
    await page.locator(".who").getByText("root").waitFor();
  });

  it("creates a trace: a device by its name, a condition by its fields, both said in a sentence", async () => {
    const { page } = here;
    await page.getByRole("link", { name: "New trace" }).first().click();
    const device = page.getByRole("combobox", { name: "Device" });
    await device.fill("red-rou");
    await page.getByRole("option", { name: /^red-router router/ }).waitFor();
    await device.press("Enter");
    await page.getByLabel("Protocol").selectOption("tcp");
    await page.getByLabel("Destination port").fill("22x");
    await page.getByRole("alert").getByText("position 18").waitFor();
    await page.getByLabel("Destination port").fill("22");
    await page.getByText("TCP packets to port 22 entering router red-router.").waitFor();
    assert.equal(await page.getByLabel("Expression").inputValue(), "tcp and dst port 22");
    await page.getByLabel("Expression").fill("tcp and src net 10.0.1.0/24 and dst port 22");
    assert.equal(await page.getByLabel("Source", { exact: true }).inputValue(), "10.0.1.0/24");
    await page.getByLabel("Name", { exact: true }).fill("who stops ssh");
    await page.getByRole("button", { name: "Create and enable" }).click();
    await page.getByRole("heading", { name: "who stops ssh" }).waitFor();
    await page.getByRole("heading", { name: "Waiting for the first flow" }).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
  });

  it("shows the flow when the packet comes, and its failing hop first", async () => {
    const { page } = here;
    void vmOf(lab, "red-web/red-1").tcpConnect(ip("10.0.2.20"), 22);
    const row = page.getByRole("link", { name: /^Dropped at port red-db\/router/ });
    await row.waitFor();
    assert.match(
      await page.locator(".flow-space .flow-row").first().innerText(),
      /dropped[^]*TCP[^]*→ 10\.0\.2\.20:22/,
    );
    await row.click();
    const failing = page.getByRole("group", { name: "Failing hop" });
    await failing.waitFor();
    const said = await failing.innerText();
    assert.match(said, /Failing hop: bridge red-db, entered by port router/);
    assert.match(said, /Rule 7 of chain red-db-guard \(drop\) matched/);
    assert.match(said, /If the packet should pass, change that rule/, "and what to do about it");
    const top = await page.locator(".flow-top").innerText();
    assert.ok(top.indexOf("Dropped at") < top.indexOf("Failing hop"), "the sentence stands first");
    assert.match(top, /Complete: the one host reported/);
  });

  it("draws the way with the failing hop marked, and shows its steps when it is chosen", async () => {
    const { page } = here;
    const path = page.getByRole("region", { name: "Path" });
    for (const name of [/^entry at port red-web\/red-1/, /^bridge red-web/, /^router red-router/])
      await path.getByRole("button", { name }).waitFor();
    const failing = path.getByRole("button", { name: /^failing hop: bridge red-db/ });
    assert.match((await failing.getAttribute("class")) ?? "", /is-failed/);
    await path.getByRole("button", { name: /^router red-router/ }).click();
    const steps = page.locator("tbody.hop.is-selected");
    assert.match(await steps.innerText(), /router red-router[^]*Route to 10\.0\.2\.20[^]*TTL\s*64\s*→\s*63/);
    await page.getByText("Raw JSON").click();
    const raw = JSON.parse(await page.locator(".raw pre").innerText()) as { verdict: string };
    assert.equal(raw.verdict, "dropped");
  });

  it("a link to the flow leads to the flow", async () => {
    const { page } = here;
    const link = page.url();
    assert.match(link, /\/traces\/[0-9a-f-]{36}\/flows\/[0-9a-f-]{36}$/);
    await page.goto(link);
    await page.getByRole("group", { name: "Failing hop" }).waitFor();
  });

  it("disables and deletes", async () => {
    const { page } = here;
    await page.getByRole("link", { name: "Flows" }).click();
    await page.getByRole("switch", { name: "Enabled" }).click();
    await page.getByText("Off: nothing new comes").waitFor();
    await page.getByRole("button", { name: "Delete" }).click();
    const dialog = page.getByRole("dialog", { name: "Delete who stops ssh?" });
    await dialog.getByRole("button", { name: "Delete" }).click();
    await page.getByRole("heading", { name: "Nothing is being traced" }).waitFor();
  });

  it("sees its hosts", async () => {
    const { page } = here;
    await page.getByRole("link", { name: "Hosts" }).click();
    const table = page.getByRole("table", { name: "Agents" });
    await table.waitFor();
    assert.deepEqual(await table.getByRole("rowheader").allInnerTexts(), ["host-a", "host-b", "host-c"]);
    assert.match(await table.innerText(), /alive/);
  });

  it("has asked nobody else for anything, put no token in an address, and met no error", async () => {
    const token = String(await here.page.evaluate("sessionStorage.getItem('midotrace-token')"));
    assert.ok(token.length > 20);
    assert.ok(here.requests.length > 10);
    for (const { url, headers } of here.requests) {
      assert.ok(url.startsWith(`${lab.url}/`), url);
      assert.ok(!url.includes(token), url);
      const open = !url.includes("/midonet-api/") || /\/(login|whoami)$/.test(url);
      assert.ok(open || headers["x-auth-token"] === token, url);
      assert.equal(headers["cookie"], undefined);
    }
    assert.deepEqual(here.problems, []);
  });

  it("signing out forgets the token", async () => {
    const { page } = here;
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Midotrace" }).waitFor();
    assert.equal(await page.evaluate("sessionStorage.length"), 0);
    await page.reload();
    await page.getByLabel("User name").waitFor();
  });
});
