/*
 * Plays docs/guide/tracing-a-flow.md as its tenant: the commands as they stand there, in a shell, against an embedded lab
 * whose users come from a file. What stands in: the address of the server, and the password, which nobody types.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { hashPassword, StaticIdentities } from "#adapters/auth-static";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { Lab, parseVmTable } from "#apps/lab";
import type { Ipv4 } from "#core/packets";
import { parse } from "yaml";
import { printed, readGuide } from "../support/guide.ts";
import { missingPart } from "../support/parts.ts";

const ROOT = join(import.meta.dirname, "../..");
const GUIDE = readFileSync(join(ROOT, "docs/guide/tracing-a-flow.md"), "utf8");
const PASSWORD = "a long password";
const has = (command: string): boolean => spawnSync("which", [command]).status === 0;
const missing =
  ["bash", "curl", "jq"].flatMap((c) => (has(c) ? [] : [`${c} not found: apt-get install ${c}`]))[0] ?? null;
const yaml = (name: string): unknown => parse(readFileSync(join(ROOT, "examples", name), "utf8"));

/** One shell for the whole guide: what a block exports, the next one has. */
class Shell {
  private readonly child;
  private output = "";
  private whenDone: (() => void) | null = null;
  private blocks = 0;

  constructor(env: NodeJS.ProcessEnv) {
    this.child = spawn("bash", ["--noprofile", "--norc"], { env, stdio: ["pipe", "pipe", "pipe"] });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream.on("data", (chunk: Buffer) => {
        this.output += chunk.toString();
        if (this.output.includes(this.end())) this.whenDone?.();
      });
  }

  /** @returns what the commands printed. */
  async run(text: string): Promise<string> {
    this.blocks++;
    this.output = "";
    const done = new Promise<void>((resolve) => (this.whenDone = resolve));
    this.child.stdin.write(`{ ${text}\n} 2>&1\necho "${this.end()}"\n`);
    await done;
    return this.output.slice(0, this.output.indexOf(this.end()));
  }

  close(): void {
    this.child.kill("SIGKILL");
  }

  private end(): string {
    return `== end of block ${this.blocks} ==`;
  }
}

describe("docs/guide/tracing-a-flow.md", { skip: missingPart(missing) }, () => {
  let directory: string;
  let identity: StaticIdentities;
  let lab: Lab;
  let shell: Shell;

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-guide-"));
    const users = join(directory, "users.yaml");
    const ann = {
      name: "ann",
      password: await hashPassword(PASSWORD),
      projects: [{ id: "red", roles: ["tenant_admin"] }],
    };
    writeFileSync(users, JSON.stringify({ users: [ann] }), { mode: 0o600 });
    const node = join(ROOT, "node_modules/node/bin/node");
    writeFileSync(
      join(directory, "midotrace"),
      `#!/bin/sh\nexec ${node} --conditions=source ${ROOT}/src/apps/cli/main.ts "$@"\n`,
    );
    chmodSync(join(directory, "midotrace"), 0o755);
    identity = new StaticIdentities({
      file: users,
      clock: systemClock,
      scheduler: systemScheduler,
      log: () => undefined,
    });
    await identity.start();
    lab = new Lab({
      storeUrl: "memory:",
      listen: { host: "127.0.0.1", port: 0 },
      topology: yaml("example.yaml"),
      vms: parseVmTable(yaml("example-vms.yaml")),
      traffic: null,
      traceLog: null,
      clock: systemClock,
      scheduler: systemScheduler,
      random: systemRandom,
      log: () => undefined,
      version: "0.0.0",
      identity,
    });
    await lab.start();
    const path = `${directory}:${process.env["PATH"] ?? ""}`;
    shell = new Shell({ PATH: path, HOME: directory, MIDOTRACE_PASSWORD: PASSWORD });
  });

  after(async () => {
    shell?.close();
    await lab?.stop();
    await identity?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const sections = readGuide(GUIDE.replaceAll("<!-- on any, after a connection -->", "<!-- on ssh -->"), [
    "any",
    "ssh",
  ]).filter((s) => s.blocks.length > 0);

  it("has commands to play", () => {
    const commands = sections.flatMap((s) => s.blocks).filter((b) => b.kind === "commands");
    assert.ok(commands.length >= 8, `${commands.length}`);
  });

  for (const { title, blocks } of sections) {
    it(title, async () => {
      let last = "";
      for (const block of blocks) {
        if (block.kind === "prints") {
          assert.ok(printed(block.text, last), `line ${block.line}: this was printed:\n${last}`);
          continue;
        }
        assert.equal(block.kind, "commands");
        if (block.kind === "commands" && block.hosts.includes("ssh")) {
          const { vm } = lab.port("red-web/red-1");
          await vm?.tcpConnect(0x0a00_0214 as Ipv4, 22, { timeoutMs: 1_000 });
        }
        last = await shell.run(block.text.replaceAll("https://api.example:8181", lab.url));
      }
    });
  }
});
