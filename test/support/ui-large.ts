/** Large answers in the page: a list of many flows, a path of many devices, and what the page does while one moves through them. */
import type { FlowTraceId, TraceRequestId } from "#core/base";
import type { Lab } from "#apps/lab";
import type { TraceSegment, StepBody } from "#core/tracing";
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
} from "./tracing-example.ts";
import { id, PING } from "./tracing-samples.ts";
import { launch, startUiLab, visit } from "./ui-kit.ts";

export const FLOWS = 10_000;
export const DEVICES = 60;
const ROW_PX = 38;

/** What the page did over some frames. */
export interface Work {
  readonly frames: number;
  /** Elements that came into the page, in the frame in which it were most. */
  readonly mostAdded: number;
  /** Layouts that were computed. */
  readonly layouts: number;
  /** Milliseconds of tasks of 50 ms and more, in which the page does not answer (W3C Long Tasks). They depend on the machine. */
  readonly longTasks: readonly number[];
}

/** Something that is done once a frame: a statement that knows `frame` and `total`. */
export interface Motion {
  readonly frames: number;
  readonly perFrame: string;
}

export const SCROLL: Motion = {
  frames: 120,
  perFrame: `document.querySelector(".flow-box").scrollTop = (frame * ${FLOWS * ROW_PX}) / total;`,
};
export const ZOOM: Motion = {
  frames: 40,
  perFrame: `document.querySelector("button[aria-label='" + (frame % 2 === 0 ? "Bigger" : "Smaller") + "']").click();`,
};
export const CHOOSE: Motion = {
  frames: DEVICES,
  perFrame: `document.querySelectorAll(".hop-node-device")[frame].click();`,
};
/** Nothing: what the machine itself does to a page. */
export const STILL: Motion = { frames: 120, perFrame: "" };

/** The page of a lab whose one trace request has many flows. */
export class LargeAnswers {
  readonly #lab: Lab;
  readonly #browser: Browser;
  readonly page: Page;
  readonly traceId: TraceRequestId;

  private constructor(lab: Lab, browser: Browser, page: Page, traceId: TraceRequestId) {
    this.#lab = lab;
    this.#browser = browser;
    this.page = page;
    this.traceId = traceId;
  }

  static async start(): Promise<LargeAnswers> {
    const lab = await startUiLab();
    const browser = await launch();
    const router = lab.records?.routers[0];
    const body = JSON.stringify({ name: "many", deviceType: "ROUTER", deviceId: router?.id });
    const headers = { "content-type": "application/json" };
    const made = await fetch(`${lab.url}/midonet-api/traces`, { method: "POST", headers, body });
    const traceId = made.headers.get("location")?.split("/").at(-1) as TraceRequestId;
    const { page } = await visit(browser);
    return new LargeAnswers(lab, browser, page, traceId);
  }

  async stop(): Promise<void> {
    await this.#browser.close();
    await this.#lab.stop();
  }

  get browserVersion(): string {
    return this.#browser.version();
  }

  #segment(n: number): TraceSegment {
    return (n % 5 === 0 ? droppedSegment : ingressSegment)({
      segmentId: `h1 1 ${n}`,
      flowTraceId: id(n) as FlowTraceId,
      requestIds: [this.traceId],
      startedAtMs: START_MS + n,
      key: { ...PING, srcPort: 1_024 + (n % 60_000) },
      ...(n % 5 === 0 ? {} : { expects: [expected(H2, "h2")] }),
    });
  }

  /** One flow more than there are. */
  async addFlow(n: number): Promise<void> {
    await this.#lab.traces.add([this.#segment(n)]);
  }

  /** Opens the list and lets the flows come by its stream, while it is looked at. */
  async openList(): Promise<void> {
    await this.page.goto(`${this.#lab.url}/traces/${this.traceId}`);
    await this.page.getByText("Off: nothing new comes").waitFor();
    for (let n = 1; n <= FLOWS; n += 500)
      await this.#lab.traces.add(Array.from({ length: 500 }, (_, i) => this.#segment(n + i)));
    await this.page.locator(`.flow-list[aria-rowcount="${FLOWS + 1}"]`).waitFor({ timeout: 120_000 });
  }

  /** Opens a flow that was dropped by the last of many devices. */
  async openPath(): Promise<void> {
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
    const long = { ...this.#segment(5), segmentId: "long", flowTraceId: flow, steps: steps(START_MS, ...bodies) };
    await this.#lab.traces.add([{ ...long, verdict: "dropped", dropReason: "loop-limit", expects: [] }]);
    await this.page.goto(`${this.#lab.url}/traces/${this.traceId}/flows/${flow}`);
    await this.page.locator(".hop-node.is-failed").waitFor();
  }

  /** Moves through what is open, and says what the page did meanwhile. */
  async work({ frames, perFrame }: Motion): Promise<Work> {
    const { page } = this;
    const session = await page.context().newCDPSession(page);
    await session.send("Performance.enable");
    const layouts = async (): Promise<number> =>
      (await session.send("Performance.getMetrics")).metrics.find((m) => m.name === "LayoutCount")?.value ?? Number.NaN;
    const before = await layouts();
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
    const done = await page.evaluate<Omit<Work, "layouts">>(script);
    const after = await layouts();
    await session.detach();
    return { ...done, layouts: after - before };
  }
}

/** @example "scrolling: 2 long tasks in 120 frames, the longest 61 ms; 131 layouts" */
export function describeWork(what: string, { longTasks, frames, layouts }: Work): string {
  const longest = longTasks.length === 0 ? "" : `, the longest ${Math.max(...longTasks)} ms`;
  return `${what}: ${longTasks.length} long tasks in ${frames} frames${longest}; ${layouts} layouts`;
}
