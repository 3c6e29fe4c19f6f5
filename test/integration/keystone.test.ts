import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, beforeEach, describe, it } from "node:test";
import { KeystoneIdentities, type KeystoneOptions, keystoneUrl, REMEMBERED_MS } from "#adapters/auth-keystone";
import { opensslMissing, TestAuthority } from "../support/certificates.ts";
import { FakeKeystone } from "../support/fake-keystone.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";
import { applySmallNetwork, at, type Rig, startRig } from "./api-support.ts";

const UNAUTHENTICATED = { code: "UNAUTHENTICATED" };
const AWAY = { code: "AUTH_UNAVAILABLE" };
const HOUR_MS = 3_600_000;

describe("users of Keystone", () => {
  let time: VirtualTime;
  let keystone: FakeKeystone;
  let provider: KeystoneIdentities;
  let log: string[];
  const more: KeystoneIdentities[] = [];
  const options = (other: Partial<KeystoneOptions> = {}): KeystoneOptions => ({
    url: `${keystone.url}/v3`,
    service: { user: "midotrace", password: "service secret", project: "service" },
    domain: { id: "default" },
    defaultProject: null,
    roles: { admin: "admin", tenant_admin: "tenant_admin", tenant_user: "tenant_user" },
    ca: null,
    timeoutMs: 5_000,
    clock: time,
    scheduler: time,
    log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    ...other,
  });
  const another = (other: Partial<KeystoneOptions>): KeystoneIdentities => {
    const made = new KeystoneIdentities(options(other));
    more.push(made);
    return made;
  };
  beforeEach(async () => {
    time = new VirtualTime();
    log = [];
    keystone = new FakeKeystone({ clock: time });
    await keystone.start();
    keystone.user("midotrace", "service secret", { service: ["service"] });
    keystone.user("ann", "secret", { red: ["tenant_admin"], admin: ["admin"], none: ["member", "reader"] });
    provider = new KeystoneIdentities(options());
  });
  afterEach(async () => {
    await Promise.all([provider, ...more.splice(0)].map((p) => p.stop()));
    await keystone.stop();
  });

  it("many requests at once with one token make one validation, and one login of the server", async () => {
    const token = keystone.issue("ann", "red");
    const go = keystone.hold();
    const asked = Array.from({ length: 50 }, () => provider.identify(token));
    while (keystone.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    go();
    const who = await Promise.all(asked);
    assert.equal(new Set(who).size, 1);
    assert.deepEqual([keystone.validationsOf(token), keystone.logins], [1, 1]);
    await provider.identify(token);
    assert.equal(keystone.validationsOf(token), 1, "it is remembered");
  });

  it("a failure that many have waited for is not remembered", async () => {
    const token = keystone.issue("ann", "red");
    keystone.mood = 500;
    await Promise.all([1, 2, 3].map(() => assert.rejects(provider.identify(token), AWAY)));
    keystone.mood = "well";
    assert.equal((await provider.identify(token)).tenantName, "red");
  });

  it("a revoked token is refused 10 s later at the latest, an expired one at once", async () => {
    const revoked = keystone.issue("ann", "red");
    await provider.identify(revoked);
    keystone.revoke(revoked);
    await provider.identify(revoked);
    await time.advance(REMEMBERED_MS - 1);
    await provider.identify(revoked);
    await time.advance(1);
    await assert.rejects(provider.identify(revoked), UNAUTHENTICATED);
    assert.ok(REMEMBERED_MS < 30_000);
    const expiring = keystone.issue("ann", "red");
    await time.advance(HOUR_MS - 1_000);
    assert.ok(await provider.identify(expiring));
    await time.advance(999);
    assert.ok(await provider.identify(expiring));
    await time.advance(1);
    const asked = keystone.validationsOf(expiring);
    await assert.rejects(provider.identify(expiring), UNAUTHENTICATED);
    assert.equal(keystone.validationsOf(expiring), asked, "nobody had to be asked");
  });

  it("what is revoked while the answer is on its way is refused 10 s after the question", async () => {
    const token = keystone.issue("ann", "red");
    await provider.identify(keystone.issue("ann", "red"));
    const go = keystone.hold();
    const asked = provider.identify(token);
    while (keystone.validationsOf(token) === 0) await new Promise((resolve) => setImmediate(resolve));
    await time.advance(4_000);
    go();
    await asked;
    keystone.revoke(token);
    await time.advance(REMEMBERED_MS - 4_000);
    await assert.rejects(provider.identify(token), UNAUTHENTICATED);
  });

  it("does not ask again and again about a token that Keystone does not know", async () => {
    for (let i = 0; i < 5; i++)
      await assert.rejects(provider.identify("made-up-token-of-some-length"), UNAUTHENTICATED);
    assert.equal(keystone.validationsOf("made-up-token-of-some-length"), 1);
    await time.advance(2_000);
    await assert.rejects(provider.identify("made-up-token-of-some-length"), UNAUTHENTICATED);
    assert.equal(keystone.validationsOf("made-up-token-of-some-length"), 2);
  });

  it("an outage lets nobody in, and the log is told so, not of every request", async () => {
    const [known, unknown] = [keystone.issue("ann", "red"), keystone.issue("ann", "red")];
    await provider.identify(known);
    const { port } = keystone;
    await keystone.stop();
    assert.ok(await provider.identify(known), "what was found out a moment ago still holds");
    for (let i = 0; i < 3; i++) await assert.rejects(provider.identify(unknown), AWAY);
    await assert.rejects(provider.login({ user: "ann", password: "secret", project: "red" }), AWAY);
    await assert.rejects(provider.tenants(), AWAY);
    await time.advance(REMEMBERED_MS);
    await assert.rejects(provider.identify(known), AWAY, "but not for longer");
    const told = log.filter((l) => l.startsWith("warn"));
    assert.ok(told.length > 0 && told.length === new Set(told).size, told.join("\n"));
    await keystone.start(port);
    assert.ok(await provider.identify(known));
    assert.match(log.at(-1) ?? "", /answers again/);
  });

  for (const status of [500, 502, 503, 429, 302, 204, 403])
    it(`an answer ${status} lets nobody in`, async () => {
      const token = keystone.issue("ann", "red");
      keystone.mood = status;
      await assert.rejects(provider.identify(token), AWAY);
      if (status !== 403)
        await assert.rejects(provider.login({ user: "ann", password: "secret", project: "red" }), AWAY);
    });

  it("an answer that does not come is not waited for longer than asked", async () => {
    const token = keystone.issue("ann", "red");
    keystone.mood = "hang";
    const asked = assert.rejects(provider.identify(token), { ...AWAY, message: /not answered for 5 s/ });
    while (keystone.seen.length === 0) await new Promise((resolve) => setImmediate(resolve));
    await time.advance(5_000);
    await asked;
    keystone.mood = "well";
    assert.ok(await provider.identify(token));
  });

  it("the server's own token is renewed before it ends, and when Keystone does not take it any more", async () => {
    const ask = async (): Promise<void> => void (await provider.identify(keystone.issue("ann", "red")));
    await ask();
    await time.advance(HOUR_MS - 61_000);
    await ask();
    assert.equal(keystone.logins, 1);
    await time.advance(2_000);
    await ask();
    assert.equal(keystone.logins, 2, "a minute before its end");
    keystone.revokeAllOf("midotrace");
    await ask();
    assert.equal(keystone.logins, 3);
  });

  it("a server that Keystone does not let in lets nobody in, and says which options are wrong", async () => {
    const token = keystone.issue("ann", "red");
    const service = { user: "midotrace", password: "wrong", project: "service" };
    const wrong = another({ service });
    await assert.rejects(wrong.identify(token), { ...AWAY, message: /--keystone/ });
    const wrongToken = another({ service: { adminToken: "no-such-token" } });
    await assert.rejects(wrongToken.identify(token), { ...AWAY, message: /--keystone/ });
    keystone.user("plain", "secret", { red: ["member"] });
    const notAllowed = another({ service: { user: "plain", password: "secret", project: "red" } });
    await assert.rejects(notAllowed.identify(token), { ...AWAY, message: /403/ });
    const byToken = another({ service: { adminToken: keystone.issue("midotrace", "service") } });
    assert.equal((await byToken.identify(token)).tenantName, "red");
    for (const secret of ["wrong", "no-such-token", "service secret"]) assert.ok(!log.join("\n").includes(secret));
  });

  it("roles go by their configured names; others count for nothing", async () => {
    const rolesOf = async (p: KeystoneIdentities, project: string) =>
      (await p.identify(keystone.issue("ann", project))).roles;
    assert.deepEqual(await rolesOf(provider, "admin"), ["admin"]);
    assert.deepEqual(await rolesOf(provider, "none"), []);
    const renamed = another({ roles: { admin: "Cloud-Admin", tenant_admin: "MEMBER", tenant_user: "reader" } });
    assert.deepEqual(await rolesOf(renamed, "none"), ["tenant_admin", "tenant_user"]);
    assert.deepEqual(await rolesOf(renamed, "admin"), []);
    const blank = another({ roles: { admin: "", tenant_admin: "", tenant_user: "" } });
    assert.deepEqual(await rolesOf(blank, "admin"), [], "a blank name is nobody's");
  });

  it("a token for no project is nobody's", async () => {
    const user = keystone.user("cloud", "secret", { "": ["admin"] });
    await assert.rejects(provider.identify(keystone.issue(user.name, "")), UNAUTHENTICATED);
  });

  it("takes the project of the configuration where somebody names none", async () => {
    const withDefault = another({ defaultProject: "red" });
    const { token } = await withDefault.login({ user: "ann", password: "secret", project: null });
    assert.equal((await withDefault.identify(token)).tenantName, "red");
  });

  it("looks for users in the domain of the configuration", async () => {
    assert.ok(
      await another({ domain: { name: "Default" } }).login({ user: "ann", password: "secret", project: "red" }),
    );
    const elsewhere = another({ domain: { id: "elsewhere" } });
    await assert.rejects(elsewhere.login({ user: "ann", password: "secret", project: "red" }), UNAUTHENTICATED);
  });

  it("is asked at a URL of version 3", () => {
    for (const url of ["https://k:5000", "https://k:5000/", "https://k:5000/v3", "https://k:5000/v3/"])
      assert.equal(keystoneUrl(url), "https://k:5000/v3");
    assert.equal(keystoneUrl("http://h/identity"), "http://h/identity/v3");
    for (const url of ["https://k/v2.0", "https://k/v2", "https://k/identity/v2.0/"])
      assert.throws(() => keystoneUrl(url), { code: "USAGE", message: /version 3/ });
    for (const url of ["k:5000", "ftp://k", "https://k/?x", "https://u:hidden@k/v3"])
      assert.throws(
        () => keystoneUrl(url),
        (e: Error) => /keystone:https/.test(e.message) && !e.message.includes("hidden"),
      );
  });

  describe("certificates", { skip: unlessThere(opensslMissing()) }, () => {
    const directory = mkdtempSync(join(tmpdir(), "midotrace-keystone-"));
    after(() => rmSync(directory, { recursive: true, force: true }));

    it("only one that an authority of --keystone-ca has signed for this name is taken", async () => {
      const [good, bad] = [new TestAuthority(directory, "good"), new TestAuthority(directory, "bad")];
      const right = good.issue("keystone", ["IP:127.0.0.1"]);
      const named = good.issue("elsewhere", ["DNS:elsewhere.example"]);
      const answers: string[] = [];
      for (const [files, authority] of [
        [right, good],
        [right, bad],
        [named, good],
        [right, null],
      ] as const) {
        const tls = { cert: readFileSync(files.certFile, "utf8"), key: readFileSync(files.keyFile, "utf8") };
        const secure = new FakeKeystone({ clock: time, tls });
        await secure.start();
        secure.user("midotrace", "service secret", { service: ["service"] });
        secure.user("ann", "secret", { red: ["tenant_admin"] });
        const ca = authority === null ? null : readFileSync(authority.caFile, "utf8");
        const p = another({ url: `${secure.url}/v3`, ca });
        answers.push(
          await p.identify(secure.issue("ann", "red")).then(
            (who) => who.tenantName,
            (error: { code: string }) => `${error.code} ${secure.seen.length}`,
          ),
        );
        await secure.stop();
      }
      assert.deepEqual(
        answers,
        ["red", ...Array.from({ length: 3 }, () => "AUTH_UNAVAILABLE 0")],
        "and no password is sent",
      );
    });
  });

  describe("behind the API", () => {
    let rig: Rig;
    beforeEach(async () => {
      rig = await startRig({ identity: provider });
    });
    afterEach(() => rig.stop());
    const basic = `Basic ${Buffer.from("ann:secret").toString("base64")}`;

    it("signs in as MidoNet's clients do, and goes on with the token of the cookie", async () => {
      const ids = await applySmallNetwork(rig);
      const login = await rig.ask("POST", "/login", {
        headers: { authorization: basic, "x-auth-project": "red" },
        body: "{}",
      });
      assert.equal(login.status, 200, login.text);
      const cookie = login.headers["set-cookie"]?.[0] ?? "";
      // Exactly what python-midonetclient does.
      const token = cookie.split(";")[0]?.split("=").slice(1).join("=") ?? "";
      assert.match(cookie, /; Expires=\w{3}, \d\d-\d\d-\d{4} \d\d:\d\d:\d\d UTC$/);
      const headers = { "x-auth-token": token };
      const red = keystone.projects.get("red") ?? "";
      const made = await rig.ask("POST", "/bridges", { headers, body: { name: "n", tenantId: "" } });
      assert.equal(made.status, 201, made.text);
      assert.equal(at((await rig.ask("GET", String(made.headers.location), { headers })).json, "tenantId"), red);
      assert.equal(
        (await rig.ask("GET", `/bridges/${ids.get("red-a")}`, { headers })).status,
        403,
        "of tenant 'red' by name",
      );
      keystone.revoke(token);
      await rig.time.advance(0);
      await time.advance(REMEMBERED_MS);
      assert.equal((await rig.ask("GET", "/whoami", { headers })).status, 401);
    });

    it("an outage is 503 with Retry-After, for every way in", async () => {
      const headers = { "x-auth-token": keystone.issue("ann", "admin") };
      keystone.mood = 500;
      const answers = [
        await rig.ask("GET", "/bridges", { headers }),
        await rig.ask("POST", "/topology", { headers, body: {} }),
        await rig.ask("POST", "/login", { headers: { authorization: basic, "x-auth-project": "red" } }),
      ];
      assert.deepEqual(
        answers.map((a) => [a.status, at(a.json, "error"), a.headers["retry-after"]]),
        Array.from({ length: 3 }, () => [503, "AUTH_UNAVAILABLE", "5"]),
      );
    });
  });
});
