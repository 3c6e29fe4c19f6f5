import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, describe, it } from "node:test";
import type { ApiServerOptions } from "#apps/api";
import { stringifyExactJson } from "#core/api-contract";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { at, type Rig, SMALL_NETWORK, startRig } from "./api-support.ts";

type Entry = Parameters<NonNullable<ApiServerOptions["audit"]>>[0];

describe("the audit log", () => {
  const lines: Entry[] = [];
  let rig: Rig;
  let device = "";
  const as = (token: string, body?: unknown) => ({
    headers: { "x-auth-token": token },
    ...(body === undefined ? {} : { body }),
  });
  before(async () => {
    const identity = new FakeIdentity({
      "token-of-root": { ...identityOf("", "admin"), userId: "root" },
      "token-of-ann": identityOf("red", "tenant_admin"),
      "token-of-bob": identityOf("blue", "tenant_user"),
    });
    rig = await startRig({ identity, audit: (entry) => void lines.push(entry) });
    assert.equal((await rig.ask("POST", "/topology", as("token-of-root", SMALL_NETWORK))).status, 200);
    const bridges = await rig.ask("GET", "/bridges", as("token-of-root"));
    device = String(at(bridges.json, "0.uri"));
  });
  after(() => rig.stop());
  beforeEach(() => {
    lines.length = 0;
  });

  it("has a line for each change: who, what, before and after, of the transaction itself", async () => {
    const body = { id: ID, device, name: "look", enabled: true };
    assert.equal((await rig.ask("POST", "/traces", as("token-of-ann", body))).status, 201);
    assert.equal((await rig.ask("DELETE", `/traces/${ID}`, as("token-of-ann"))).status, 204);
    const [made, deleted] = lines;
    assert.deepEqual(
      [made?.user, made?.tenant, made?.roles, made?.operation, made?.status, made?.error],
      ["user of red", "red", ["tenant_admin"], "createTrace", 201, null],
    );
    assert.match(made?.location ?? "", new RegExp(`/traces/${ID}$`));
    const request = made?.changes.find((c) => c.node === `/traces/${ID}`);
    assert.deepEqual([request?.before, at(request?.after, "name")], [null, "look"]);
    // The rule that traces, and the chain that it went into, are changes too.
    assert.ok(made?.changes.some((c) => c.node.startsWith("/rules/") && c.before === null));
    assert.ok(made?.changes.some((c) => c.node.startsWith("/chains/")));
    const gone = deleted?.changes.find((c) => c.node === `/traces/${ID}`);
    assert.deepEqual([at(gone?.before, "name"), gone?.after], ["look", null]);
  });

  it("has of traces that are enabled at once, by several, for each what was its own", async () => {
    const paths: string[] = [];
    for (let n = 0; n < 12; n++) {
      const id = `${ID.slice(0, -2)}${10 + n}`;
      assert.equal((await rig.ask("POST", "/traces", as("token-of-ann", { id, device, name: `t${n}` }))).status, 201);
      paths.push(`/traces/${id}`);
    }
    lines.length = 0;
    const tokens = ["token-of-ann", "token-of-root"];
    const put = (path: string, n: number) => rig.ask("PUT", path, as(tokens[n % 2] ?? "", { enabled: true }));
    const nowhere = put(`/traces/${ID}`, 1);
    const statuses = (await Promise.all([...paths.map(put), nowhere])).map(({ status }) => status);
    assert.deepEqual(statuses, [...paths.map(() => 204), 404]);
    assert.equal(lines.length, 13);
    for (const [n, path] of paths.entries()) {
      const line = lines.find((l) => l.path.endsWith(path));
      assert.equal(line?.user, n % 2 === 0 ? "user of red" : "root");
      const changed = line?.changes.map(({ node }) => node) ?? [];
      assert.deepEqual(
        changed.filter((node) => node.startsWith("/traces/")),
        [path],
      );
      assert.equal(changed.filter((node) => node.startsWith("/rules/")).length, 1);
    }
    assert.deepEqual(lines.find((l) => l.status === 404)?.changes, []);
    await Promise.all(paths.map((path) => rig.ask("DELETE", path, as("token-of-root"))));
  });

  it("has a line for who was not let, and none for who only read", async () => {
    await rig.ask("DELETE", `/traces/${ID}`, as("nobody's token"));
    await rig.ask("POST", "/traces", as("token-of-bob", { device }));
    await rig.ask("GET", "/hosts", as("token-of-bob"));
    await rig.ask("GET", "", as("token-of-bob"));
    assert.deepEqual(
      lines.map((l) => [l.user, l.operation, l.status, l.error, l.changes.length]),
      [
        [null, "deleteTrace", 401, "UNAUTHENTICATED", 0],
        ["user of blue", "createTrace", 403, "FORBIDDEN", 0],
        ["user of blue", "listHosts", 403, "FORBIDDEN", 0],
      ],
    );
  });

  it("holds no token and no password, not even of a login", async () => {
    const basic = `Basic ${Buffer.from("token-of-ann:right").toString("base64")}`;
    await rig.ask("POST", "/login?secret=1", { headers: { authorization: basic } });
    await rig.ask("POST", "/bridges", as("token-of-root", { name: "b", tenantId: "red" }));
    const text = lines.map((l) => stringifyExactJson(l)).join("\n");
    assert.equal(lines.length, 2);
    assert.doesNotMatch(text, /token-of|right|Basic|secret/);
  });

  it("says who signed in, and of who was not let in only from where", async () => {
    const login = (password: string): Promise<unknown> => {
      const basic = `Basic ${Buffer.from(`token-of-bob:${password}`).toString("base64")}`;
      return rig.ask("POST", "/login", { headers: { authorization: basic } });
    };
    await login("right");
    await login("wrong");
    assert.deepEqual(
      lines.map((l) => [l.operation, l.status, l.user, l.tenant, l.address]),
      [
        ["login", 200, "user of blue", "blue", "127.0.0.1"],
        ["login", 401, null, null, "127.0.0.1"],
      ],
    );
  });

  it("lists no more changes than a line can bear, and says how many more there were", async () => {
    const ports = Array.from({ length: 200 }, (_, n) => ({ name: `p${n}` }));
    const document = { bridges: [{ name: "wide", tenant: "red", ports }] };
    assert.equal((await rig.ask("POST", "/topology", as("token-of-root", document))).status, 200);
    assert.equal(lines[0]?.changes.length, 100);
    assert.ok((lines[0]?.more ?? 0) > 100);
  });

  it("is documented with a line as it is", async () => {
    const page = readFileSync(join(import.meta.dirname, "../../docs/guide/administration.md"), "utf8");
    const shown = JSON.parse(/```json\n(\{"time".*?)\n```/s.exec(page)?.[1] ?? "null") as Entry | null;
    const body = { id: ID, name: "b", tenantId: "red" };
    assert.equal((await rig.ask("POST", "/bridges", as("token-of-root", body))).status, 201);
    await rig.ask("PUT", `/bridges/${ID}`, as("token-of-root", { ...body, name: "c" }));
    const line = JSON.parse(stringifyExactJson(lines[1])) as Entry;
    assert.deepEqual(shown, { ...line, time: shown?.time });
  });
});

const ID = "0a000000-0000-4000-8000-000000000001";
