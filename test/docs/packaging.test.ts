import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { hasCommand } from "#adapters/testbed";
import { readOptions } from "#apps/cli";
import { parse } from "yaml";
import { readUnit } from "../support/systemd-unit.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";
import { commands, ROOT } from "./pages.ts";

const UNITS = join(ROOT, "packaging/systemd");
const ETC = join(ROOT, "packaging/etc/midotrace");
const files = readdirSync(ETC);
const units = readdirSync(UNITS);

function commandNamed(name: string): (typeof commands)[number] {
  const found = commands.find((c) => c.name === name);
  assert.ok(found !== undefined, `there is no command ${name}`);
  return found;
}

describe("example configuration files", () => {
  it("are those of the two daemons", () => assert.deepEqual(files.toSorted(), ["agent.yaml", "api.yaml"]));

  for (const file of files) {
    const { options } = commandNamed(basename(file, ".yaml"));
    const text = readFileSync(join(ETC, file), "utf8");
    const accepted = (config: unknown): unknown =>
      readOptions(options, { argv: ["--config", file], env: {}, loadConfig: () => config }).values;

    it(`${file}: every key is an option, with a value that the option takes`, () => {
      const config: unknown = parse(text);
      assert.ok(typeof config === "object" && config !== null && Object.keys(config).length > 0);
      assert.doesNotThrow(() => accepted(config));
      assert.throws(() => accepted({ ...config, stoer: "x" }), /stoer/);
    });

    it(`${file}: so is every key that is written as a comment, and there it has its default or needs none`, () => {
      const shown = [...text.matchAll(/^# ([a-z][a-z-]*): (.*)$/gm)];
      for (const [, key = "", value = ""] of shown) {
        const spec = options[key];
        assert.ok(spec !== undefined, key);
        assert.doesNotThrow(() => accepted({ [key]: parse(value) }), key);
        if (spec.default !== null) assert.equal(String(parse(value)), String(spec.default), key);
      }
      if (file === "agent.yaml") assert.ok(shown.length >= 5, `${shown.length} keys`);
    });
  }
});

describe("systemd units", () => {
  it("are those of the two daemons", () => {
    assert.deepEqual(units.toSorted(), ["midotrace-agent.service", "midotrace-api.service"]);
  });

  for (const name of units) {
    const unit = readUnit(join(UNITS, name));
    const daemon = /^midotrace-(\w+)\.service$/.exec(name)?.[1] ?? "";

    it(`${name} starts the daemon with its configuration file`, () => {
      const [program, command, ...argv] = unit.one("Service", "ExecStart").split(" ");
      assert.equal(program, "midotrace");
      assert.equal(command, daemon);
      const { values } = readOptions(commandNamed(daemon).options, { argv, env: {}, loadConfig: () => ({}) });
      const credential = unit.all("Service", "LoadCredential").map((c) => c.split(":"));
      const named = String(values["config"]);
      const source = credential.find(([id]) => named === `\${CREDENTIALS_DIRECTORY}/${id}`)?.[1] ?? named;
      assert.equal(source, `/etc/midotrace/${daemon}.yaml`);
      assert.ok(files.includes(basename(source)));
    });

    it(`${name} comes back whenever it ends, but for a wrong configuration`, () => {
      assert.equal(unit.one("Service", "Restart"), "always");
      assert.equal(unit.one("Service", "RestartPreventExitStatus"), "2");
      assert.equal(unit.one("Unit", "StartLimitIntervalSec"), "0");
      assert.ok(Number(unit.one("Service", "RestartSec")) >= 1);
    });
  }

  it("the agent's state directory is where the agent looks for it", () => {
    const unit = readUnit(join(UNITS, "midotrace-agent.service"));
    assert.equal(
      `/var/lib/${unit.one("Service", "StateDirectory")}`,
      commandNamed("agent").options["state-dir"]?.default,
    );
  });

  const noTool = hasCommand("systemd-analyze") ? null : "systemd-analyze not found: apt-get install systemd";
  it("are what systemd takes for good", { skip: unlessThere(noTool) }, () => {
    const directory = mkdtempSync(join(tmpdir(), "midotrace-units-"));
    try {
      for (const name of units) {
        // systemd looks whether the program is there: it need not be installed on this machine.
        const text = readFileSync(join(UNITS, name), "utf8");
        writeFileSync(join(directory, name), text.replace(/^ExecStart=midotrace /m, "ExecStart=/bin/true "));
      }
      const verify = (): { readonly status: number | null; readonly said: string } => {
        const paths = units.map((name) => join(directory, name));
        const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", ...paths], {
          encoding: "utf8",
        });
        return { status, said: `${stdout}${stderr}`.trim() };
      };
      assert.deepEqual(verify(), { status: 0, said: "" });
      // Does it look at all?
      writeFileSync(join(directory, "midotrace-api.service"), "[Service]\nExecStart=/bin/true\nRestrat=always\n");
      assert.match(verify().said, /Restrat/);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });

  it("are published with the package", () => {
    const { files: published } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as { files: string[] };
    assert.ok(published.includes("packaging"));
  });
});
