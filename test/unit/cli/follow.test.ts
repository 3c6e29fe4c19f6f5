import assert from "node:assert/strict";
import { test } from "node:test";
import { commandIndex, run } from "#apps/cli";
import type { PublicFlowTrace } from "#core/tracing";
import { captured, type Seen, stub } from "./support.ts";

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
async function followed(connections: readonly string[], ...argv: string[]) {
  const asked: Seen[] = [];
  const server = await stub({
    [`GET /traces/${ID}`]: { body: JSON.stringify({ id: ID, name: "t" }) },
    [`GET /traces/${ID}/events`]: (seen) => {
      asked.push(seen);
      return { headers: { "content-type": "text/event-stream" }, body: connections[asked.length - 1] ?? "" };
    },
    [`GET /traces/${ID}/flows?limit=100`]: {
      body: JSON.stringify({ flows: [flow("f3"), flow("f2"), flow("f1")], more: false, next: null }),
    },
  });
  const io = captured();
  const code = await run(["trace", "follow", ID, ...argv, "--api", server.url], await commandIndex(), io);
  await server.close();
  const shown = io.written.out
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => (JSON.parse(line) as PublicFlowTrace).flowTraceId as string);
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
  assert.deepEqual([code, shown], [0, ["f1", "f2", "f3", "f4"]]);
  assert.deepEqual(lastIds, [undefined, "40", "42"]);
  assert.match(err, /gap: some events were missed/);
});

test("a deleted request ends it", async () => {
  const { code, shown, err } = await followed(
    [changed(1, flow("a")) + event(2, "end", { reason: "deleted" })],
    "--json",
  );
  assert.deepEqual([code, shown], [0, ["a"]]);
  assert.match(err, /was deleted/);
});
