import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { advertisedUrl, type ApiOptionValues, composeApi, parseListen, requireLoopback } from "#apps/api";
import { allRoutes, BASE_PATH, conditionBody, errorsOf, openApiDocument, REFERENCES } from "#core/api-contract";
import { ERRORS } from "#core/base";
import * as z from "zod";
import { at } from "../../integration/api-support.ts";
import { apiOptions } from "../../support/api-options.ts";

describe("the contract", () => {
  it("names each route once, below the base but for the server's own", () => {
    const names = allRoutes().map(([, r]) => `${r.method} ${r.path}`);
    assert.equal(new Set(names).size, names.length);
    for (const [, route] of allRoutes())
      if (route.tag !== "server") assert.ok(route.path.startsWith(BASE_PATH), route.path);
  });

  it("says who may, and whose tenant decides", () => {
    for (const [operation, { roles, method }] of allRoutes()) {
      if ("anonymous" in roles || "agent" in roles) continue;
      assert.equal(roles.admin, true, operation);
      if (method !== "GET" && operation !== "simulate") assert.equal(roles.tenant_user, "none", operation);
      if (roles.tenant_admin === "own") assert.ok(roles.owner.length > 0, operation);
    }
  });

  it("says of every UUID that a tenant's body may carry what it names", () => {
    const uuids = (schema: unknown): string[] => {
      const properties = Object.entries(at(schema, "properties") ?? {});
      return properties.flatMap(([name, s]: [string, unknown]) =>
        at(s, "format") === "uuid" || at(s, "items.format") === "uuid" ? [name] : [],
      );
    };
    const seen = new Set<string>(uuids(z.toJSONSchema(conditionBody, { io: "input", unrepresentable: "any" })));
    for (const [, { roles, body }] of allRoutes())
      if (body !== null && "owner" in roles)
        for (const name of uuids(z.toJSONSchema(body.schema, { io: "input", unrepresentable: "any" }))) seen.add(name);
    assert.ok(seen.size > 10, [...seen].join(" "));
    for (const name of seen) assert.ok(name in REFERENCES, `${name} has no row in REFERENCES`);
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
  it("only main.ts, and its parts main-*.ts, see adapters", () => {
    const root = join(import.meta.dirname, "../../../src/apps/api");
    const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((f) => f.endsWith(".ts"));
    assert.ok(files.length > 10);
    for (const file of files) {
      if (/^main(-\w+)?\.ts$/.test(file)) continue;
      assert.ok(!readFileSync(join(root, file), "utf8").includes("#adapters/"), file);
    }
  });
});

describe("midotrace api", () => {
  const values = apiOptions();

  it("says what it does not take", () => {
    const refused = (wrong: Partial<ApiOptionValues>, message: RegExp): void => {
      assert.throws(() => composeApi({ ...values, ...wrong }, "0"), { code: "USAGE", message });
    };
    refused({ listen: "here" }, /--listen is ADDRESS:PORT/);
    refused({ listen: "h:99999" }, /--listen is ADDRESS:PORT/);
    refused({ listen: "0.0.0.0:0" }, /--insecure/);
    refused({ auth: "ldap:x" }, /none, static:FILE or keystone:URL/);
    refused({ auth: "keystone:https://k:5000/v2.0" }, /version 3/);
    refused({ auth: "keystone:https://k:5000/v3" }, /--keystone-user.*--keystone-admin-token/);
    refused({ "tls-cert": "x.pem" }, /--tls-cert and --tls-key/);
    refused({ "tls-cert": "/nowhere.pem", "tls-key": "/nowhere-key.pem" }, /--tls-cert: .*nowhere/);
    refused({ "collect-client-ca": "ca.pem" }, /--tls-cert/);
    refused({ "agent-token": "/nowhere" }, /--agent-token: .*nowhere/);
    refused({ store: "ftp:x" }, /ftp:x.*zookeeper:/);
    refused({ store: "zookeeper://h:2181" }, /zookeeper/i);
    refused({ collect: "there" }, /ADDRESS:PORT/);
    refused({ advertise: "h:80" }, /http:\/\/HOST:PORT/);
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

describe("what agents are told of where to deliver", () => {
  const own = (address: string, more: object = {}) => ({ address, family: "IPv4", internal: false, ...more });
  const loopback = own("127.0.0.1", { internal: true });
  const v6 = own("fe80::1", { family: "IPv6" });

  it("is the address that the server listens at", () => {
    for (const url of ["http://192.0.2.1:8181", "http://[2001:db8::1]:1", "http://127.0.0.1:8181"])
      assert.equal(advertisedUrl(url, []), url);
  });

  it("is the machine's one address where the server listens at all of them, and else must be said", () => {
    for (const any of ["http://0.0.0.0:8181", "http://[::]:8181"]) {
      assert.equal(advertisedUrl(any, [loopback, v6, own("192.0.2.7"), undefined]), "http://192.0.2.7:8181");
      const refused = { code: "USAGE", message: /--advertise/ };
      assert.throws(() => advertisedUrl(any, [loopback, v6]), refused);
      assert.throws(() => advertisedUrl(any, [own("192.0.2.7"), own("198.51.100.7")]), refused);
    }
  });

  it("is looked at before anything starts, and said to be of no use where it is", () => {
    const store = "zookeeper://127.0.0.1:1/midonet/v1";
    const base = apiOptions({ store, listen: "127.0.0.1:8181" });
    const warnings = (options: Partial<ApiOptionValues>): string[] => {
      const lines: string[] = [];
      composeApi({ ...base, ...options }, "0", (level, message) => void lines.push(`${level} ${message}`));
      return lines;
    };
    assert.match(warnings({}).join(), /^warn agents on other hosts cannot deliver traces here: say --collect/);
    assert.deepEqual(warnings({ collect: "192.0.2.1:8182", insecure: true }), []);
    assert.throws(() => warnings({ collect: "192.0.2.1:8182" }), /--collect 192\.0\.2\.1: nobody is asked.*--insecure/);
    assert.deepEqual(warnings({ advertise: "https://api.example/proxy/" }), []);
    assert.deepEqual(warnings({ store: "memory:" }), []);
  });
});
