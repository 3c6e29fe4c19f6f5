import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { hashPassword, StaticIdentities, verifyPassword } from "#adapters/auth-static";
import { VirtualTime } from "../../support/virtual-time.ts";

const UNAUTHENTICATED = { code: "UNAUTHENTICATED" };
const TOKEN = "0123456789abcdef-token";

describe("passwords", () => {
  it("are kept as scrypt hashes, each with salt of its own", async () => {
    const [a, b] = await Promise.all([hashPassword("secret"), hashPassword("secret")]);
    assert.match(a, /^\$scrypt\$ln=15,r=8,p=3\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/);
    assert.notEqual(a, b);
    assert.deepEqual(
      await Promise.all([verifyPassword("secret", a), verifyPassword("Secret", a), verifyPassword("", a)]),
      [true, false, false],
    );
  });

  it("hashes of other programs count, too; nothing else does", async () => {
    // RFC 7914 section 12: scrypt("pleaseletmein", "SodiumChloride", 16384, 8, 1), its first 32 bytes.
    const key = Buffer.from("7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2", "hex");
    const base64 = (b: Buffer): string => b.toString("base64").replace(/=+$/, "");
    const hash = `$scrypt$ln=14,r=8,p=1$${base64(Buffer.from("SodiumChloride"))}$${base64(key)}`;
    assert.equal(await verifyPassword("pleaseletmein", hash), true);
    for (const other of [
      "",
      "pleaseletmein",
      hash.replace("ln=14", "ln=40"),
      hash.slice(0, 40),
      "$2b$10$abcdefghijklmnopqrstuv",
    ])
      assert.equal(await verifyPassword("pleaseletmein", other), false, other);
  });

  it("are the same from every keyboard", async () => {
    assert.equal(await verifyPassword("cafe\u0301", await hashPassword("caf\u00e9")), true);
  });
});

describe("--auth static:FILE", () => {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-static-"));
  const file = join(directory, "users.yaml");
  let time: VirtualTime;
  let log: string[];
  let provider: StaticIdentities;
  let hash: string;
  before(async () => {
    hash = await hashPassword("secret");
  });
  after(() => rmSync(directory, { recursive: true, force: true }));
  const write = (text: string, mode = 0o600): void => {
    writeFileSync(`${file}.new`, text, { mode });
    chmodSync(`${file}.new`, mode);
    renameSync(`${file}.new`, file);
  };
  const tokens = (token: string, role = "admin"): string =>
    `tokens:\n  - token: ${token}\n    user: prometheus\n    project: {id: ops}\n    roles: [${role}]\n`.replace(
      /project: \{id: ops\}\n {4}roles: (.*)\n/,
      "project: {id: ops, roles: $1}\n",
    );
  beforeEach(() => {
    time = new VirtualTime();
    log = [];
    provider = new StaticIdentities({
      file,
      clock: time,
      scheduler: time,
      log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    });
  });
  afterEach(() => provider.stop());

  it("knows the tokens of the file, written out or as their SHA-256", async () => {
    const sha256 = createHash("sha256").update("another-token-of-some-length").digest("hex");
    write(`${tokens(TOKEN)}  - {sha256: ${sha256}, user: u, project: {id: red, name: Red, roles: [tenant_user]}}\n`);
    await provider.start();
    assert.deepEqual(await provider.identify(TOKEN), {
      userId: "prometheus",
      tenantId: "ops",
      tenantName: "ops",
      roles: ["admin"],
      admin: true,
      expiresAtMs: null,
    });
    assert.equal((await provider.identify("another-token-of-some-length")).tenantName, "Red");
    await assert.rejects(provider.identify(sha256), UNAUTHENTICATED);
    assert.deepEqual(
      (await provider.tenants()).map((t) => t.id),
      ["ops", "red"],
    );
  });

  it("is refused when others can read it, with the command that helps", async () => {
    for (const mode of [0o640, 0o604, 0o660]) {
      write(tokens(TOKEN), mode);
      assert.throws(() => void provider.start(), { code: "USAGE", message: new RegExp(`chmod 600 ${file}`) });
    }
    write(tokens(TOKEN), 0o400);
    await provider.start();
  });

  it("is followed: a right change counts, a wrong one does not and is told", async () => {
    write(tokens(TOKEN));
    await provider.start();
    write(tokens("the-second-token-that-counts"));
    await time.advance(1_000);
    await assert.rejects(provider.identify(TOKEN), UNAUTHENTICATED);
    assert.equal((await provider.identify("the-second-token-that-counts")).admin, true);
    for (const [text, mode] of [
      ["tokens: [", 0o600],
      [tokens("short"), 0o600],
      [tokens("the-third-token-that-is-not-read", "boss"), 0o600],
      [tokens("the-third-token-that-is-not-read"), 0o644],
      ["", 0o600],
    ] as const) {
      log.length = 0;
      write(text, mode);
      await time.advance(1_000);
      assert.equal((await provider.identify("the-second-token-that-counts")).admin, true);
      assert.equal(log.length, 1, log.join("\n"));
      assert.match(log[0] ?? "", /^warn .*goes on to count/);
      assert.ok(!log.join().includes("the-third-token"), "no secrets in the log");
    }
    rmSync(file);
    await time.advance(1_000);
    assert.equal((await provider.identify("the-second-token-that-counts")).admin, true);
    write(tokens(TOKEN));
    await time.advance(1_000);
    assert.equal((await provider.identify(TOKEN)).admin, true);
  });

  it("says every wrong place, and no secret", () => {
    write(
      `users:\n  - {name: "a:b", password: hunter2, projects: []}\n  - {name: c, password: "${hash}", projects: [{id: x, roles: [king]}], more: 1}\ntokens:\n  - {user: u, project: {id: p, roles: [admin]}}\ntokenLifetimeS: 1\nother: 1\n`,
    );
    assert.throws(
      () => void provider.start(),
      (error: { code: string; message: string; violations: readonly { property: string }[] }) => {
        assert.equal(error.code, "USAGE");
        assert.deepEqual(error.violations.map((v) => v.property).toSorted(), [
          "other",
          "tokenLifetimeS",
          "tokens[0].token",
          "users[0].name",
          "users[0].password",
          "users[0].projects",
          "users[1].more",
          "users[1].projects[0].roles",
        ]);
        assert.ok(!error.message.includes("hunter2"));
        return true;
      },
    );
  });

  it("a token that was signed in for lives over a restart, and on every server with the same file; not over another password", async () => {
    const users = (h: string): string =>
      `users:\n  - {name: ann, password: "${h}", projects: [{id: red, roles: [tenant_admin]}]}\n`;
    write(users(hash));
    await provider.start();
    const { token } = await provider.login({ user: "ann", password: "secret", project: null });
    const other = new StaticIdentities({ file, clock: time, scheduler: time, log: () => undefined });
    await other.start();
    assert.equal((await other.identify(token)).tenantId, "red");
    write(users(await hashPassword("secret")));
    await time.advance(1_000);
    await assert.rejects(other.identify(token), UNAUTHENTICATED);
    await other.stop();
  });

  it("tries few passwords at once, and many wait their turn", async () => {
    write(
      `users:\n  - {name: ann, password: "${hash.replace("ln=15", "ln=10")}", projects: [{id: red, roles: [admin]}]}\n`,
    );
    await provider.start();
    const tries = await Promise.allSettled(
      Array.from({ length: 80 }, () => provider.login({ user: "ann", password: "guess", project: null })),
    );
    const codes = tries.map((t) => (t.status === "rejected" ? (t.reason as { code: string }).code : "in"));
    assert.equal(codes.filter((c) => c === "UNAUTHENTICATED").length, 63);
    assert.equal(codes.filter((c) => c === "AUTH_UNAVAILABLE").length, 17);
  });
});
