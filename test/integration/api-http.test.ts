import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { allRoutes, openApiDocument } from "#core/api-contract";
import { applySmallNetwork, at, listMedia, media, type Rig, send, startRig } from "./api-support.ts";

const ERROR = media("Error-v1");
const UNKNOWN = "11111111-2222-4333-8444-555555555555";

describe("HTTP behaviour (midonet-rest 1, 2, 4)", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("serves the root document without and with the slash, with absolute URIs and literal braces", async () => {
    for (const path of ["", "/"]) {
      const answer = await rig.ask("GET", path, {
        headers: { accept: media("Application-v5"), "user-agent": "Python-httplib2/0.20" },
        body: "{}",
      });
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["content-type"], media("Application-v5"));
      assert.equal(at(answer.json, "uri"), rig.base);
      assert.equal(at(answer.json, "version"), "v5.0");
      assert.equal(at(answer.json, "traceRequests"), `${rig.base}/traces`);
      assert.equal(at(answer.json, "traceRequestTemplate"), `${rig.base}/traces/{id}`);
      assert.equal(at(answer.json, "l2InsertionTemplate"), `${rig.base}/l2insertions/{id}`);
      for (const value of Object.values(answer.json as Record<string, unknown>)) assert.equal(typeof value, "string");
    }
  });

  it("answers system_state with the key `information`, and write_version", async () => {
    const state = await rig.ask("GET", "/system_state", { headers: { accept: media("SystemState-v2") }, body: "{}" });
    assert.equal(state.status, 200);
    assert.equal(at(state.json, "information"), null);
    assert.equal(at(state.json, "availability"), "READWRITE");
    assert.equal(at((await rig.ask("GET", "/write_version")).json, "uri"), `${rig.base}/write_version`);
  });

  it("builds URIs from the Host that was asked, and from a proxy's", async () => {
    const host = await rig.ask("GET", "", { headers: { host: "midonet.example:8181" } });
    assert.equal(at(host.json, "uri"), "http://midonet.example:8181/midonet-api");
    const proxy = { "x-forwarded-proto": "https", "x-forwarded-host": "api.example, inner" };
    assert.equal(at((await rig.ask("GET", "", { headers: proxy })).json, "uri"), "https://api.example/midonet-api");
    const odd = await rig.ask("GET", "", { headers: { "x-forwarded-host": "a/b?c" } });
    assert.equal(at(odd.json, "uri"), rig.base);
  });

  it("answers with the media type that was asked for; */* and nothing mean JSON", async () => {
    const types: [string | null, string][] = [
      [null, "application/json"],
      ["*/*", "application/json"],
      ["application/*", "application/json"],
      ["application/json", "application/json"],
      ["text/html, application/json;q=0.9", "application/json"],
      [listMedia("Bridge-v1"), listMedia("Bridge-v1")],
      [listMedia("Bridge-v4"), listMedia("Bridge-v4")],
      [`application/json;q=0.1, ${listMedia("Bridge-v5")}`, listMedia("Bridge-v5")],
    ];
    for (const [accept, expected] of types) {
      const answer = await rig.ask("GET", "/bridges", { headers: accept === null ? {} : { accept } });
      assert.deepEqual([answer.status, answer.headers["content-type"]], [200, expected]);
    }
    const tenants = await rig.ask("GET", "/tenants");
    assert.equal(tenants.headers["content-type"], listMedia("Tenant-v2"));
  });

  it("refuses other media types: 406 for Accept of GET, 415 for Content-Type, and never minds Accept of POST", async () => {
    const get = await rig.ask("GET", "/bridges", { headers: { accept: media("Router-v3") } });
    assert.deepEqual([get.status, at(get.json, "error"), get.headers["content-type"]], [406, "NOT_ACCEPTABLE", ERROR]);
    const headers = { "content-type": media("Router-v3") };
    const post = await rig.ask("POST", "/bridges", { headers, body: "{}" });
    assert.deepEqual([post.status, at(post.json, "error")], [415, "UNSUPPORTED_MEDIA_TYPE"]);
    const odd = await rig.ask("POST", "/bridges", { headers: { accept: "text/html" }, body: { name: "any accept" } });
    assert.equal(odd.status, 201);
    for (const type of [media("Bridge-v1"), "application/json; charset=utf-8", media("Bridge-v5")]) {
      const answer = await rig.ask("POST", "/bridges", { headers: { "content-type": type }, body: { name: "b" } });
      assert.equal(answer.status, 201, answer.text);
    }
  });

  it("has one form of error: 400 for what is not JSON, not an object or not UTF-8", async () => {
    for (const body of ["", "{", "{'a': 1}", '{"a": 1,}']) {
      const answer = await rig.ask("POST", "/bridges", { body });
      assert.deepEqual([answer.status, at(answer.json, "error")], [400, "MALFORMED_JSON"], body);
      assert.equal(answer.headers["content-type"], ERROR);
    }
    for (const body of ["[]", "null", "7", '"x"']) {
      const answer = await rig.ask("POST", "/bridges", { body });
      assert.deepEqual([answer.status, at(answer.json, "error")], [400, "VALIDATION"], body);
    }
    const both = await rig.ask("POST", "/bridges", { body: { name: 5, adminStateUp: "perhaps" } });
    assert.deepEqual(
      (at(both.json, "violations") as { property: string }[]).map((v) => v.property),
      ["name", "adminStateUp"],
    );
  });

  it("answers 404 for paths, ids of another kind and malformed ids, 405 with Allow for methods", async () => {
    const missing = [
      "/mirrors",
      "/bridges/1",
      "/bridges/%00",
      "/bridges/%zz",
      `/bridges/${ids.get("r1")}`,
      `/routers/${ids.get("red-a")}`,
      `/ports/${ids.get("red-a")}`,
      `/chains/${UNKNOWN}`,
      `/rules/${UNKNOWN}`,
      `/routes/${UNKNOWN}`,
      `/hosts/${UNKNOWN}`,
      `/hosts/${UNKNOWN}/interfaces`,
      `/hosts/${UNKNOWN}/ports`,
      `/tunnel_zones/${UNKNOWN}/hosts`,
      `/port_groups/${UNKNOWN}`,
      `/ip_addr_groups/${UNKNOWN}/ip_addrs`,
      `/chains/${UNKNOWN}/rules`,
      `/routers/${ids.get("red-a")}/routes`,
      `/bridges/${UNKNOWN}/ports`,
      `/bridges/${"x".repeat(2000)}`,
    ];
    for (const path of missing) {
      const answer = await rig.ask("GET", path, { body: "{}" });
      assert.deepEqual([answer.status, answer.headers["content-type"]], [404, ERROR], `${path} ${answer.text}`);
    }
    for (const [method, path, allow] of [
      ["PUT", "/chains/x", "GET, DELETE, HEAD, OPTIONS"],
      ["DELETE", "/bridges", "GET, POST, HEAD, OPTIONS"],
      ["POST", "/rules/x", "GET, DELETE, HEAD, OPTIONS"],
      ["PATCH", "/traces/x", "GET, PUT, DELETE, HEAD, OPTIONS"],
      ["POST", "/", "GET, HEAD, OPTIONS"],
      ["GET", "/simulations", "POST, OPTIONS"],
    ] as const) {
      const answer = await rig.ask(method, path, { body: "{}" });
      assert.deepEqual([answer.status, answer.headers.allow], [405, allow], `${method} ${path}`);
      assert.equal(at(answer.json, "error"), "METHOD_NOT_ALLOWED");
    }
  });

  it("answers OPTIONS anywhere, and allows any origin everywhere", async () => {
    for (const path of ["", "/traces", "/nowhere"]) {
      const answer = await rig.ask("OPTIONS", path);
      assert.equal(answer.status, 200);
      assert.equal(answer.headers["access-control-allow-origin"], "*");
      assert.equal(answer.headers["access-control-allow-methods"], "GET, POST, PUT, DELETE, OPTIONS");
      assert.match(String(answer.headers["access-control-allow-headers"]), /X-Auth-Token, X-Auth-Project/);
    }
    for (const path of ["/traces", "/nowhere"]) {
      const answer = await rig.ask("GET", path);
      assert.equal(answer.headers["access-control-allow-origin"], "*");
      assert.equal(answer.headers["access-control-expose-headers"], "Location, Link");
    }
  });

  it("serves HEAD wherever GET is", async () => {
    for (const [, route] of allRoutes()) {
      if (route.method !== "GET" || route.path.includes("{")) continue;
      const answer = await send(rig.url + route.path, "HEAD", { headers: { authorization: "Basic YTpi" } });
      assert.deepEqual([answer.status, answer.text], [200, ""], route.path);
    }
  });

  it("serves every route of the contract, and the OpenAPI document names them all", async () => {
    const document = (await rig.ask("GET", "/openapi.json")).json;
    assert.equal(at(document, "openapi"), "3.1.0");
    assert.deepEqual(document, JSON.parse(JSON.stringify(openApiDocument({ version: "1.2.3", server: rig.url }))));
    for (const [operation, route] of allRoutes()) {
      const path = route.path.replaceAll(/\{\w+\}/g, UNKNOWN);
      // Read only, or with a body that no route takes: served routes answer anything but 405, others 404 without a kind.
      const answer = await send(rig.url + path, route.method, { body: "[]" });
      assert.notEqual(answer.status, 405, operation);
      assert.ok(!answer.text.includes("nothing is served at"), `${operation}: ${answer.text}`);
      const operations: unknown = (at(document, "paths") as Record<string, unknown>)[route.path];
      assert.equal(at(operations, `${route.method.toLowerCase()}.operationId`), operation);
    }
  });

  it("says how it is: home page, health, readiness, metrics", async () => {
    const home = await send(`${rig.url}/`, "GET", { headers: { accept: "text/html" } });
    assert.deepEqual([home.status, home.headers["content-type"]], [200, "text/html; charset=utf-8"]);
    assert.ok(!/(src|href)="https?:/.test(home.text), "no external requests");
    assert.deepEqual((await send(`${rig.url}/healthz`, "GET")).json, { status: "ok" });
    assert.deepEqual((await send(`${rig.url}/readyz`, "GET")).json, { ready: true, waitingFor: [] });
    const metrics = await send(`${rig.url}/metrics`, "GET");
    assert.match(metrics.text, /midotrace_api_requests_total\{operation="getHealth",status="200"\} \d+/);
    assert.match(metrics.text, /midotrace_api_ready 1/);
  });

  it("logs no defect in all of this", () => {
    assert.deepEqual(rig.log, [`listening on ${rig.url}`]);
  });
});

describe("where the API listens", () => {
  it("refuses addresses that are not loopback, unless told otherwise", async () => {
    for (const host of ["0.0.0.0", "::"]) {
      // A rig that starts after all is stopped, so that a failure does not hang.
      const started = startRig({ host }).then((rig) => rig.stop());
      await assert.rejects(started, { code: "USAGE" });
    }
    const rig = await startRig({ host: "0.0.0.0", insecure: true });
    assert.match(rig.url, /^http:\/\/0\.0\.0\.0:\d+$/);
    await rig.stop();
    await rig.stop();
  });
});
