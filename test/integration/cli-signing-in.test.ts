import assert from "node:assert/strict";
import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { verifyPassword } from "#adapters/auth-static";
import { commandIndex, run } from "#apps/cli";
import { opensslMissing, TestAuthority } from "../support/certificates.ts";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";
import { captured, midotrace, type Ran } from "../unit/cli/support.ts";
import { applySmallNetwork, type Rig, startRig } from "./api-support.ts";

const who = (): FakeIdentity =>
  new FakeIdentity({
    root: identityOf("", "admin"),
    red: identityOf("red", "tenant_admin"),
    reader: identityOf("red", "tenant_user"),
  });

describe("the command line against a server that asks who somebody is", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  before(async () => {
    rig = await startRig({ identity: who() });
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());
  const as = (token: string | null, ...argv: string[]): Promise<Ran> =>
    midotrace([...argv, "--api", rig.url], token === null ? {} : { MIDOTRACE_TOKEN: token });

  it("signs in with a password of the environment, and prints the token alone", async () => {
    const ran = await midotrace(["login", "--api", rig.url, "--user", "red"], { MIDOTRACE_PASSWORD: "right" });
    assert.deepEqual([ran.code, ran.out], [0, "red\n"], ran.err);
    assert.match(ran.err, /signed in until Mon, 23-11-2026/);
    const wrong = await midotrace(["login", "--api", rig.url, "--user", "red"], { MIDOTRACE_PASSWORD: "wrong" });
    assert.deepEqual([wrong.code, wrong.out], [1, ""]);
    assert.match(wrong.err, /wrong password/);
    assert.equal((await midotrace(["login", "--api", rig.url])).code, 2);
  });

  it("asks for the password at a terminal, or reads it", async () => {
    const commands = await commandIndex();
    const prompts: string[] = [];
    const askSecret = (prompt: string): Promise<string> => {
      prompts.push(prompt);
      return Promise.resolve("right");
    };
    const typed = captured();
    assert.equal(await run(["login", "--api", rig.url, "--user", "red"], commands, { ...typed, askSecret }), 0);
    assert.deepEqual(prompts, ["password of red: "]);
    const piped = captured();
    const readInput = (): Promise<string> => Promise.resolve("right\nmore\n");
    assert.equal(await run(["login", "--api", rig.url, "--user", "red"], commands, { ...piped, readInput }), 0);
    assert.equal(piped.written.out, "red\n");
  });

  it("says what to do without a token, and with one that is no good", async () => {
    const without = await as(null, "trace", "list");
    assert.equal(without.code, 1);
    assert.match(without.err, /midotrace login --user NAME/);
    const wrong = await as("nonsense", "trace", "list");
    assert.match(wrong.err, /unknown token.*get a new token with `midotrace login/i);
    const reader = await as("reader", "trace", "list");
    assert.equal(reader.code, 1);
    assert.match(reader.err, /tenant_user.* may not do this/);
  });

  it("works for a tenant, who names devices", async () => {
    const bridge = ids.get("red-a") ?? "";
    const made = await as(
      "red",
      "trace",
      "create",
      "--bridge",
      bridge,
      "--match",
      "icmp",
      "--name",
      "mine",
      "--enable",
    );
    assert.equal(made.code, 0, made.err);
    const port = await as("red", "trace", "create", "--port", ids.get("red-a/vm1") ?? "", "--match", "icmp");
    assert.equal(port.code, 0, port.err);
    const listed = await as("red", "trace", "list");
    assert.equal(listed.code, 0, listed.err);
    assert.match(listed.out, /mine .*bridge red-a .*enabled/);
    assert.match(listed.out, /port red-a\/vm1/);
    const byName = await as("red", "trace", "create", "--bridge", "red-a", "--match", "icmp");
    assert.equal(byName.code, 0, byName.err);
    assert.match(byName.out, /bridge red-a +disabled/);
    const simulated = await as("reader", "simulate", "--port", "red-a/vm1", "--packet", "icmp 10.0.1.10 > 10.0.1.1");
    assert.equal(simulated.code, 0, simulated.err);
    const topology = await as("red", "topology", "show");
    assert.equal(topology.code, 1);
    assert.match(topology.err, /may not do this/);
  });

  it("works for the administrator as ever, with --token too", async () => {
    const ran = await midotrace(["topology", "show", "--api", rig.url, "--token", "root"]);
    assert.equal(ran.code, 0, ran.err);
    assert.match(ran.out, /red-a/);
  });

  describe("over TLS", { skip: unlessThere(opensslMissing()) }, () => {
    it("trusts the authorities of --api-ca beside the machine's", async () => {
      const directory = mkdtempSync(join(tmpdir(), "midotrace-cli-tls-"));
      const authority = new TestAuthority(directory);
      const files = authority.issue("api", ["IP:127.0.0.1"]);
      const material = { cert: readFileSync(files.certFile, "utf8"), key: readFileSync(files.keyFile, "utf8") };
      const secure = await startRig({ identity: who(), tls: { material: () => material, onChange: () => undefined } });
      try {
        const argv = ["trace", "list", "--api", secure.url, "--token", "root"];
        const without = await midotrace(argv);
        assert.equal(without.code, 1);
        assert.match(without.err, /certificate/);
        const trusting = await midotrace([...argv, "--api-ca", authority.caFile]);
        assert.equal(trusting.code, 0, trusting.err);
        const none = await midotrace([...argv, "--api-ca", files.keyFile]);
        assert.deepEqual([none.code, /has no certificates/.test(none.err)], [2, true], none.err);
      } finally {
        await secure.stop();
        rmSync(directory, { recursive: true, force: true });
      }
    });
  });
});

describe("midotrace auth hash", () => {
  it("prints a hash of what is typed twice, or read", async () => {
    const commands = await commandIndex();
    const answers = ["secret", "secret", "secret", "other"];
    const askSecret = (): Promise<string> => Promise.resolve(answers.shift() ?? "");
    const io = captured();
    assert.equal(await run(["auth", "hash"], commands, { ...io, askSecret }), 0);
    assert.equal(await verifyPassword("secret", io.written.out.trim()), true);
    const wrong = captured();
    assert.equal(await run(["auth", "hash"], commands, { ...wrong, askSecret }), 2);
    assert.match(wrong.written.err, /not the same/);
    assert.equal((await midotrace(["auth", "hash"])).code, 2, "nothing is no password");
  });
});
