/**
 * From a packet entering a port of the embedded lab to its flow on the screen: node --conditions=source bench/ui-latency.ts
 * Measured by the machine's clock: the moment before the VM sends, the moment at which the stream's event reaches a client of
 * the API, and the frame in which the browser has painted the row.
 */
import { cpus } from "node:os";
import { systemClock } from "#adapters/platform";
import { ip, launch, startUiLab, visit, vmOf } from "../test/support/ui-kit.ts";
import { ascending, quantile } from "./measure.ts";

const PACKETS = 100;
const AIM_MS = 300;

const lab = await startUiLab();
const router = lab.records?.routers.find((r) => r.name === "red-router");
const headers = { "content-type": "application/json" };
const body = JSON.stringify({
  name: "t",
  deviceType: "ROUTER",
  deviceId: router?.id,
  condition: "icmp",
  enabled: true,
});
const made = await fetch(`${lab.url}/midonet-api/traces`, { method: "POST", headers, body });
const trace = made.headers.get("location")?.split("/").at(-1) ?? "";
const vm = vmOf(lab, "red-web/red-1");
const to = ip("10.0.2.2");

const browser = await launch();
const { page } = await visit(browser);
await page.goto(`${lab.url}/traces/${trace}`);
await page.getByText("Live", { exact: true }).waitFor();
/** The rows of each echo identifier, and when they were painted: the second frame after the change has shown the first. */
await page.evaluate(`window.painted = {};
  const look = () => {
    const ids = [...document.querySelectorAll(".flow-packet")].map((e) => e.textContent).filter((t) => t.includes("10.0.1.10 → 10.0.2.2"));
    for (const text of ids) {
      const id = /id (\\d+)/.exec(text)?.[1];
      if (id === undefined || id in window.painted) continue;
      window.painted[id] = 0;
      requestAnimationFrame(() => requestAnimationFrame(() => { window.painted[id] = Date.now(); }));
    }
  };
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });`);

const streamed = new Map<string, number>();
const stream = new AbortController();
const response = await fetch(`${lab.url}/midonet-api/traces/${trace}/events`, { signal: stream.signal });
const reading = (async () => {
  for await (const piece of response.body ?? []) {
    for (const [, id = ""] of Buffer.from(piece)
      .toString()
      .matchAll(/"networkSrc":"10\.0\.1\.10"[^}]*?"srcPort":(\d+)/g))
      if (!streamed.has(id)) streamed.set(id, systemClock.nowMs());
  }
})().catch(() => undefined);

// ARP, topology and the first drawing are not what is measured.
await vm.ping(to, { id: 9_999 });
const sent = new Map<string, number>();
for (let n = 1; n <= PACKETS; n++) {
  sent.set(String(n), systemClock.nowMs());
  await vm.ping(to, { id: n });
  // The page's policy forbids what Playwright's own waiting needs.
  await page.evaluate(
    `new Promise((r) => { const look = () => (window.painted[${n}] > 0 ? r() : requestAnimationFrame(look)); look(); })`,
  );
}
const painted = await page.evaluate<Record<string, number>>("window.painted");
stream.abort();
await reading;
await browser.close();
await lab.stop();

function line(what: string, times: readonly number[]): number {
  const sorted = ascending(times);
  const [low, median, high] = [0.05, 0.5, 0.95].map((q) => quantile(sorted, q)) as [number, number, number];
  console.log(
    `  ${what.padEnd(34)}${median.toFixed(0).padStart(5)} ms  (${low.toFixed(0)} … ${high.toFixed(0)}, 5 % to 95 % of ${times.length})`,
  );
  return median;
}
const since = (at: (id: string) => number | undefined): number[] =>
  [...sent].flatMap(([id, start]) => {
    const end = at(id);
    return end === undefined ? [] : [end - start];
  });
console.log(
  `${cpus()[0]?.model ?? "unknown CPU"}, ${cpus().length} cores, Node ${process.version}, Chromium ${browser.version()}`,
);
console.log("a packet enters a port of the embedded lab; median until its flow");
line(
  "is at a client of the stream",
  since((id) => streamed.get(id)),
);
const median = line(
  "is painted in the browser",
  since((id) => painted[id]),
);
console.log(`aim: a median under ${AIM_MS} ms in the browser: ${median < AIM_MS ? "holds" : "MISSED"}`);
process.exit(median < AIM_MS ? 0 : 1);
