import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { after, before, describe, it } from "node:test";
import type { ApiServerOptions } from "#apps/api";
import { opensslMissing, TestAuthority } from "../support/certificates.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";
import { openStream } from "../support/event-stream-client.ts";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { serverLimits } from "../../src/apps/api/limits.ts";
import { at, type Rig, send, SMALL_NETWORK, startRig } from "./api-support.ts";

const LIMITS: NonNullable<ApiServerOptions["limits"]> = {
  ...serverLimits(),
  bodyBytes: 2_000,
  headerBytes: 4_096,
  urlLength: 300,
  jsonDepth: 5,
  jsonValues: 50,
  connections: 3,
  headersTimeoutMs: 200,
  requestTimeoutMs: 400,
};

/** Sends bytes as they are, over TLS where the URL says so; resolves with all that came when the server closes. */
function raw(url: string, ...parts: string[]): Promise<string> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket =
      protocol === "https:"
        ? connectTls({ port: Number(port), host: hostname, rejectUnauthorized: false })
        : connect(Number(port), hostname);
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk: string) => (text += chunk));
    socket.on("error", (error) => (text === "" ? reject(error) : resolve(text)));
    socket.on("close", () => resolve(text));
    for (const part of parts) socket.write(part);
  });
}

describe("limits of a request", () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig({ limits: LIMITS });
  });
  after(() => rig.stop());

  const post = (body: string) => rig.ask("POST", "/bridges", { body });
  const saysIt = (answer: { readonly status: number; readonly text: string }, status: number, words: RegExp): void => {
    assert.equal(answer.status, status, answer.text);
    assert.match(answer.text, words);
  };

  it("a body that is too long is refused with the number of bytes", async () => {
    saysIt(await post(`{"name": "${"x".repeat(2_000)}"}`), 413, /TOO_LARGE.*|the body is longer than 2000 bytes/);
    saysIt(await post(`{"name": "${"x".repeat(200)}"}`), 201, /^$/);
  });

  it("a body that is too deep or too full is refused before it is parsed; brackets in texts do not count", async () => {
    saysIt(await post("[".repeat(6)), 413, /the body nests deeper than 5 levels/);
    saysIt(await post(`{"name": ${"[".repeat(5)}`), 413, /deeper than 5/);
    saysIt(await post(`{"a": [${"1,".repeat(60)}1]}`), 413, /the body has more than 50 members and elements/);
    saysIt(await post(`{"name": "${"[{".repeat(30)}\\"${"[,".repeat(40)}\\\\"}`), 201, /^$/);
  });

  it("a URL that is too long is refused with its length", async () => {
    saysIt(await rig.ask("GET", `/bridges?tenant_id=${"x".repeat(300)}`), 414, /have 3\d\d characters, more than 300/);
  });

  it("headers that are too long, and what is no HTTP, get an answer too", async () => {
    const long = await raw(rig.url, `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(5_000)}\r\n\r\n`);
    assert.match(long, /^HTTP\/1.1 431 HEADERS_TOO_LARGE\r\n.*application\/vnd.org.midonet.Error-v1\+json/s);
    assert.match(long, /"message":"the headers are longer than 4096 bytes"/);
    assert.match(
      await raw(rig.url, "Hello, is anybody there?\r\n\r\n"),
      /^HTTP\/1.1 400 .*"error":"MALFORMED_REQUEST"/s,
    );
  });

  it("a header or a body that never comes whole does not hold a connection for ever", async () => {
    assert.match(await raw(rig.url, "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "), /^HTTP\/1.1 408 .*REQUEST_TIMEOUT/s);
    const head = "POST /midonet-api/bridges HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n";
    assert.match(await raw(rig.url, head, "{"), /^HTTP\/1.1 408 .*within 0.2 s, or the request within 0.4 s/s);
  });

  it("more connections than allowed are closed at once", async () => {
    const { hostname, port } = new URL(rig.url);
    const sockets = Array.from({ length: 3 }, () => connect(Number(port), hostname));
    await Promise.all(sockets.map((s) => new Promise((resolve) => s.once("connect", resolve))));
    await assert.rejects(send(`${rig.url}/healthz`, "GET"));
    for (const s of sockets) s.destroy();
  });
});

describe("limits of a connection with TLS", { skip: unlessThere(opensslMissing()) }, () => {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-limits-"));
  let rig: Rig;
  before(async () => {
    const { certFile, keyFile } = new TestAuthority(directory).issue("server", ["IP:127.0.0.1"]);
    const material = { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") };
    rig = await startRig({ limits: LIMITS, tls: { material: () => material, onChange: () => undefined } });
  });
  after(async () => {
    await rig.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  it("headers that are too long, and what is no HTTP, get the same answers", async () => {
    const long = await raw(rig.url, `GET / HTTP/1.1\r\nhost: a\r\nx: ${"y".repeat(5_000)}\r\n\r\n`);
    assert.match(long, /^HTTP\/1.1 431 HEADERS_TOO_LARGE\r\n.*the headers are longer than 4096 bytes/s);
    assert.match(await raw(rig.url, "Hello?\r\n\r\n"), /^HTTP\/1.1 400 .*"error":"MALFORMED_REQUEST"/s);
  });

  it("a header or a body that never comes whole does not hold a connection for ever", async () => {
    assert.match(await raw(rig.url, "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "), /^HTTP\/1.1 408 .*REQUEST_TIMEOUT/s);
    const head = "POST /midonet-api/bridges HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n";
    assert.match(await raw(rig.url, head, "{"), /^HTTP\/1.1 408 .*within 0.2 s, or the request within 0.4 s/s);
  });

  it("nor does a client that says nothing, or speaks no TLS", async () => {
    const plain = rig.url.replace("https:", "http:");
    assert.equal(await raw(plain), "");
    assert.doesNotMatch(await raw(plain, "GET / HTTP/1.1\r\n\r\n"), /HTTP\/1.1 200/);
  });

  it("more connections than allowed are closed at once", async () => {
    const { hostname, port } = new URL(rig.url);
    const sockets = Array.from({ length: 3 }, () => connect(Number(port), hostname));
    await Promise.all(sockets.map((s) => new Promise((resolve) => s.once("connect", resolve))));
    await assert.rejects(raw(rig.url, "GET / HTTP/1.1\r\n\r\n"));
    for (const s of sockets) s.destroy();
  });
});

describe("limits of who asks", () => {
  const identity = new FakeIdentity({
    root: identityOf("", "admin"),
    red: identityOf("red", "tenant_admin"),
    blue: identityOf("blue", "tenant_user"),
  });
  const as = (token: string, body?: unknown) => ({
    headers: { "x-auth-token": token },
    ...(body === undefined ? {} : { body }),
  });

  it("a user who asks too often is told when to come back, and others are not held back", async (t) => {
    const rig = await startRig({ identity, rates: { identity: 2, address: null, refusals: null } });
    t.after(() => rig.stop());
    for (let n = 0; n < 20; n++) assert.equal((await rig.ask("GET", "", as("red"))).status, 200);
    const refused = await rig.ask("GET", "", as("red"));
    assert.deepEqual([refused.status, refused.headers["retry-after"]], [429, "1"]);
    assert.match(refused.text, /more than 2 requests per second of this user \(--rate of the server\)/);
    assert.equal((await rig.ask("GET", "", as("blue"))).status, 200);
    await rig.time.advance(1_000);
    assert.equal((await rig.ask("GET", "", as("red"))).status, 200);
  });

  it("an address that asks too often, or tries tokens, is refused before anybody is asked", async (t) => {
    const rig = await startRig({ identity, rates: { identity: null, address: 100, refusals: 1 } });
    t.after(() => rig.stop());
    for (let n = 0; n < 10; n++) assert.equal((await rig.ask("GET", "", as(`guess ${n}`))).status, 401);
    const refused = await rig.ask("GET", "", as("red"));
    assert.equal(refused.status, 429);
    assert.match(refused.text, /with a wrong token or password from this address \(--refusal-rate of the server\)/);
    await rig.time.advance(2_000);
    assert.equal((await rig.ask("GET", "", as("red"))).status, 200);
    for (let n = 0; n < 1_000; n++) await rig.ask("GET", "/nothing");
    assert.match((await rig.ask("GET", "", as("root"))).text, /from this address \(--address-rate of the server\)/);
  });

  it("a tenant has so many streams open and no more; an administrator any number", async (t) => {
    const tenantLimits = { traces: null, enabledTraces: null, streams: 2 };
    const rig = await startRig({ identity, tenantLimits });
    t.after(() => rig.stop());
    assert.equal((await rig.ask("POST", "/topology", as("root", SMALL_NETWORK))).status, 200);
    const bridges = await rig.ask("GET", "/bridges", as("root"));
    const device = String(at(bridges.json, "0.uri"));
    const made = await rig.ask("POST", "/traces", as("red", { device }));
    const events = `${String(made.headers.location)}/events`;
    const open = [await openStream(events, "red"), await openStream(events, "red")];
    const third = await rig.ask("GET", events, as("red"));
    assert.equal(third.status, 409);
    assert.match(third.text, /"error":"LIMIT_EXCEEDED"/);
    assert.match(third.text, /2 event streams open, of at most 2 \(--tenant-streams of the server\)/);
    open.push(await openStream(events, "root"), await openStream(events, "root"), await openStream(events, "root"));
    for (const stream of open) stream.destroy();
  });
});
