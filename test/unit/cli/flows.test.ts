import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { momentMs } from "#apps/cli";
import { midotrace, type Seen, stub } from "./support.ts";

const T1 = "77777777-7777-4777-8777-777777777777";
const T2 = "77770000-7777-4777-8777-777777777777";
const F = (n: number): string => `aaaa000${n}-7777-4777-8777-777777777777`;

function flow(n: number, extra: object = {}): object {
  return {
    flowTraceId: F(n),
    traceRequestIds: [T1],
    startedAtMs: 1_700_000_000_000 + n,
    key: null,
    verdict: "dropped",
    dropReason: "no-route",
    why: `flow ${n}`,
    completeness: { state: "complete", missing: [] },
    segments: [],
    cursor: `c${n}`,
    ...extra,
  };
}

const requests = [
  { id: T1, name: "web", deviceType: "ROUTER" },
  { id: T2, name: "db", deviceType: "ROUTER" },
];
const DEVICES = [
  { type: "router", id: "r", name: "red-router" },
  { withheld: true },
  { type: "port", id: "p", name: "red-web/red-1" },
];
const PATH = {
  pathId: "x",
  count: 3,
  firstSeenMs: 1_700_000_000_000,
  lastSeenMs: 1_700_000_060_000,
  verdict: "dropped",
  dropReason: "no-route",
  why: "Dropped at router red-router on host h1: no route.",
  hops: [{ hostId: "h", hostName: "h1", role: "ingress", devices: DEVICES }],
  sample: F(1),
};

/** Runs the command lines against one server. @returns what each printed, and what the server was asked. */
async function ran(...lines: string[][]) {
  const pages = (seen: Seen): { body: string } => {
    const query = new URL(seen.path, "http://x").searchParams;
    const second = query.get("before") === "c2";
    const all = second ? [flow(1)] : [flow(3, { pinned: true }), flow(2)];
    const limit = Number(query.get("limit"));
    return { body: JSON.stringify({ flows: all.slice(0, limit), more: !second, next: second ? null : "uri" }) };
  };
  const answers: Record<string, unknown> = {
    "GET /traces": { body: JSON.stringify(requests) },
    [`GET /traces/${T1}/flows/${F(3)}`]: { body: JSON.stringify(flow(3)) },
    [`PUT /traces/${T1}/flows/${F(3)}/pin`]: { status: 204 },
    [`DELETE /traces/${T1}/flows/${F(2)}/pin`]: { status: 204 },
    [`GET /traces/${T1}/paths?limit=20`]: { body: JSON.stringify({ paths: [PATH], more: true }) },
  };
  const server = await stub(
    new Proxy(answers, {
      get: (all, name: string) => all[name] ?? (name.startsWith(`GET /traces/${T1}/flows?`) ? pages : undefined),
    }) as never,
  );
  const results: Awaited<ReturnType<typeof midotrace>>[] = [];
  for (const line of lines) results.push(await midotrace([...line, "--api", server.url]));
  await server.close();
  return { results, asked: server.seen.map((s) => `${s.method} ${s.path}`).filter((s) => s !== "GET /traces") };
}

describe("trace flows", () => {
  it("asks in the words of the API", async () => {
    const line =
      "trace flows web --verdict dropped --drop-reason no-route --completeness partial --host h1 --device r1";
    const more = [
      "--address",
      "10.0.0.1",
      "--l4-port",
      "443",
      "--since",
      "1700000000000",
      "--until",
      "2026-01-31T14:05Z",
    ];
    const { asked } = await ran([...line.split(" "), ...more, "--limit", "7", "--before", "c9"]);
    const query = new URL(asked[0]?.slice(4) ?? "", "http://x").searchParams;
    assert.deepEqual(Object.fromEntries(query), {
      verdict: "dropped",
      dropReason: "no-route",
      completeness: "partial",
      host: "h1",
      device: "r1",
      address: "10.0.0.1",
      l4Port: "443",
      since: "1700000000000",
      until: String(Date.UTC(2026, 0, 31, 14, 5)),
      limit: "7",
      before: "c9",
    });
  });

  it("lists a page with its marks, and says where the older ones are", async () => {
    const { results } = await ran(["trace", "flows", "web"]);
    const [listed] = results;
    assert.match(
      listed?.out ?? "",
      /^TIME +VERDICT +ANSWER +REASON +FLOW +FLOW TRACE\n\S+ +✗ dropped +complete +no-route +★ withheld +aaaa0003-/,
    );
    assert.equal(listed?.err, "there are older ones: --before c2, or --all\n");
  });

  it("reads all pages with --all: a table, or a line of JSON for each", async () => {
    const { results } = await ran(["trace", "flows", "web", "--all"], ["trace", "flows", "web", "--all", "--json"]);
    assert.deepEqual(
      results.map((r) => [r.code, r.err]),
      [
        [0, ""],
        [0, ""],
      ],
    );
    assert.equal(results[0]?.out.split("\n").filter((l) => l.startsWith("TIME")).length, 1);
    const ids = (results[1]?.out.trimEnd().split("\n") ?? []).map(
      (l) => (JSON.parse(l) as { flowTraceId: string }).flowTraceId,
    );
    assert.deepEqual(ids, [F(3), F(2), F(1)]);
  });

  it("refuses words that the API does not have, with the one that was meant", async () => {
    const { results, asked } = await ran(
      ["trace", "flows", "web", "--verdict", "droped"],
      ["trace", "flows", "web", "--since", "yesterday"],
      ["trace", "flows", "web", "--drop-reason", "zzzzz"],
    );
    assert.deepEqual(
      results.map((r) => r.code),
      [2, 2, 2],
    );
    assert.match(results[0]?.err ?? "", /--verdict cannot be "droped"; did you mean dropped\?/);
    assert.match(results[1]?.err ?? "", /--since is a time such as 10m/);
    assert.match(results[2]?.err ?? "", /it is one of unbound-interface, /);
    assert.deepEqual(asked, []);
  });
});

describe("one flow trace", () => {
  it("by the beginning of its id, or the newest; a request by the beginning of its id", async () => {
    const { results } = await ran(
      ["trace", "flow", "web", "aaaa0003"],
      ["trace", "flow", "77777777", "latest", "--json"],
      ["trace", "flow", "web", "aaaa"],
      ["trace", "flow", "7777", "latest"],
      ["trace", "flow", "web", "beef"],
      ["trace", "flow", "wbe", "latest"],
    );
    assert.match(results[0]?.out ?? "", /^✗ DROPPED {2}flow 3\n/);
    assert.equal((JSON.parse(results[1]?.out ?? "") as { flowTraceId: string }).flowTraceId, F(3));
    assert.match(results[2]?.err ?? "", /2 flow traces begin with aaaa: aaaa0003-.*, aaaa0002-/);
    assert.match(results[3]?.err ?? "", /the ids of 2 trace requests begin with 7777: web \(.*\), db \(/);
    assert.match(results[4]?.err ?? "", /no flow trace begins with beef among the newest/);
    assert.match(results[5]?.err ?? "", /there is no trace request wbe, did you mean web\?/);
    assert.deepEqual(
      results.map((r) => r.code),
      [0, 0, 1, 1, 1, 1],
    );
  });

  it("is pinned and let go", async () => {
    const { results, asked } = await ran(["trace", "pin", "web", "latest"], ["trace", "unpin", "web", F(2), "--json"]);
    assert.equal(results[0]?.out, `pinned ${F(3)}\n`);
    assert.deepEqual(JSON.parse(results[1]?.out ?? ""), { flowTraceId: F(2), pinned: false });
    assert.deepEqual(asked.slice(1), [`PUT /traces/${T1}/flows/${F(3)}/pin`, `DELETE /traces/${T1}/flows/${F(2)}/pin`]);
  });
});

describe("trace paths", () => {
  it("shows counts, times, the devices by host with what is withheld, and a sample to open", async () => {
    const { results } = await ran(["trace", "paths", "web"], ["trace", "paths", "web", "--json"]);
    const [text, json] = results;
    const lines = text?.out.split("\n") ?? [];
    assert.match(lines[0] ?? "", /^✗ dropped {2}3 flows, first seen 2023-11-1\d \S+, last seen 2023-11-1\d \S+$/);
    assert.deepEqual(lines.slice(1), [
      "  Dropped at router red-router on host h1: no route.",
      "  host h1  router red-router → ▒▒ withheld → port red-web/red-1",
      `  one of them: midotrace trace flow web ${F(1)}`,
      "",
    ]);
    assert.equal(text?.err, "there are more paths: --limit shows them\n");
    assert.deepEqual(JSON.parse(json?.out ?? ""), [PATH]);
  });
});

describe("a moment", () => {
  const now = Date.UTC(2026, 10, 30, 3, 0, 0);
  it("is said in many ways", () => {
    assert.equal(momentMs("--since", "90s", now), now - 90_000);
    assert.equal(momentMs("--since", "10m", now), now - 600_000);
    assert.equal(momentMs("--since", "2h", now), now - 7_200_000);
    assert.equal(momentMs("--since", "7d", now), now - 604_800_000);
    assert.equal(momentMs("--since", "2026-11-30T02:00:00Z", now), now - 3_600_000);
    assert.equal(new Date(momentMs("--since", "14:05", now)).getMinutes(), 5);
    assert.equal(momentMs("--since", "1700000000000", now), 1_700_000_000_000);
    for (const wrong of ["", "10", "10 m", "-10m", "25:00", "tomorrow", "2026-13-40"])
      assert.throws(() => momentMs("--since", wrong, now), { code: "USAGE" }, wrong);
  });
});
