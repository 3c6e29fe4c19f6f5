import assert from "node:assert/strict";
import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { after, before, describe, it } from "node:test";
import {
  flowPageAnswer,
  flowTraceAnswer,
  keptFlowAnswer,
  pathPageAnswer,
  traceSummariesAnswer,
} from "#core/api-contract";
import { HEARTBEAT_MS } from "#apps/api";
import type { TraceRequestId } from "#core/base";
import { droppedSegment, ingressSegment, START_MS } from "../support/tracing-example.ts";
import { flowId, id } from "../support/tracing-samples.ts";
import { applySmallNetwork, at, type Rig, startRig } from "./api-support.ts";

interface Event {
  readonly event: string;
  readonly id: string | null;
  readonly data: unknown;
}

/** An open stream; `next` waits for the next event (a comment counts as one, called "comment"). */
class Stream {
  readonly response: IncomingMessage;
  private readonly req: ClientRequest;
  private readonly ready: Event[] = [];
  private readonly waiters: ((event: Event) => void)[] = [];
  private rest = "";
  readonly ended: Promise<void>;

  private constructor(req: ClientRequest, response: IncomingMessage) {
    this.req = req;
    this.response = response;
    response.setEncoding("utf8");
    response.on("data", (text: string) => this.take(text));
    this.ended = new Promise((resolve) => response.once("close", () => resolve()));
  }

  static open(url: string, lastEventId?: string): Promise<Stream> {
    return new Promise((resolve, reject) => {
      const headers = lastEventId === undefined ? {} : { "last-event-id": lastEventId };
      const req = request(url, { headers: { accept: "text/event-stream", ...headers }, agent: false });
      req.on("response", (res) => resolve(new Stream(req, res)));
      req.on("error", reject);
      req.end();
    });
  }

  next(): Promise<Event> {
    const event = this.ready.shift();
    return event !== undefined ? Promise.resolve(event) : new Promise((resolve) => this.waiters.push(resolve));
  }

  close(): void {
    this.req.destroy();
  }

  private take(text: string): void {
    const parts = (this.rest + text).split("\n\n");
    this.rest = parts.pop() ?? "";
    for (const part of parts) {
      const field = (name: string): string | null => new RegExp(`^${name}: (.*)$`, "m").exec(part)?.[1] ?? null;
      const event = {
        event: field("event") ?? (part.startsWith(":") ? "comment" : "start"),
        id: field("id"),
        data: JSON.parse(field("data") ?? "null") as unknown,
      };
      const waiter = this.waiters.shift();
      if (waiter === undefined) this.ready.push(event);
      else waiter(event);
    }
  }
}

describe("flow results", { timeout: 20_000 }, () => {
  let rig: Rig;
  let traceId: TraceRequestId;
  let flows: string;
  let ids: ReadonlyMap<string, string>;

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
    traceId = await newTrace();
    flows = `/traces/${traceId}/flows`;
    for (let n = 1; n <= 7; n++) add(n, traceId);
  });
  after(() => rig.stop());

  const newTrace = async (): Promise<TraceRequestId> =>
    (await rig.make("/traces", { name: "t", deviceType: "ROUTER", deviceId: ids.get("r1") })) as TraceRequestId;
  const add = (n: number, request: TraceRequestId): void => {
    const about = { segmentId: `s${n}`, flowTraceId: flowId(n), requestIds: [request], startedAtMs: START_MS + n };
    void rig.traceStore.add([n % 2 === 0 ? droppedSegment(about) : ingressSegment(about)]);
  };
  const idsOf = (page: unknown): unknown[] => (at(page, "flows") as unknown[]).map((f) => at(f, "flowTraceId"));
  const numbered = (...numbers: number[]): string[] => numbers.map((n) => flowId(n));

  it("gives pages, newest first, that stay the same while flows come in", async () => {
    const first = (await rig.ask("GET", `${flows}?limit=3`)).json;
    flowPageAnswer.parse(first);
    assert.deepEqual(idsOf(first), numbered(7, 6, 5));
    assert.equal(at(first, "more"), true);
    add(8, traceId);
    const second = (await rig.ask("GET", String(at(first, "next")))).json;
    assert.deepEqual(idsOf(second), numbered(4, 3, 2));
    const third = (await rig.ask("GET", String(at(second, "next")))).json;
    assert.deepEqual([idsOf(third), at(third, "more"), at(third, "next")], [numbered(1), false, null]);
    const newer = (await rig.ask("GET", `${flows}?after=${String(at(first, "flows.0.cursor"))}`)).json;
    assert.deepEqual(idsOf(newer), numbered(8));
  });

  it("filters by verdict and host, and keeps the filters in `next`", async () => {
    const dropped = (await rig.ask("GET", `${flows}?verdict=dropped&host=h1&limit=2`)).json;
    assert.deepEqual(idsOf(dropped), numbered(8, 6));
    assert.match(String(at(dropped, "next")), /limit=2&verdict=dropped&host=h1&before=\d+$/);
    assert.deepEqual(idsOf((await rig.ask("GET", String(at(dropped, "next")))).json), numbered(4, 2));
    assert.deepEqual(idsOf((await rig.ask("GET", `${flows}?host=nobody`)).json), []);
    for (const query of ["limit=0", "limit=x", "before=%00", "verdict=lost"])
      assert.equal((await rig.ask("GET", `${flows}?${query}`)).status, 400, query);
  });

  it("filters by what a flow met and when it began, and says which parameter is wrong", async () => {
    const some = async (query: string): Promise<unknown[]> => idsOf((await rig.ask("GET", `${flows}?${query}`)).json);
    assert.deepEqual(await some("device=provider-router&limit=2"), numbered(7, 5));
    assert.deepEqual(await some("dropReason=filter-drop&completeness=complete&limit=2"), numbered(8, 6));
    assert.deepEqual(await some("address=10.0.1.10&l4Port=53&limit=1"), numbered(8));
    assert.deepEqual(await some("l4Port=54"), []);
    assert.deepEqual(await some(`since=${START_MS + 3}&until=${START_MS + 5}`), numbered(4, 3));
    assert.deepEqual(await some(`until=${new Date(START_MS + 2).toISOString()}`), numbered(1));
    for (const name of [
      "address=here",
      "since=yesterday",
      "until=1.5",
      "completeness=half",
      "dropReason=none",
      "l4Port=x",
    ]) {
      const answer = await rig.ask("GET", `${flows}?${name}`);
      assert.equal(answer.status, 400, name);
      assert.ok(answer.text.includes(name.split("=")[0] ?? ""), answer.text);
    }
  });

  it("groups flows into paths and sums requests up", async () => {
    const answer = await rig.ask("GET", `/traces/${traceId}/paths?limit=5`);
    pathPageAnswer.parse(answer.json);
    const counts = (at(answer.json, "paths") as unknown[]).map((p) => [
      at(p, "count"),
      at(p, "verdict"),
      at(p, "sample"),
    ]);
    assert.deepEqual(counts, [
      [4, "dropped", flowId(8)],
      [4, "unknown", flowId(7)],
    ]);
    const one = (await rig.ask("GET", `/traces/${traceId}/paths?verdict=dropped`)).json;
    assert.equal((at(one, "paths") as unknown[]).length, 1);
    assert.equal((await rig.ask("GET", `/traces/${id(77)}/paths`)).status, 404);
    const summaries = (await rig.ask("GET", "/trace_summaries")).json as unknown[];
    traceSummariesAnswer.parse(summaries);
    const mine = summaries.find((s) => at(s, "id") === traceId);
    assert.deepEqual([at(mine, "flows"), at(mine, "verdicts")], [8, { unknown: 4, dropped: 4 }]);
  });

  it("pins flows, and tells an expired one from one that never was", async () => {
    const pin = `${flows}/${flowId(2)}/pin`;
    assert.equal((await rig.ask("PUT", pin)).status, 204);
    assert.equal(at((await rig.ask("GET", `${flows}/${flowId(2)}`)).json, "pinned"), true);
    assert.equal((await rig.ask("DELETE", pin)).status, 204);
    const flow = await rig.ask("GET", `${flows}/${flowId(2)}`);
    keptFlowAnswer.parse(flow.json);
    assert.deepEqual([at(flow.json, "pinned"), at(flow.json, "counterparts")], [false, []]);
    assert.equal((await rig.ask("PUT", `${flows}/${flowId(99)}/pin`)).status, 404);
  });

  it("shows one flow with every step and without the owners", async () => {
    const answer = await rig.ask("GET", `${flows}/${flowId(2)}`);
    assert.equal(answer.status, 200);
    flowTraceAnswer.parse(answer.json);
    assert.equal(at(answer.json, "verdict"), "dropped");
    assert.ok(!answer.text.includes('"owner"'));
    assert.equal((await rig.ask("GET", `${flows}/${flowId(99)}`)).status, 404);
    const other = await newTrace();
    assert.equal((await rig.ask("GET", `/traces/${other}/flows/${flowId(2)}`)).status, 404, "another request's flow");
    assert.equal((await rig.ask("GET", `/traces/${id(77)}/flows`)).status, 404);
  });

  it("streams what comes, with increasing ids, and resumes after the last one seen", async () => {
    const trace = await newTrace();
    const url = `${rig.base}/traces/${trace}/events`;
    const stream = await Stream.open(url);
    assert.equal(stream.response.headers["content-type"], "text/event-stream");
    assert.equal(stream.response.headers["access-control-allow-origin"], "*");
    const start = await stream.next();
    assert.equal(start.event, "start");
    add(101, trace);
    add(102, trace);
    add(9, traceId);
    const [one, two] = [await stream.next(), await stream.next()];
    assert.deepEqual(
      [one.event, at(one.data, "change"), at(one.data, "flow.flowTraceId")],
      ["flow", "new", flowId(101)],
    );
    assert.equal(at(two.data, "flow.flowTraceId"), flowId(102));
    assert.ok(Number(start.id) < Number(one.id) && Number(one.id) < Number(two.id));
    stream.close();

    add(103, trace);
    const resumed = await Stream.open(url, String(one.id));
    assert.equal((await resumed.next()).id, one.id);
    assert.deepEqual(
      [at((await resumed.next()).data, "flow.flowTraceId"), at((await resumed.next()).data, "flow.flowTraceId")],
      [flowId(102), flowId(103)],
    );
    resumed.close();

    const fromStart = await Stream.open(url, String(start.id));
    await fromStart.next();
    assert.equal(at((await fromStart.next()).data, "flow.flowTraceId"), flowId(101), "nothing between start and first");
    fromStart.close();
  });

  it("says when history is gone, and goes on", async () => {
    const trace = await newTrace();
    const stream = await Stream.open(`${rig.base}/traces/${trace}/events`, "1");
    await stream.next();
    const gap = await stream.next();
    assert.equal(gap.event, "gap");
    assert.equal(at(gap.data, "lastEventId"), Number(gap.id));
    add(110, trace);
    const event = await stream.next();
    assert.equal(at(event.data, "flow.flowTraceId"), flowId(110));
    assert.ok(Number(event.id) > Number(gap.id));
    stream.close();
    const answer = await rig.ask("GET", `/traces/${trace}/events`, { headers: { "last-event-id": "x" } });
    assert.equal(answer.status, 400);
  });

  it("sends a comment every 15 s of silence", async () => {
    const stream = await Stream.open(`${rig.base}/traces/${await newTrace()}/events`);
    await stream.next();
    await rig.time.advance(HEARTBEAT_MS);
    assert.equal((await stream.next()).event, "comment");
    await rig.time.advance(HEARTBEAT_MS);
    assert.equal((await stream.next()).event, "comment");
    stream.close();
  });

  it("tells when an awaited part is overdue", async () => {
    const trace = await newTrace();
    const late = ingressSegment({ segmentId: "late", flowTraceId: flowId(130), requestIds: [trace] });
    void rig.traceStore.add([{ ...late, startedAtMs: rig.time.nowMs() }]);
    const stream = await Stream.open(`${rig.base}/traces/${trace}/events`);
    await stream.next();
    await rig.time.advance(6_000);
    const event = await stream.next();
    assert.deepEqual([at(event.data, "change"), at(event.data, "flow.completeness.state")], ["changed", "partial"]);
    stream.close();
  });

  it("ends the stream, and forgets the flows, when the request is deleted with its device", async () => {
    const bridge = await rig.make("/bridges", { name: "short-lived" });
    const trace = (await rig.make("/traces", {
      name: "t",
      deviceType: "BRIDGE",
      deviceId: bridge,
    })) as TraceRequestId;
    add(120, trace);
    const stream = await Stream.open(`${rig.base}/traces/${trace}/events`);
    await stream.next();
    assert.equal((await rig.ask("DELETE", `/bridges/${bridge}`)).status, 204);
    const end = await stream.next();
    assert.deepEqual([end.event, at(end.data, "reason")], ["end", "deleted"]);
    await stream.ended;
    assert.equal(await rig.traceStore.flow(flowId(120)), null);
  });

  it("ends the streams with a reason when the server stops", async () => {
    const other = await startRig();
    const network = await applySmallNetwork(other);
    const trace = await other.make("/traces", { name: "t", deviceType: "ROUTER", deviceId: network.get("r1") });
    const stream = await Stream.open(`${other.base}/traces/${trace}/events`);
    await stream.next();
    const [end] = await Promise.all([stream.next(), other.stop()]);
    assert.deepEqual([end.event, at(end.data, "reason")], ["end", "shutdown"]);
    await stream.ended;
  });
});
