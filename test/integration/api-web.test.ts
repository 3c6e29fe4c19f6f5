import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { gunzipSync } from "node:zlib";
import { openWebFiles } from "#adapters/web-files";
import { type Rig, send, startRig } from "./api-support.ts";

const PAGE = "<!doctype html><title>the page</title>";
const SCRIPT = `console.log("${"x".repeat(3_000)}");`;

describe("the web UI's files", { timeout: 20_000 }, () => {
  let rig: Rig;
  let directory: string;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-web-"));
    mkdirSync(join(directory, "assets"));
    writeFileSync(join(directory, "index.html"), PAGE);
    writeFileSync(join(directory, "assets/index-abc.js"), SCRIPT);
    writeFileSync(join(directory, "favicon.svg"), "<svg/>");
    writeFileSync(join(directory, "secret.pem"), "not a type that is served");
    rig = await startRig({ site: openWebFiles(directory), collect: { host: "127.0.0.1", port: 0 } });
  });
  after(async () => {
    await rig.stop();
    rmSync(directory, { recursive: true });
  });

  const get = (path: string, headers: Readonly<Record<string, string>> = {}, method = "GET") =>
    send(rig.url + path, method, { headers });

  it("the page is at / and at the address of each view, asked for anew each time", async () => {
    for (const path of ["/", "/traces", "/traces/new", "/traces/1/flows/2?x=y", "/hosts"]) {
      const { status, headers, text } = await get(path);
      assert.deepEqual([status, text, headers["content-type"]], [200, PAGE, "text/html; charset=utf-8"], path);
      assert.equal(headers["cache-control"], "no-cache");
    }
    assert.equal((await get("/traces", {}, "HEAD")).status, 200);
  });

  it("the page may load from this server and nowhere else, and be framed by nobody", async () => {
    const policy = String((await get("/")).headers["content-security-policy"]);
    for (const part of ["default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"])
      assert.ok(policy.includes(part), part);
    assert.ok(!/unsafe|https?:|\*/.test(policy), policy);
  });

  it("files whose name has their hash are kept for ever, compressed where it is worth it", async () => {
    const plain = await get("/assets/index-abc.js");
    assert.deepEqual([plain.status, plain.text], [200, SCRIPT]);
    assert.match(String(plain.headers["content-type"]), /^text\/javascript/);
    assert.match(String(plain.headers["cache-control"]), /immutable/);
    assert.equal(plain.headers["x-content-type-options"], "nosniff");
    const zipped = await fetch(`${rig.url}/assets/index-abc.js`);
    assert.equal(zipped.headers.get("content-encoding"), "gzip");
    assert.equal(await zipped.text(), SCRIPT);
    const file = openWebFiles(directory)?.file("/assets/index-abc.js");
    assert.equal(gunzipSync(file?.gzip ?? new Uint8Array()).toString(), SCRIPT);
  });

  it("a file that the browser has is not sent again", async () => {
    const { etag } = (await get("/favicon.svg")).headers;
    const again = await get("/favicon.svg", { "if-none-match": String(etag) });
    assert.deepEqual([again.status, again.text], [304, ""]);
  });

  it("nothing else is served: no other file, no directory, no way out", async () => {
    for (const path of [
      "/secret.pem",
      "/assets/",
      "/assets/x.js",
      "/../package.json",
      "/%2e%2e/package.json",
      "/index",
    ])
      assert.equal((await get(path)).status, 404, path);
    assert.equal((await get("/traces", {}, "POST")).status, 404);
  });

  it("the API stays what it is, and the collector's address serves no page", async () => {
    assert.equal((await rig.ask("GET", "/traces")).headers["content-type"], "application/json");
    for (const path of ["/", "/traces", "/assets/index-abc.js"])
      assert.equal((await send(`${rig.server.collectUrl}${path}`, "GET")).status, 404, path);
  });

  it("not built, there is a page that says what this is", async () => {
    assert.equal(openWebFiles(join(directory, "assets")), null);
    const bare = await startRig();
    const { status, text } = await send(`${bare.url}/`, "GET");
    await bare.stop();
    assert.deepEqual([status, text.includes("Flow tracing for virtual networks")], [200, true]);
  });
});
