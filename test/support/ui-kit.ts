/** A browser on the web UI of an embedded lab: real packets, the real API, the real page. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { openWebFiles } from "#adapters/web-files";
import { Lab, type LabOptions, parseVmTable } from "#apps/lab";
import { parseIpv4 } from "#core/packets";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { parse } from "yaml";
import { unlessThere } from "./zookeeper-kit.ts";

const ROOT = join(import.meta.dirname, "../..");
const CHROMIUM = "/usr/bin/chromium";
/** No sandbox (the tests may run as root), no network but what the page asks for. */
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
/** Generous: a loaded machine is no failure. */
const PATIENCE_MS = 30_000;

/** For `skip`: false, or what is missing and how to get it. */
export const noBrowser = unlessThere(
  existsSync(CHROMIUM) ? null : "Chromium is not installed: apt-get install chromium",
);

/** The UI as its sources are now. @throws Error with Vite's words when it does not build. */
export function builtUi(): NonNullable<ReturnType<typeof openWebFiles>> {
  const script = join(ROOT, "src/apps/web/build-if-needed.js");
  const built = spawnSync(process.execPath, [script], { encoding: "utf8" });
  const files = openWebFiles();
  if (built.status !== 0 || files === null) throw new Error(`the web UI was not built: ${built.stdout}${built.stderr}`);
  return files;
}

const yaml = (name: string): unknown => parse(readFileSync(join(ROOT, "examples", name), "utf8"));

/** The example network with its VMs; they send what they are told to. */
export async function startUiLab(more: Partial<LabOptions> = {}): Promise<Lab> {
  const lab = new Lab({
    storeUrl: "memory:",
    listen: { host: "127.0.0.1", port: 0 },
    topology: yaml("example.yaml"),
    vms: parseVmTable(yaml("example-vms.yaml")),
    traffic: null,
    traceLog: null,
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    log: () => undefined,
    version: "0.0.0",
    site: builtUi(),
    ...more,
  });
  await lab.start();
  return lab;
}

export function vmOf(lab: Lab, port: string): NonNullable<ReturnType<Lab["port"]>["vm"]> {
  const { vm } = lab.port(port);
  if (vm === null) throw new Error(`there is no VM behind ${port}`);
  return vm;
}

export function ip(text: string): NonNullable<ReturnType<typeof parseIpv4>> {
  const address = parseIpv4(text);
  if (address === null) throw new Error(`${text} is no address`);
  return address;
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Everything that the page has asked for. */
  readonly requests: readonly { readonly url: string; readonly headers: Readonly<Record<string, string>> }[];
  /** What went wrong in the page: uncaught errors, and what its policy forbade. */
  readonly problems: readonly string[];
}

export type Look = Parameters<Browser["newContext"]>[0];

export const launch = (): Promise<Browser> => chromium.launch({ executablePath: CHROMIUM, args: ARGS });

export async function visit(browser: Browser, look: Look = {}): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1280, height: 860 },
    reducedMotion: "reduce",
    ...look,
  });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const requests: { url: string; headers: Record<string, string> }[] = [];
  const problems: string[] = [];
  page.on("request", (r) => void requests.push({ url: r.url(), headers: r.headers() }));
  page.on("pageerror", (error) => void problems.push(String(error)));
  page.on("console", (message) => {
    const text = message.text();
    if (message.type() === "error" && !text.startsWith("Failed to load resource")) problems.push(text);
  });
  return { page, context, requests, problems };
}

/** Fills in the sign-in form, as a user does. */
export async function signIn(page: Page, user: string, password: string): Promise<void> {
  await page.getByLabel("User name").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}
