import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Lab } from "#apps/lab";
import type { Browser } from "playwright-core";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { ip, launch, noBrowser, signIn, startUiLab, type Visit, visit, vmOf } from "../support/ui-kit.ts";

/**
 * A tenant follows their own packets through a provider's router into the network of another tenant. What is not theirs is
 * hatched, and nothing of it (names, ids, addresses of devices, hosts, tunnels) is in the page or in any answer.
 */
describe("a tenant's view", { skip: noBrowser, timeout: 180_000 }, () => {
  let lab: Lab;
  let browser: Browser;
  let here: Visit;
  /** Names and ids that belong to others or to the infrastructure. */
  let foreign: string[];
  const answers: string[] = [];
  const stream = new AbortController();

  before(async () => {
    const identity = new FakeIdentity({
      root: identityOf("operators", "admin"),
      rita: identityOf("red", "tenant_admin"),
      bob: identityOf("blue", "tenant_admin"),
    });
    lab = await startUiLab({ identity });
    const {
      hosts = [],
      bridges = [],
      routers = [],
      ports = [],
      chains = [],
      rules = [],
      routes = [],
    } = lab.records ?? {};
    const others = [...bridges, ...routers].filter((d) => d.tenantId !== "red");
    const ids = new Set(others.map((d): string => d.id));
    const othersPorts = ports.filter((p) => ids.has(p.deviceId));
    const othersChains = chains.filter((c) => c.tenantId !== "red");
    const chainIds = new Set(othersChains.map((c): string => c.id));
    foreign = [
      ...[...others, ...othersPorts, ...othersChains, ...hosts].map((o): string => o.id),
      ...rules.filter((r) => chainIds.has(r.chainId)).map((r): string => r.id),
      ...routes.filter((r) => ids.has(r.routerId)).map((r): string => r.id),
      ...[...others, ...othersChains, ...hosts].map((o): string => o.name),
      ...othersPorts.map((p) => `/${p.name}"`).filter((n) => n.includes("blue") || n.includes("outside")),
      "192.0.2.",
      "blue",
      "provider",
      "outside",
      "10.1.0.1/",
    ];
    browser = await launch();
    here = await visit(browser);
    here.page.on("response", (response) => {
      const type = response.headers()["content-type"] ?? "";
      if (response.url().includes("/midonet-api/") && type.includes("json"))
        void response.text().then(
          (text) => answers.push(`${response.url()}\n${text}`),
          () => undefined,
        );
    });
  });
  after(async () => {
    stream.abort();
    await browser?.close();
    await lab?.stop();
  });

  const flowPage = async (): Promise<string> => {
    await here.page.getByRole("region", { name: "Path" }).locator(".hop-node").first().waitFor();
    return here.page.locator("#main").innerText();
  };

  it("chooses among their own devices only", async () => {
    const { page } = here;
    await page.goto(`${lab.url}/traces/new`);
    await signIn(page, "rita", "right");
    const device = page.getByRole("combobox", { name: "Device" });
    await device.fill("r");
    await page.getByRole("listbox").getByRole("option").first().waitFor();
    const offered = await page.getByRole("listbox").getByRole("option").allInnerTexts();
    assert.ok(offered.length > 3, offered.join());
    for (const text of offered) assert.match(text, /^red-/);
    await device.fill("red-router");
    await device.press("Enter");
    await page.getByLabel("Protocol").selectOption("udp");
    await page.getByRole("button", { name: "Create and enable" }).click();
    await page.getByRole("heading", { name: "Waiting for the first flow" }).waitFor();
  });

  it("sees that it was dropped elsewhere, not where, by what or why", async () => {
    const { page } = here;
    const trace = page.url().split("/").at(-1) ?? "";
    void watch(`${lab.url}/midonet-api/traces/${trace}/events`);
    void vmOf(lab, "red-web/red-2").udp(ip("10.1.0.10"), 7, new Uint8Array(8));
    await page.locator(".flow-why .row-link").first().click();
    const text = await flowPage();
    assert.match(text, /withheld/i);
    assert.match(text, /router red-router/);
    const hatched = page.locator(".hop-node-withheld");
    assert.ok((await hatched.count()) >= 1);
    for (const words of await hatched.allInnerTexts()) assert.equal(words.trim(), "withheld");
    const image = await page.evaluate("getComputedStyle(document.querySelector('.hop-node-withheld')).backgroundImage");
    assert.match(String(image), /repeating-linear-gradient/);
    await page.getByText("Raw JSON").click();
    await page.locator(".raw pre").waitFor();
    await nothingForeign();
  });

  it("nor does the list, a filter, a path or any other view tell", async () => {
    const { page } = here;
    await page.getByRole("link", { name: "Flows" }).click();
    await page.locator(".flow-row").nth(1).waitFor();
    await nothingForeign();
    await page.getByRole("link", { name: "Paths" }).click();
    await page.locator(".paths, .empty").first().waitFor();
    await nothingForeign();
    assert.equal(await page.getByRole("link", { name: "Hosts" }).count(), 0);
    await page.goto(`${lab.url}/hosts`);
    await page.getByRole("heading", { name: "Hosts are not shown here" }).waitFor();
    await page.goto(`${lab.url}/traces`);
    await page.getByRole("table", { name: "Trace requests" }).waitFor();
    await nothingForeign();
  });

  it("cannot open what is another tenant's, and is told so", async () => {
    const { page } = here;
    const headers = { "x-auth-token": "bob", "content-type": "application/json" };
    const blue = lab.records?.bridges.find((b) => b.name === "blue-net");
    const body = JSON.stringify({ name: "theirs", deviceType: "BRIDGE", deviceId: blue?.id });
    const made = await fetch(`${lab.url}/midonet-api/traces`, { method: "POST", headers, body });
    const id = made.headers.get("location")?.split("/").at(-1);
    await page.goto(`${lab.url}/traces/${id}`);
    await page.getByRole("heading", { name: "Not yours to see" }).waitFor();
    await page.goto(`${lab.url}/traces`);
    await page.getByRole("table", { name: "Trace requests" }).waitFor();
    assert.ok(!(await page.content()).includes("theirs"));
  });

  it("met no error on the way", () => assert.deepEqual(here.problems, []));

  /** The stream as the tenant's page gets it: what it carries is an answer, too. */
  async function watch(url: string): Promise<void> {
    try {
      const response = await fetch(url, { headers: { "x-auth-token": "rita" }, signal: stream.signal });
      for await (const piece of response.body ?? []) answers.push(`${url}\n${Buffer.from(piece).toString()}`);
    } catch {
      // The end of the test.
    }
  }

  async function nothingForeign(): Promise<void> {
    const page = await here.page.content();
    assert.ok(answers.length > 0);
    for (const word of foreign) {
      assert.ok(!page.includes(word), `the page says ${word}`);
      for (const answer of answers)
        assert.ok(!answer.includes(word), `${word} is in the answer of ${answer.slice(0, 6_000)}`);
    }
  }
});
