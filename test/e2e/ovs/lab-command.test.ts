/** `midotrace lab --ovs` and its helpers as their users have them: processes with options, output and exit codes. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { listTestbeds, run } from "#adapters/testbed";
import { eventually, skipWithoutLab } from "../../support/real-lab.ts";
import { Program, ran } from "../lab-child.ts";

const LAB = ["lab", "--ovs", "--no-traffic", "--listen", "127.0.0.1:0"];
const VMS = ["red-1", "red-2", "red-3", "red-4", "blue-1", "blue-2", "outside-1"];
const SOURCE = join(import.meta.dirname, "../../../src/apps/cli/main.ts");

interface RunningLab {
  readonly program: Program;
  readonly id: string;
  readonly url: string;
  readonly makerPid: number;
}

/** The lab of the example, as its banner describes it. */
async function startLab(t: TestContext): Promise<RunningLab> {
  const program = new Program(LAB);
  t.after(() => program.kill());
  await program.seen(/Ctrl\+C/);
  const [, seconds] = await program.seen(/up in ([\d.]+) s/);
  t.diagnostic(`stands after ${seconds} s`);
  const [, id = ""] = await program.seen(/Logs +\S*\/testbeds\/([0-9a-f]+)\/log/);
  const [, url = ""] = await program.seen(/API +(\S+)\/midonet-api/);
  const status = (await listTestbeds()).find((l) => l.labId === id);
  assert.ok(status?.makerPid != null && status.inUse);
  return { program, id, url, makerPid: status.makerPid };
}

/** What this machine has of a lab: names of namespaces and interfaces, its processes, its files. */
async function traces({ id }: { readonly id: string }): Promise<string[]> {
  const files = readdirSync("/run/netns").filter((name) => name.includes(id) || VMS.includes(name));
  const links = (await run("ip", ["-o", "link", "show"])).stdout.split("\n").filter((line) => line.includes(id));
  const directory = join("/run/midotrace/testbeds", id);
  return [...files, ...links, ...(existsSync(directory) ? [directory] : [])];
}

/** Every process of the lab but its maker: those in its namespaces, and those that have its id in their command line. */
async function processesOf({ id, makerPid }: RunningLab): Promise<number[]> {
  const pids = new Set<number>();
  for (const name of readdirSync("/run/netns").filter((n) => n.includes(id))) {
    const { stdout } = await run("ip", ["netns", "pids", name]);
    for (const pid of stdout.split("\n").filter((line) => line !== "")) pids.add(Number(pid));
  }
  for (const pid of numbers("/proc")) if (commandLine(pid).includes(id) || parentOf(pid) === makerPid) pids.add(pid);
  return [...pids];
}

const numbers = (directory: string): number[] => readdirSync(directory).map(Number).filter(Number.isInteger);

function commandLine(pid: number): string {
  return readOrEmpty(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
}

function parentOf(pid: number): number {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  return Number(text.slice(text.lastIndexOf(")") + 2).split(" ")[1]);
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Zombies, whose command line is empty, do not count. */
const alive = (pids: readonly number[]): string[] => pids.map(commandLine).filter((line) => line !== "");

const exec = (...argv: string[]): ReturnType<typeof ran> => ran("lab", "exec", ...argv);

describe("midotrace lab --ovs as a command", { skip: skipWithoutLab("ping") }, () => {
  // Whatever a failed test left: of labs whose maker is gone, and of nobody else.
  after(() => ran("lab", "clean"));

  it("stands, says what it is, runs commands in VMs, refuses a second of its kind, and goes without a trace", async (t) => {
    const lab = await startLab(t);
    const { program, id, url } = lab;
    assert.match(program.out, /Hosts +host-a 192\.0\.2\.1 +host-b 192\.0\.2\.2 +host-c 192\.0\.2\.3\n/);
    assert.match(program.out, /Store +zookeeper:\/\/198\.1[89]\.\S+\/midonet\/v1\n/);
    for (const name of VMS) assert.match(program.out, new RegExp(`${name} .*host-[abc] +mt-${id}-${name}\n`));

    const ping = await exec("red-1", "--", "ping", "-c", "2", "-i", "0.2", "10.0.2.2");
    assert.deepEqual([ping.code, ping.err], [0, ""]);
    assert.match(ping.out, /2 packets transmitted, 2 received, 0% packet loss/);
    const tree = await program.seen(/First traced flow\n[^]*?complete: [^\n]*reported\n/);
    assert.match(tree[0], /DELIVERED to port red-db\/red-3 on host host-b/);
    assert.match(tree[0], /host host-a {2}ingress[^]*on the wire 0x8[^]*host host-b {2}egress/);
    await run("ip", ["netns", "exec", "red-1", "ping", "-c", "1", "-W", "5", "10.0.2.2"]);
    const flows = await ran("trace", "flows", "example", "--api", url);
    assert.match(flows.out, /delivered +complete +- +ICMP 10\.0\.1\.10 > 10\.0\.2\.2/);

    await t.test("lab exec gives back the command's status and words", async () => {
      assert.equal((await exec("red-1", "--", "bash", "-c", "exit 7")).code, 7);
      assert.equal((await exec("red-1", "--", "bash", "-c", "kill -9 $$")).code, 137);
      const said = await exec("blue-2", "--lab", id, "--", "bash", "-c", "echo out; echo err >&2");
      assert.deepEqual(said, { code: 0, out: "out\n", err: "err\n" });
      assert.match((await exec("host-b", "--", "ip", "-4", "-o", "address")).out, /192\.0\.2\.2\/24/);
      const unknown = await exec("red-9", "--", "true");
      assert.equal(unknown.code, 1);
      assert.match(unknown.err, /no VM or host red-9, only .*blue-1, .*host-a, .*; did you mean "red-[1-4]"\?\n$/);
      const elsewhere = await exec("red-1", "--lab", "0", "--", "true");
      assert.deepEqual([elsewhere.code, elsewhere.out], [1, ""]);
      assert.match(elsewhere.err, /lab 0 does not run/);
      assert.equal((await exec("red-1")).code, 2);
    });

    await t.test("lab exec that is ended ends its command", async () => {
      const asleep = new Program(["lab", "exec", "red-2", "--", "sleep", "98765"]);
      const sleepers = (): string[] =>
        numbers("/proc")
          .map(commandLine)
          .filter((line) => line === "sleep 98765");
      await eventually(async () => assert.equal(sleepers().length, 1));
      asleep.signal("SIGTERM");
      assert.equal(await asleep.ended, 143);
      assert.deepEqual(sleepers(), []);
    });

    await t.test("a second lab is refused, for its names and for its address", async () => {
      const second = await ran(...LAB);
      assert.deepEqual([second.code, second.out], [1, ""]);
      assert.match(
        second.err,
        new RegExp(`^midotrace: VM red-1: lab ${id} \\(process ${lab.makerPid}\\) runs and has a VM`),
      );
      const third = await ran("lab", "--ovs", "--listen", url.replace("http://", ""));
      assert.deepEqual([third.code, third.out], [1, ""]);
      assert.match(third.err, /is in use already.*--listen/);
      const clean = await ran("lab", "clean");
      assert.match(clean.out, new RegExp(`left lab ${id}, which runs; --running ends it\n`));
      await run("ip", ["netns", "exec", "red-1", "ping", "-c", "1", "-W", "5", "10.0.2.2"]);
    });

    const processes = await processesOf(lab);
    assert.ok(processes.length > 15, alive(processes).join("\n"));
    program.signal("SIGTERM");
    assert.equal(await program.ended, 0, program.err);
    assert.deepEqual(await traces(lab), []);
    assert.deepEqual(alive(processes), []);
    assert.ok(!program.err.includes("warning"), program.err);
    assert.match((await exec("red-1", "--", "true")).err, /no lab on Open vSwitch runs|no VM or host red-1/);
  });

  it("killed by SIGKILL: lab clean removes all of it, and nothing else", async (t) => {
    const own = { namespace: `keep-${process.pid}`, link: `kp${process.pid}` };
    await run("ip", ["netns", "add", own.namespace]);
    t.after(() => run("ip", ["netns", "delete", own.namespace]));
    await run("ip", ["link", "add", own.link, "type", "veth", "peer", "name", "eth0", "netns", own.namespace]);
    const sleeper = spawn("ip", ["netns", "exec", own.namespace, "sleep", "600"], { stdio: "ignore" });
    t.after(() => sleeper.kill("SIGKILL"));

    const lab = await startLab(t);
    const processes = await processesOf(lab);
    process.kill(lab.makerPid, "SIGKILL");
    await lab.program.ended;
    assert.ok((await traces(lab)).length > VMS.length, "it had no chance to remove anything");
    assert.ok(alive(processes).length > 0);

    const again = await ran(...LAB);
    assert.deepEqual([again.code, again.out], [1, ""]);
    assert.match(again.err, new RegExp(`lab ${lab.id} crashed .*: midotrace lab clean removes that`));

    const clean = await ran("lab", "clean");
    assert.deepEqual([clean.code, clean.err], [0, ""]);
    assert.match(clean.out, new RegExp(`removed namespace mt-${lab.id}-red-1\n`));
    assert.ok(!clean.out.includes(own.namespace) && !clean.out.includes(own.link), clean.out);
    assert.deepEqual(await traces(lab), []);
    assert.deepEqual(alive(processes), []);
    assert.equal(sleeper.exitCode ?? sleeper.signalCode, null, "a process of somebody else");
    assert.match((await run("ip", ["link", "show", own.link])).stdout, new RegExp(own.link));
    assert.equal((await run("ip", ["netns", "pids", own.namespace])).stdout.trim(), String(sleeper.pid));

    const twice = await ran("lab", "clean", "--lab", lab.id);
    assert.equal(twice.code, 1);
    assert.match(twice.err, new RegExp(`no testbed ${lab.id}`));
  });

  for (const signal of ["SIGTERM", "SIGHUP"] as const) {
    it(`${signal} while it starts: what was made so far is removed`, async (t) => {
      const before = new Set((await listTestbeds()).map((l) => l.labId));
      const program = new Program(LAB);
      t.after(() => program.kill());
      const id = await eventually(async () => {
        const labs = await listTestbeds();
        const fresh = labs.find((l) => !before.has(l.labId) && commandLine(l.makerPid ?? 0).includes(SOURCE));
        assert.ok(fresh !== undefined && fresh.namespaces.length > 3);
        return fresh.labId;
      });
      program.signal(signal);
      assert.equal(await program.ended, 1);
      assert.equal(program.out, "");
      assert.deepEqual(await traces({ id }), []);
    });
  }

  it("nobody reads its words any more: it stops, and removes what was made", async () => {
    const line = '"$0" --conditions=source "$@" 2>&1 | head -n 1';
    const { stdout } = await run("bash", ["-c", line, process.execPath, SOURCE, ...LAB], { timeoutMs: 60_000 });
    assert.match(stdout, /3 hosts with Open vSwitch, 7 VMs, ZooKeeper\n$/);
    const ofThisKind = (await listTestbeds()).filter((l) => l.namespaces.some((n) => n.endsWith("-red-1")));
    assert.deepEqual(ofThisKind, []);
    assert.deepEqual(
      readdirSync("/run/netns").filter((name) => VMS.includes(name)),
      [],
    );
  });

  it("says what is missing, and makes nothing", async (t) => {
    const command = [process.execPath, "--conditions=source", SOURCE, ...LAB];
    // A user namespace without a mapping: somebody else who may still read this checkout.
    const unprivileged = await output("unshare", ["--user", ...command]);
    assert.match(unprivileged.err, /^midotrace: network namespaces need root: run it with sudo\n$/);
    assert.equal(unprivileged.code, 1);

    const empty = await mkdtemp(join(tmpdir(), "midotrace-empty-"));
    t.after(() => rm(empty, { recursive: true }));
    const hide = `mount --bind ${empty} /usr/share/java && exec "$@"`;
    const without = await output("unshare", ["--mount", "bash", "-c", hide, "bash", ...command]);
    assert.match(without.err, /^midotrace: .*zookeeper\.jar not found: apt-get install zookeeper\n$/);
    assert.equal(without.code, 1);
  });
});

function output(command: string, args: readonly string[]): Promise<{ code: number | null; err: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
    let err = "";
    child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, err }));
  });
}
