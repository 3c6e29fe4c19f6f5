import assert from "node:assert/strict";
import { test } from "node:test";
import { type ApiClient, commandIndex, follow, run } from "#apps/cli";
import type { PublicFlowTrace } from "#core/tracing";
import { VirtualTime } from "../../support/virtual-time.ts";
import { type Answer, captured, type Seen, stub } from "./support.ts";

const ID = "77777777-7777-4777-8777-777777777777";

function flow(name: string, missing: PublicFlowTrace["completeness"]["missing"] = []): PublicFlowTrace {
  return {
    flowTraceId: name as PublicFlowTrace["flowTraceId"],
    traceRequestIds: [],
    startedAtMs: 0,
    key: null,
    verdict: "delivered",
    dropReason: null,
    why: `flow ${name}`,
    completeness: { state: missing.length === 0 ? "complete" : "partial", missing },
    segments: [],
  };
}

const AWAITED = [{ hostId: "h", hostName: "h", reason: "awaited" }] as const;
const LOST = [{ hostId: "h", hostName: "h", reason: "state-lost" }] as const;

function event(id: number, name: "flow" | "gap" | "end", data: unknown): string {
  return `event: ${name}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
}

const changed = (id: number, f: PublicFlowTrace): string => event(id, "flow", { change: "changed", flow: f });

/** Follows what the connections say, one after the other, until `count` flows were shown or the stream says it is over. */
async function followed(connections: readonly (string | Answer)[], ...argv: string[]) {
  const asked: Seen[] = [];
  const server = await stub({
    [`GET /traces/${ID}/flows?limit=1`]: { body: JSON.stringify({ flows: [flow("f0")], more: true, next: "" }) },
    [`GET /traces/${ID}`]: { body: JSON.stringify({ id: ID, name: "t" }) },
    [`GET /traces/${ID}/events`]: (seen) => {
      asked.push(seen);
      const next = connections[asked.length - 1] ?? assert.fail("one connection more than expected");
      if (typeof next !== "string") return next;
      return { headers: { "content-type": "text/event-stream" }, body: next };
    },
    [`GET /traces/${ID}/flows?limit=100`]: {
      body: JSON.stringify({ flows: [flow("f3"), flow("f2"), flow("f1"), flow("f0")], more: false, next: null }),
    },
  });
  const io = captured();
  const code = await run(["trace", "follow", ID, ...argv, "--api", server.url], await commandIndex(), io);
  await server.close();
  const shown = io.written.out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const said = JSON.parse(line) as { readonly flowTraceId?: string };
      return said.flowTraceId ?? line;
    });
  return { code, shown, err: io.written.err, lastIds: asked.map((s) => s.headers["last-event-id"]) };
}

test("each flow once, when nothing more of it is awaited", async () => {
  const stream = [
    changed(1, flow("a", AWAITED)),
    changed(2, flow("b", LOST)),
    changed(3, flow("a")),
    changed(4, flow("b")),
    changed(5, flow("c")),
  ];
  const { code, shown } = await followed([stream.join("")], "--json", "--count", "3");
  assert.deepEqual([code, shown], [0, ["b", "a", "c"]]);
});

test("a broken stream is taken up where it ended, also when the last id came without an event; a gap is told and filled", async () => {
  const connections = [
    "retry: 1\nid: 40\n\n",
    changed(41, flow("f1")) + changed(42, flow("f2", AWAITED)),
    event(90, "gap", { lastEventId: 90 }) + changed(91, flow("f4")),
  ];
  const { code, shown, err, lastIds } = await followed(connections, "--json", "--count", "4");
  assert.deepEqual([code, shown], [0, ["f1", "f2", "f3", '{"gap":{"shown":2,"whole":true}}', "f4"]]);
  assert.deepEqual(lastIds, [undefined, "40", "42"]);
  assert.equal(
    err,
    [
      "connection lost: the server ended the stream",
      "trying again in 1 ms",
      "connected again",
      "connection lost: the server ended the stream",
      "trying again in 1 ms",
      "connected again",
      "gap: some events were missed; what is kept of them follows",
      "end of the gap: 2 flows shown",
    ]
      .map((line) => `- - - ${line} - - -\n`)
      .join(""),
  );
});

test("a deleted request ends it", async () => {
  const { code, shown, err } = await followed(
    [changed(1, flow("a")) + event(2, "end", { reason: "deleted" })],
    "--json",
  );
  assert.deepEqual([code, shown], [0, ["a"]]);
  assert.match(err, /was deleted/);
});

test("nothing from before it began is shown to fill a gap", async () => {
  const connections = ["retry: 1\nid: 1\n\n", event(9, "gap", {}) + changed(10, flow("f4"))];
  const { shown } = await followed(connections, "--json", "--count", "4");
  assert.deepEqual(shown, ["f1", "f2", "f3", '{"gap":{"shown":3,"whole":true}}', "f4"]);
});

test("a server that is busy or away is asked again, ever more slowly; one that says no is not", async () => {
  const busy = (status: number): Answer => ({ status, body: '{"message":"busy"}', headers: { "retry-after": "7" } });
  const connections = ["retry: 1\nid: 1\n\n", busy(503), busy(429), changed(2, flow("a"))];
  const { code, shown, err } = await followed(connections, "--json", "--count", "1");
  assert.deepEqual([code, shown], [0, ["a"]]);
  const waits = [...err.matchAll(/trying again in (\d+) ms/g)].map((m) => Number(m[1]));
  assert.deepEqual(waits, [1, 2, 4]);
  assert.match(err, /connection lost: busy. Too much was asked at once: try again in 7 s/);

  const no = await followed(["retry: 1\nid: 1\n\n", { status: 403, body: '{"message":"not yours"}' }], "--json");
  assert.deepEqual([no.code, no.shown], [1, []]);
  assert.match(no.err, /midotrace: not yours\n$/);
  const gone = await followed([event(2, "end", { reason: "signed-out" })], "--json");
  assert.deepEqual([gone.code, gone.shown], [1, []]);
  assert.match(gone.err, /your token is not valid any more/);
});

test("a connection over which nothing is heard counts as lost", async () => {
  const time = new VirtualTime();
  const lastIds: (string | null)[] = [];
  const client = {
    object: async () => ({ flows: [], more: false }),
    events: async (_path: string, last: string | null) => {
      lastIds.push(last);
      const text = lastIds.length === 1 ? "id: 5\n\n" : changed(6, flow("a"));
      return new ReadableStream<Uint8Array>({ start: (c) => c.enqueue(new TextEncoder().encode(text)) });
    },
  } as unknown as ApiClient;
  const io = captured();
  const over = follow(client, { requestId: ID, json: true, count: 1, scheduler: time }, io);
  await time.advance(44_000);
  assert.deepEqual([lastIds, io.written.err], [[null], ""]);
  await time.advance(3_000);
  await over;
  assert.deepEqual(lastIds, [null, "5"]);
  assert.match(io.written.err, /connection lost: nothing was heard for 45 s - - -\n- - - trying again in 1 s - - -\n/);
  assert.match(io.written.out, /"flowTraceId":"a"/);
  assert.equal(time.pending, 0, "no timer is left behind");
});
