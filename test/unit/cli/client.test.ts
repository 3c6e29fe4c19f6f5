import assert from "node:assert/strict";
import { test } from "node:test";
import { readEvents, type SseEvent } from "#apps/cli";
import { type Answer, midotrace, type Ran, type Stub, stub } from "./support.ts";

const R1 = "11111111-1111-4111-8111-111111111111";
const R2 = "22222222-2222-4222-8222-222222222222";
const R3 = "2a222222-2222-4222-8222-222222222222";
const B1 = "33333333-3333-4333-8333-333333333333";
const P1 = "44444444-4444-4444-8444-444444444444";
const P2 = "55555555-5555-4555-8555-555555555555";
const P3 = "66666666-6666-4666-8666-666666666666";
const T1 = "77777777-7777-4777-8777-777777777777";

const list = (...objects: object[]): Answer => ({ body: JSON.stringify(objects) });
const LIMIT = "9223372036854775807";
const REQUEST = `{"id":"${T1}","name":"t","deviceType":"ROUTER","deviceId":"${R1}","condition":{"nwProto":1,"dlType":2048},"limit":${LIMIT},"enabled":false}`;

const NETWORK: Record<string, Answer> = {
  "GET /trace_devices": list(
    { deviceType: "ROUTER", deviceId: R1, name: "red-router" },
    { deviceType: "ROUTER", deviceId: R2, name: "twin" },
    { deviceType: "ROUTER", deviceId: R3, name: "twin" },
    { deviceType: "BRIDGE", deviceId: B1, name: "red-web" },
    { deviceType: "PORT", deviceId: P1, name: "red-web/red-1" },
    { deviceType: "PORT", deviceId: P2, name: "red-router/uplink" },
    { deviceType: "PORT", deviceId: P3, name: "red-web/uplink" },
  ),
  "POST /traces": { status: 201, headers: { location: `/midonet-api/traces/${T1}` } },
  [`GET /traces/${T1}`]: { body: REQUEST },
  "GET /traces": { body: `[${REQUEST}]` },
  "GET /trace_summaries": list({ id: T1, flows: 12, lastFlowAtMs: Date.UTC(2026, 10, 30, 12), verdicts: {} }),
  [`PUT /traces/${T1}`]: { status: 204 },
  [`DELETE /traces/${T1}`]: { status: 204 },
};

async function withServer<T>(answers: Parameters<typeof stub>[0], work: (server: Stub) => Promise<T>): Promise<T> {
  const server = await stub(answers);
  try {
    return await work(server);
  } finally {
    await server.close();
  }
}

function against(server: Stub, ...argv: string[]): Promise<Ran> {
  return midotrace([...argv, "--api", server.url]);
}

test("a device by name, by id, and a port by device/port or its own name", async () => {
  await withServer(NETWORK, async (server) => {
    const device = async (...argv: string[]): Promise<unknown> => {
      const ran = await against(server, "trace", "create", ...argv);
      assert.equal(ran.code, 0, ran.err);
      const { body } = server.seen.findLast((s) => s.method === "POST") ?? {};
      return (JSON.parse(body ?? "{}") as { deviceId: unknown }).deviceId;
    };
    assert.equal(await device("--router", "red-router"), R1);
    assert.equal(await device("--router", R1.toUpperCase()), R1);
    assert.equal(await device("--bridge", "red-web"), B1);
    assert.equal(await device("--port", "red-web/red-1"), P1);
    assert.equal(await device("--port", "red-1"), P1);
    assert.equal(await device("--port", "red-web/uplink"), P3);
    assert.equal(await device("--port", P2), P2);
  });
});

test("an ambiguous name lists the candidates, an unknown one what there is", async () => {
  await withServer(NETWORK, async (server) => {
    const twin = await against(server, "trace", "create", "--router", "twin");
    assert.deepEqual([twin.code, twin.out], [1, ""]);
    assert.match(
      twin.err,
      new RegExp(`twin is the name of 2 routers, name one by its id: twin \\(${R2}\\), twin \\(${R3}\\)`),
    );
    const uplink = await against(server, "simulate", "--port", "uplink", "--packet", "icmp 1.1.1.1 > 2.2.2.2");
    assert.match(uplink.err, /uplink is the name of 2 ports.*red-router\/uplink.*red-web\/uplink/);
    const none = await against(server, "trace", "create", "--port", "red-web/red-9");
    assert.match(none.err, /^midotrace: there is no port red-web\/red-9, did you mean red-web\/red-1\?\n$/);
  });
});

test("the condition goes as a text, the limit to the last digit, the token in its header", async () => {
  await withServer(NETWORK, async (server) => {
    const limit = "9007199254740993";
    const match = "tcp and dst port 80";
    const argv = ["trace", "create", "--router", "red-router", "--match", match, "--limit", limit, "--enable"];
    const ran = await against(server, ...argv, "--token", "secret");
    assert.equal(ran.code, 0, ran.err);
    const post = server.seen.find((s) => s.method === "POST");
    assert.equal(post?.headers["x-auth-token"], "secret");
    assert.ok(post?.body.includes(`"limit":${limit},`), post?.body);
    assert.ok(post?.body.includes(`"condition":"${match}"`), post?.body);
    assert.ok(post?.body.includes('"enabled":true'), post?.body);
    assert.match(ran.out, /9223372036854775807 \(all\) +icmp\n$/);
  });
});

test("list, show, enable and delete; JSON keeps the limit exact, PUT sends back what was read", async () => {
  await withServer(NETWORK, async (server) => {
    const listed = await against(server, "trace", "list");
    assert.match(
      listed.out,
      /^ID +NAME +DEVICE +STATE +LIMIT +FLOWS +LAST +MATCH\n77777777-\S+ +t +router red-router +disabled +922\d+ \(all\) +12 +2026-11-30 \d\d:\d\d:\d\d +icmp\n$/,
    );
    const shown = await against(server, "trace", "show", "t", "--json");
    assert.ok(shown.out.includes(`"limit": ${LIMIT},`), shown.out);
    assert.equal((await against(server, "trace", "enable", "t")).code, 0);
    const put = server.seen.find((s) => s.method === "PUT");
    assert.ok(put?.body.includes(`"limit":${LIMIT},"enabled":true`), put?.body);
    assert.equal((await against(server, "trace", "delete", T1)).out, "deleted t\n");
  });
});

test("requests are listed when their flows cannot be counted, and none are said to be none", async () => {
  const away = { ...NETWORK, "GET /trace_summaries": { status: 503, body: '{"message":"the trace store is away"}' } };
  await withServer(away, async (server) => {
    const listed = await against(server, "trace", "list");
    assert.equal(listed.code, 0);
    assert.match(listed.err, /^how many flows: the trace store is away/);
    assert.match(listed.out, / \(all\) +\? +\? +icmp\n$/);
  });
  const unused = { ...NETWORK, "GET /trace_summaries": list({ id: T1, flows: 0, lastFlowAtMs: null, verdicts: {} }) };
  await withServer(unused, async (server) => {
    assert.match((await against(server, "trace", "list")).out, / \(all\) +0 +- +icmp\n$/);
  });
});

test("an error of the server is one line with its violations, and exit code 1", async () => {
  const answers = {
    ...NETWORK,
    "POST /traces": {
      status: 400,
      body: '{"message":"not valid","code":400,"violations":[{"property":"limit","message":"too small"}]}',
    },
    "GET /traces": { status: 503, body: "<html>\nbad gateway" },
  };
  await withServer(answers, async (server) => {
    const refused = await against(server, "trace", "create", "--router", "red-router");
    assert.deepEqual(refused, { code: 1, out: "", err: "midotrace: not valid: limit: too small\n" });
    const away = await against(server, "trace", "list");
    assert.deepEqual([away.code, away.out], [1, ""]);
    assert.match(
      away.err,
      /^midotrace: http:\S+ answered 503\. Try again in a while; http:\S+\/readyz says what .*\n$/,
    );
  });
});

test("events: any cut of the stream, line ends, comments, many data lines", async () => {
  const text = ': hello\nid: 7\nevent: flow\ndata: {"a":\ndata: "é"}\n\r\ndata: x\r\n\r\nid:8\n\nevent: gap\ndata:\n\n';
  const bytes = new TextEncoder().encode(text);
  for (const size of [1, 2, 3, 7, bytes.length]) {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < bytes.length; i += size) yield bytes.subarray(i, i + size);
    }
    const events: SseEvent[] = [];
    for await (const event of readEvents(chunks())) events.push(event);
    assert.deepEqual(events, [
      { id: "7", event: "flow", data: '{"a":\n"é"}' },
      { id: "7", event: "message", data: "x" },
      { id: "8", event: "gap", data: "" },
    ]);
  }
});
