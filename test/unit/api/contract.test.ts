import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { composeApi, parseListen, requireLoopback } from "#apps/api";
import { allRoutes, BASE_PATH, errorsOf, openApiDocument } from "#core/api-contract";
import { ERRORS } from "#core/base";
import { at } from "../../integration/api-support.ts";

describe("the contract", () => {
  it("names each route once, below the base but for the server's own", () => {
    const names = allRoutes().map(([, r]) => `${r.method} ${r.path}`);
    assert.equal(new Set(names).size, names.length);
    for (const [, route] of allRoutes())
      if (route.tag !== "server") assert.ok(route.path.startsWith(BASE_PATH), route.path);
  });

  it("says who may, and whose tenant decides", () => {
    for (const [operation, { roles, method }] of allRoutes()) {
      if ("anonymous" in roles) continue;
      assert.equal(roles.admin, true, operation);
      if (method !== "GET" && operation !== "simulate") assert.equal(roles.tenant_user, "none", operation);
      if (roles.tenant_admin === "own") assert.ok(roles.owner.length > 0, operation);
    }
  });

  it("is an OpenAPI document whose references all lead somewhere", () => {
    const document = openApiDocument({ version: "1", server: "http://h" });
    const text = JSON.stringify(document);
    const schemas = at(document, "components.schemas") as object;
    for (const [, name] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) assert.ok(String(name) in schemas, name);
    assert.deepEqual(at(schemas, "createTraceBody.properties.limit"), { type: "integer", format: "int64" });
    for (const [operation, route] of allRoutes())
      for (const code of errorsOf(route)) assert.ok(code in ERRORS, `${operation} ${code}`);
  });
});

describe("the rooms", () => {
  it("only main.ts sees adapters", () => {
    const root = join(import.meta.dirname, "../../../src/apps/api");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
    assert.ok(files.length > 10);
    for (const file of files) {
      if (file === "main.ts") continue;
      assert.ok(!readFileSync(join(root, file), "utf8").includes("#adapters/"), file);
    }
  });
});

describe("midotrace api", () => {
  const values = { store: "memory:", listen: "127.0.0.1:0", auth: "none", insecure: false };

  it("says what it does not take", () => {
    const refused = (wrong: Partial<typeof values>, message: RegExp): void => {
      assert.throws(() => composeApi({ ...values, ...wrong }, "0"), { code: "USAGE", message });
    };
    refused({ listen: "here" }, /--listen is ADDRESS:PORT/);
    refused({ listen: "h:99999" }, /--listen is ADDRESS:PORT/);
    refused({ listen: "0.0.0.0:0" }, /--insecure/);
    refused({ auth: "static:x" }, /next release/);
    refused({ store: "zookeeper://h:2181/midonet/v1" }, /next release/);
    refused({ store: "ftp:x" }, /ftp/);
  });

  it("is told its own version", async () => {
    const api = composeApi(values, "1.2.3");
    await api.start();
    try {
      const answer = await (await fetch(`${api.server.url}/midonet-api/openapi.json`)).json();
      assert.equal(at(answer, "info.version"), "1.2.3");
    } finally {
      await api.stop();
    }
  });
});

describe("where a server listens", () => {
  it("is an address and a port; a port alone is on loopback", () => {
    assert.deepEqual(parseListen("127.0.0.1:8181"), { host: "127.0.0.1", port: 8181 });
    assert.deepEqual(parseListen("[::1]:0"), { host: "::1", port: 0 });
    for (const text of ["80", ":80"]) assert.deepEqual(parseListen(text), { host: "127.0.0.1", port: 80 });
    for (const text of ["", "here", "h:", "h:65536", "::1:80", "a:b:80"]) {
      assert.throws(() => parseListen(text), { code: "USAGE" }, text);
    }
  });

  it("is loopback, unless told that everybody may reach it", () => {
    const others = [
      "0.0.0.0",
      "::",
      "10.0.0.1",
      "192.0.2.1",
      "example.org",
      "127.0.0.1.example.org",
      "::ffff:0.0.0.0",
      "",
    ];
    for (const host of others) {
      assert.throws(() => requireLoopback(host, false), { code: "USAGE", message: /--insecure/ }, host);
      assert.doesNotThrow(() => requireLoopback(host, true));
    }
    for (const host of ["127.0.0.1", "127.8.9.10", "::1", "localhost"]) requireLoopback(host, false);
  });
});
