import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { MemoryTraceStore } from "#adapters/trace-store-memory";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { ApiServer } from "#apps/api";
import type { TraceRequestId } from "#core/base";
import { Nsdb, type NsdbStore } from "#core/nsdb";
import { parseTopologyDocument } from "#core/topology";
import type { Browser } from "playwright-core";
import { SMALL_NETWORK } from "../integration/api-support.ts";
import { droppedSegment, ingressSegment } from "../support/tracing-example.ts";
import { flowId, id } from "../support/tracing-samples.ts";
import { builtUi, launch, noBrowser, type Visit, visit } from "../support/ui-kit.ts";

/** What is not there, not yet there, no longer there, or cut off: each has a state that says so. */
describe("states of the views", { skip: noBrowser, timeout: 180_000 }, () => {
  let store: NsdbStore;
  let traces: MemoryTraceStore;
  let server: ApiServer;
  let browser: Browser;
  let here: Visit;
  let url: string;
  let traceId: TraceRequestId;

  const newServer = (port: number): ApiServer =>
    new ApiServer({
      store,
      traceStore: traces,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: { info: () => undefined, error: () => undefined },
      host: "127.0.0.1",
      port,
      site: builtUi(),
    });

  before(async () => {
    store = openEmbeddedStore("memory:");
    await store.start();
    traces = new MemoryTraceStore({ clock: systemClock });
    server = newServer(0);
    await server.start();
    ({ url } = server);
    const nsdb = new Nsdb(store, systemRandom, systemClock);
    await nsdb.apply(parseTopologyDocument(SMALL_NETWORK));
    const router = (await nsdb.routers.list())[0];
    const body = JSON.stringify({ name: "t", deviceType: "ROUTER", deviceId: router?.id, enabled: true });
    const headers = { "content-type": "application/json" };
    const made = await fetch(`${url}/midonet-api/traces`, { method: "POST", headers, body });
    traceId = made.headers.get("location")?.split("/").at(-1) as TraceRequestId;
    browser = await launch();
    here = await visit(browser);
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
    await store?.stop();
  });

  const add = (n: number, startedAtMs = Date.now()): Promise<unknown> =>
    traces.add([
      (n % 2 === 0 ? droppedSegment : ingressSegment)({
        segmentId: `s${n}`,
        flowTraceId: flowId(n),
        requestIds: [traceId],
        startedAtMs,
      }),
    ]);
  const row = (n: number) => here.page.locator(`a[href$="${flowId(n)}"]`);

  it("partial: who is missing, and why, before the drawing", async () => {
    // The host that the packet was sent to never reports.
    await add(1, Date.now() - 60_000);
    await traces.settle();
    await here.page.goto(`${url}/traces/${traceId}/flows/${flowId(1)}`);
    const notice = here.page.getByRole("status").filter({ hasText: "Part of the answer is missing" });
    await notice.waitFor();
    assert.match(await notice.innerText(), /h2: the packet was sent to the host, and the host never reported/);
  });

  it("expired: a flow that is no longer kept says so, and what would have kept it", async () => {
    await here.page.goto(`${url}/traces/${traceId}/flows/${id(99)}`);
    await here.page.getByRole("heading", { name: "There is no flow" }).waitFor();
    await here.page.getByText("kept by pinning it").waitFor();
  });

  it("an address that leads nowhere", async () => {
    await here.page.goto(`${url}/traces/nonsense`);
    await here.page.getByRole("heading", { name: "There is no such page" }).waitFor();
  });

  it("disconnected: says so, keeps what was known, and goes on where it stopped when the server is back", async () => {
    const { page } = here;
    await page.goto(`${url}/traces/${traceId}`);
    await page.getByText("Live", { exact: true }).waitFor();
    await add(2);
    await row(2).waitFor();
    const { port } = new URL(url);
    await server.stop();
    await page.getByText("Disconnected", { exact: true }).waitFor();
    assert.equal(await row(2).count(), 1);
    await add(3);
    server = newServer(Number(port));
    await server.start();
    await row(3).waitFor();
    await page.getByText("Live", { exact: true }).waitFor();
    assert.equal(await page.getByText("Some events were missed").count(), 0, "nothing was missed");
  });

  it("a gap: when history is gone, the list is read anew and says so", async () => {
    const { page } = here;
    const { port } = new URL(url);
    await server.stop();
    await page.getByText("Disconnected", { exact: true }).waitFor();
    // Another store: whatever ids it gives, it knows nothing of the last one seen.
    traces = new MemoryTraceStore({ clock: systemClock });
    await add(4);
    server = newServer(Number(port));
    await server.start();
    await page.getByText("Some events were missed").waitFor();
    await row(4).waitFor();
  });

  it("deleted meanwhile: the stream ends, what was read stays", async () => {
    const { page } = here;
    await page.goto(`${url}/traces/${traceId}`);
    await row(4).waitFor();
    await fetch(`${url}/midonet-api/traces/${traceId}`, { method: "DELETE" });
    await page.getByText("Ended", { exact: true }).waitFor();
    assert.equal(await row(4).count(), 1);
  });

  it("met no error of its own", () => assert.deepEqual(here.problems, []));
});
