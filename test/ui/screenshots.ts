/**
 * Takes the pictures of docs/images/ anew, and others to be looked at: node --conditions=source test/ui/screenshots.ts [DIR]
 * With DIR, every view in every look goes there instead.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { ip, launch, type Look, signIn, startUiLab, visit, vmOf } from "../support/ui-kit.ts";

const [all] = process.argv.slice(2);
const directory = all ?? join(import.meta.dirname, "../../docs/images");
mkdirSync(directory, { recursive: true });

const identity = new FakeIdentity({
  operator: identityOf("operators", "admin"),
  rita: identityOf("red", "tenant_admin"),
});
const lab = await startUiLab({ identity });
const browser = await launch();
const api = `${lab.url}/midonet-api`;

async function ask(method: string, path: string, body?: object, token = "operator"): Promise<Response> {
  const headers = { "x-auth-token": token, "content-type": "application/json", accept: "application/json" };
  return fetch(api + path, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
}

const idOf = (name: string): string => {
  const { bridges = [], routers = [] } = lab.records ?? {};
  return [...bridges, ...routers].find((d) => d.name === name)?.id ?? "";
};
async function trace(name: string, type: "BRIDGE" | "ROUTER", device: string, about: object): Promise<string> {
  const body = { name, deviceType: type, deviceId: idOf(device), enabled: true, ...about };
  return (await ask("POST", "/traces", body)).headers.get("location")?.split("/").at(-1) ?? "";
}

const web = await trace("red-web, everything", "BRIDGE", "red-web", { condition: "any" });
await trace("who stops ssh", "ROUTER", "red-router", { condition: "tcp and dst port 22", limit: 20 });
await trace("blue web", "BRIDGE", "blue-net", {
  condition: "tcp and dst portrange 80-8080",
  enabled: false,
  limit: 100,
});

const quick = { timeoutMs: 250 };
const [red1, red2, blue2] = ["red-web/red-1", "red-web/red-2", "blue-net/blue-2"].map((port) => vmOf(lab, port));
for (let n = 0; n < 6; n++) {
  await red1?.ping(ip("10.0.2.2"), quick);
  await red2?.tcpConnect(ip("10.0.2.20"), 5432, quick);
  await red1?.tcpConnect(ip("10.0.2.20"), 22, quick);
  await red2?.udp(ip("10.1.0.10"), 7, new Uint8Array(8), quick);
  if (n % 2 === 0) await red2?.tcpConnect(ip("10.0.2.2"), 23, quick);
  await blue2?.tcpConnect(ip("10.0.1.10"), 80, quick);
}

interface Listed {
  readonly flowTraceId: string;
  readonly why: string;
  readonly segments: readonly unknown[];
}
const { flows } = (await (await ask("GET", `/traces/${web}/flows?limit=200`)).json()) as { flows: readonly Listed[] };
const flowWith = (fits: (f: Listed) => boolean): string =>
  `/traces/${web}/flows/${flows.find(fits)?.flowTraceId ?? ""}`;
const dropped = flowWith((f) => /^Dropped.*red-db/.test(f.why));
const elsewhere = flowWith((f) => /^Dropped.*blue-net/.test(f.why));
const delivered = flowWith((f) => f.segments.length === 2 && f.why.includes("red-db"));

interface View {
  readonly path: string;
  readonly user?: "rita" | "nobody";
  /** What is done there before. */
  readonly first?: (page: Page) => Promise<unknown>;
}

const VIEWS: Readonly<Record<string, View>> = {
  "sign-in": { path: "/", user: "nobody" },
  traces: { path: "/traces" },
  "new-trace": {
    path: "/traces/new",
    first: async (page) => {
      await page.getByRole("combobox", { name: "Device" }).fill("red-router");
      await page.getByRole("combobox", { name: "Device" }).press("Enter");
      await page.getByLabel("Protocol").selectOption("tcp");
      await page.getByLabel("Source", { exact: true }).fill("10.0.1.0/24");
      await page.getByLabel("Destination port").fill("22");
    },
  },
  flows: { path: `/traces/${web}` },
  paths: { path: `/traces/${web}/paths` },
  "flow-dropped": { path: dropped },
  "flow-delivered": { path: delivered },
  "flow-tenant": { path: elsewhere, user: "rita" },
  hosts: { path: "/hosts" },
  gone: { path: `/traces/${web}/flows/00000000-0000-4000-8000-000000000000` },
};
const LOOKS: Readonly<Record<string, Look>> = {
  light: { viewport: { width: 1280, height: 860 }, colorScheme: "light" },
  dark: { viewport: { width: 1280, height: 860 }, colorScheme: "dark" },
  narrow: { viewport: { width: 360, height: 740 }, colorScheme: "light" },
};
/** Those of the guides. */
const KEPT = [
  "traces-light",
  "flows-light",
  "flow-dropped-light",
  "flow-delivered-dark",
  "flow-tenant-light",
  "paths-light",
];
KEPT.push("flow-dropped-narrow", "new-trace-light");

for (const [name, view] of Object.entries(VIEWS)) {
  for (const [look, options] of Object.entries(LOOKS)) {
    const picture = `${name}-${look}`;
    if (all === undefined && !KEPT.includes(picture)) continue;
    const { page, context, problems } = await visit(browser, options);
    await page.goto(lab.url + view.path);
    await page.getByLabel("User name").waitFor();
    if (view.user !== "nobody") await signIn(page, view.user ?? "operator", "right");
    if (view.user !== "nobody") await page.locator("#main h1").first().waitFor();
    await view.first?.(page);
    await page.waitForTimeout(1_200);
    await page.screenshot({ path: join(directory, `${all === undefined ? "ui-" : ""}${picture}.png`) });
    if (problems.length > 0) console.error(picture, problems);
    await context.close();
  }
}
await browser.close();
await lab.stop();
// Streams that the pages had open end with the server; timers of theirs need not be waited for.
process.exit(0);
