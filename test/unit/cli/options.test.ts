import assert from "node:assert/strict";
import { nearestWord } from "#core/base";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commandHelp, commandIndex, envName, type OptionTable, readOptions } from "#apps/cli";
import { midotrace, stub } from "./support.ts";

const TABLE = {
  listen: { kind: "text", placeholder: "ADDRESS", default: "here", description: "where" },
  limit: { kind: "integer", placeholder: "N", default: 5n, min: 0n, max: 2n ** 63n - 1n, description: "how many" },
  "no-traffic": { kind: "flag", default: false, description: "quiet" },
  replay: { kind: "list", placeholder: "X", default: [], description: "which" },
  mode: { kind: "text", placeholder: "M", default: "a", choices: ["a", "b"], description: "how" },
} as const satisfies OptionTable;

function read(argv: string[], env: Record<string, string> = {}, file?: unknown): Readonly<Record<string, unknown>> {
  const argvs = file === undefined ? argv : ["--config", "f.yaml", ...argv];
  return readOptions(TABLE, { argv: argvs, env, loadConfig: () => file }).values;
}

test("the command line wins over the environment, that over the file, that over the default", () => {
  const env = { MIDOTRACE_LISTEN: "env" };
  const file = { listen: "file", limit: 7 };
  assert.equal(read([]).listen, "here");
  assert.equal(read([], {}, file).listen, "file");
  assert.equal(read([], env, file).listen, "env");
  assert.equal(read(["--listen", "line"], env, file).listen, "line");
  assert.equal(read([], env, file).limit, 7n);
  assert.equal(read([], { MIDOTRACE_LISTEN: "" }, file).listen, "file", "an empty variable is none");
});

test("flags, lists and 64-bit integers from every source", () => {
  assert.equal(read(["--no-traffic"])["no-traffic"], true);
  assert.equal(read(["--no-traffic=false"], { MIDOTRACE_NO_TRAFFIC: "1" })["no-traffic"], false);
  assert.equal(read([], { MIDOTRACE_NO_TRAFFIC: "yes" })["no-traffic"], true);
  assert.equal(read([], {}, { "no-traffic": true })["no-traffic"], true);
  assert.deepEqual(read(["--replay", "a", "--replay=b"]).replay, ["a", "b"]);
  assert.deepEqual(read([], { MIDOTRACE_REPLAY: "a, b" }).replay, ["a", "b"]);
  assert.deepEqual(read([], {}, { replay: ["a", "b"] }).replay, ["a", "b"]);
  assert.equal(read(["--limit", "9223372036854775807"]).limit, 9223372036854775807n);
});

test("wrong values are refused, and the message says where they came from", () => {
  const refused = (message: RegExp, argv: string[], env?: Record<string, string>, file?: unknown): void => {
    assert.throws(() => read(argv, env, file), { code: "USAGE", message });
  };
  refused(/^unknown option --lisen; did you mean --listen\?$/, ["--lisen", "x"]);
  refused(/^unknown option --zzzzzz$/, ["--zzzzzz"]);
  refused(/^unknown option -q$/, ["-q"]);
  refused(/^unknown option limt in f.yaml; did you mean limit\?$/, [], {}, { limt: 1 });
  refused(/^--listen needs a value$/, ["--listen"]);
  refused(/^--listen is given twice$/, ["--listen", "a", "--listen", "b"]);
  refused(/^MIDOTRACE_LIMIT is a whole number from 0 to 9223372036854775807, not "x"$/, [], { MIDOTRACE_LIMIT: "x" });
  refused(/^--limit is a whole number/, ["--limit", "9223372036854775808"]);
  refused(/^limit in f.yaml is a whole number/, [], {}, { limit: 1.5 });
  refused(/^mode in f.yaml is a or b, not "c"$/, [], {}, { mode: "c" });
  refused(/^--no-traffic is true or false/, ["--no-traffic=maybe"]);
  refused(/^f.yaml is not a table of options$/, [], {}, ["x"]);
});

test("words that no object of ours has are no options either", () => {
  for (const word of ["constructor", "toString", "__proto__"]) {
    assert.throws(() => read([`--${word}`, "x"]), { code: "USAGE" });
  }
});

test("the help of every command lists all its options with default, unit and variable", async () => {
  for (const entry of await commandIndex()) {
    const c = await entry.load();
    const help = commandHelp(c);
    assert.equal(c.name, entry.name);
    for (const [name, spec] of Object.entries(c.options)) {
      assert.ok(help.includes(`--${name}`), `${c.name}: ${name}`);
      assert.ok(help.replaceAll(/\s+/g, " ").includes(`[${envName(name)}]`), `${c.name}: ${name}`);
      if (typeof spec.default === "string" && spec.default !== "") assert.ok(help.includes(spec.default), name);
    }
    assert.ok(
      help.split("\n").every((line) => line.length <= 120),
      c.name,
    );
  }
});

test("the nearest word, or none", () => {
  assert.equal(nearestWord("topolgy", ["trace", "topology", "lab"]), "topology");
  assert.equal(nearestWord("xyzzy", ["trace", "topology"]), null);
});

test("exit codes: 0 done, 1 failed, 2 usage", async (t) => {
  const ends = async (code: number, says: RegExp, ...argv: string[]): Promise<void> => {
    const ran = await midotrace(argv);
    assert.equal(ran.code, code, `${argv.join(" ")}: ${ran.err}`);
    assert.match(code === 0 ? ran.out : ran.err, says);
    assert.equal(code === 0 ? ran.err : ran.out, "");
  };
  await ends(0, /^midotrace 0\.0\.0-test\n$/, "--version");
  await ends(0, /trace create[^]*Exit codes/, "--help");
  await ends(0, /^midotrace trace create \[options\][^]*--match EXPR/, "trace", "create", "--help");
  await ends(0, /trace follow/, "trace", "--help");
  await ends(0, /^midotrace simulate/, "help", "simulate");
  await ends(2, /Usage: midotrace COMMAND/);
  await ends(2, /unknown command trcae; did you mean trace\?/, "trcae", "list");
  await ends(2, /unknown command trace crate; did you mean trace create\?/, "trace", "crate");
  await ends(2, /trace needs a word: create, list/, "trace");
  await ends(2, /trace show needs ID; see midotrace trace show --help/, "trace", "show");
  await ends(2, /trace list does not take "x"/, "trace", "list", "x");
  await ends(2, /name one device: --bridge, --router or --port/, "trace", "create");
  await ends(2, /simulate needs --port and --packet/, "simulate");
  await ends(2, /an agent needs --store: zookeeper:/, "agent");
  const agent = ["agent", "--store", "file:x", "--state-dir", join(tmpdir(), `midotrace-none-${process.pid}`)];
  await ends(2, /--host-id is a UUID, not "h"/, ...agent, "--host-id", "h");
  await ends(2, /--tunnel-ip is an IPv4 address, not "x"/, ...agent, "--tunnel-ip", "x");
  await ends(2, /--datapath is auto or system or netdev, not "dpdk"/, ...agent, "--datapath", "dpdk");
  await ends(2, /lab exec needs VM and COMMAND/, "lab", "exec");
  await ends(0, /agent +A host's agent: drives Open vSwitch/, "--help");
  for (const server of ["lab", "api"]) {
    await ends(2, /--listen 0\.0\.0\.0: nobody is asked for a password.*--insecure/, server, "--listen", "0.0.0.0:0");
    await ends(2, /--listen ::: nobody is asked/, server, "--listen", "[::]:0");
  }
  await ends(2, /--api is a URL such as/, "trace", "list", "--api", "nonsense");
  const gone = await stub({});
  await gone.close();
  await ends(1, /cannot reach \S+\/midonet-api: nobody listens there.*--api/, "trace", "list", "--api", gone.url);
  await ends(1, /cannot read \/none\.yaml/, "topology", "apply", "-f", "/none.yaml");
  const folder = mkdtempSync(join(tmpdir(), "midotrace-cli-"));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "c.yaml");
  writeFileSync(file, "api: nonsense\n");
  await ends(2, /--api is a URL/, "trace", "list", "--config", file);
  writeFileSync(file, "{{");
  await ends(2, /--config: /, "trace", "list", "--config", file);
});
