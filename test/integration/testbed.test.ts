import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { cleanTestbed, listTestbeds, OvsHost, run, Testbed, Underlay, VmNamespace } from "#adapters/testbed";
import { decodeCapture, describeFrame } from "#core/packets";
import { skipWithoutOvs, soon } from "../support/ovs-testbed.ts";

/** What this machine has of namespaces, root-namespace interfaces and processes of Open vSwitch and of ours. */
async function inventory(): Promise<{ namespaces: string[]; links: string[]; processes: string[] }> {
  const namespaces = existsSync("/run/netns") ? readdirSync("/run/netns") : [];
  const { stdout } = await run("ps", ["-eo", "pid,stat,comm"]);
  const processes = stdout.split("\n").filter((l) => /ovs|tcpdump|sleep/.test(l) && !/^\s*\d+ Z/.test(l));
  return {
    namespaces,
    links: readdirSync("/sys/class/net"),
    processes: processes.map((l) => l.trim().split(/\s+/)[0] ?? ""),
  };
}

async function maker(root: string): Promise<{ child: ChildProcess; labId: string; sleepPid: number }> {
  const script = join(import.meta.dirname, "../support/testbed-child.ts");
  const child = spawn(process.execPath, ["--conditions=source", script, root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const [labId, pid] = line.toString().trim().split(" ");
  return { child, labId: labId ?? "", sleepPid: Number(pid) };
}

async function withRegistry(act: (root: string) => Promise<void>): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "mt-"));
  try {
    await act(root);
  } finally {
    await cleanTestbed("all", { root, inUse: true });
    rmSync(root, { recursive: true, force: true });
  }
}

const ping = (from: VmNamespace, to: string): Promise<boolean> =>
  from.exec("ping", ["-c", "1", "-W", "1", to]).then(
    () => true,
    () => false,
  );

describe("testbed", { skip: skipWithoutOvs() }, () => {
  it("a killed maker's things are found and removed, all of them and nothing else", () =>
    withRegistry(async (root) => {
      const { child, labId, sleepPid } = await maker(root);
      const other = await Testbed.create({ root });
      try {
        const keeper = await other.namespace("keeper");
        const sleeper = await keeper.spawn("sleep", ["600"]);
        const testbed = (await listTestbeds(root)).find((t) => t.labId === labId);
        assert.deepEqual(testbed?.inUse, true);
        assert.equal(testbed.namespaces.length, 3);
        assert.deepEqual((await cleanTestbed("all", { root })).removed, [], "what is in use is left");

        child.kill("SIGKILL");
        await once(child, "exit");
        const here = await inventory();
        const mine = (name: string): boolean => name.includes(labId);
        assert.equal(here.namespaces.filter(mine).length, 4, "three and a second name");
        assert.equal(here.links.filter(mine).length, 1);
        assert.ok(here.processes.includes(String(sleepPid)));
        // As if it had been killed while it noted the next thing.
        appendFileSync(join(root, labId, "things.jsonl"), '{"kind":"namespace","na');

        const report = await cleanTestbed("all", { root });
        assert.deepEqual(report.left, [other.labId]);
        const left = await inventory();
        assert.deepEqual(left.namespaces.filter(mine), []);
        assert.deepEqual(left.links.filter(mine), []);
        assert.ok(!left.processes.includes(String(sleepPid)));
        assert.ok(!existsSync(join(root, labId)));
        for (const line of report.removed) assert.ok(mine(line) || line.includes(`process ${sleepPid} `), line);
        assert.equal(sleeper.exitCode, null, "the other testbed goes on");
        assert.ok(left.namespaces.includes(keeper.name));
        await assert.rejects(cleanTestbed(labId, { root }), /no testbed/);
      } finally {
        await other.close();
      }
    }));

  it("a process that has got the number of a dead one of ours is left alone", () =>
    withRegistry(async (root) => {
      const stranger = spawn("sleep", ["600"], { stdio: "ignore" });
      await once(stranger, "spawn");
      const testbed = await Testbed.create({ root });
      const line = { kind: "process", what: "gone long ago", pid: stranger.pid, startTicks: 1 };
      appendFileSync(join(root, testbed.labId, "things.jsonl"), `${JSON.stringify(line)}\n`);
      await testbed.close();
      assert.equal(stranger.exitCode ?? stranger.signalCode, null);
      stranger.kill();
    }));

  it("does not take a name that a namespace has, nor removes it", () =>
    withRegistry(async (root) => {
      const [one, two] = [await Testbed.create({ root }), await Testbed.create({ root })];
      const name = `mtx-${one.labId}`;
      await one.alias(name, await one.namespace("x"));
      await assert.rejects(two.alias(name, await two.namespace("x")), /exists/);
      await two.close();
      assert.ok(existsSync(`/run/netns/${name}`));
      await one.close();
      assert.ok(!existsSync(`/run/netns/${name}`));
    }));

  it("kernels in VMs talk over VXLAN; hosts are cut off and healed; the underlay is captured; VMs come and go", () =>
    withRegistry(async (root) => {
      const testbed = await Testbed.create({ root });
      try {
        const underlay = await Underlay.create(testbed);
        const hosts: OvsHost[] = [];
        const vms: VmNamespace[] = [];
        for (const [i, name] of ["a", "b", "c"].entries()) {
          const host = await OvsHost.create(testbed, underlay, { name, tunnelAddress: `192.168.10.${i + 1}/24` });
          const address = `10.0.0.${i + 1}/24`;
          vms.push(
            await VmNamespace.create(testbed, { name: `vm-${name}`, host, interfaceName: `tap-${name}`, address }),
          );
          hosts.push(host);
        }
        for (const host of hosts) await join3(host, hosts);
        const [a, b] = vms as [VmNamespace, VmNamespace, VmNamespace];
        // The first packet to a peer whose MAC the switch does not know is lost: nobody keeps it warm here.
        await soon(async () => assert.ok(await ping(a, "10.0.0.2")));
        await soon(async () => assert.ok(await ping(a, "10.0.0.3")));
        await soon(async () => assert.ok(await ping(b, "10.0.0.3")));

        const file = join(await testbed.directory("captures"), "icmp.pcap");
        const capture = await underlay.capture(file, "udp port 4789");
        assert.ok(await ping(a, "10.0.0.2"));
        await capture.stop();
        const frames = decodeCapture(readFileSync(file));
        assert.ok("frames" in frames);
        const icmp = frames.frames
          .map((f) => describeFrame(f.bytes, { vxlanPort: 4789 }))
          .filter((d) => /ICMP/i.test(d));
        assert.equal(icmp.length, 2, `one echo request, one reply:\n${icmp.join("\n")}`);

        await underlay.cut("a", "b");
        assert.ok(!(await ping(a, "10.0.0.2")));
        assert.ok(!(await ping(b, "10.0.0.1")));
        assert.ok(await ping(a, "10.0.0.3"), "a reaches c");
        assert.ok(await ping(b, "10.0.0.3"), "b reaches c");
        await underlay.heal("a", "b");
        await soon(async () => assert.ok(await ping(a, "10.0.0.2")));
        await underlay.unplug("c");
        assert.ok(!(await ping(a, "10.0.0.3")));
        await underlay.plug("c");
        await soon(async () => assert.ok(await ping(a, "10.0.0.3")));

        await a.detach();
        assert.ok(!(await ping(a, "10.0.0.2")));
        await hosts[0]?.daemons.vsctl(["del-port", "br-int", "tap-a"]);
        await a.attach();
        await hosts[0]?.daemons.vsctl(["add-port", "br-int", "tap-a"]);
        await soon(async () => assert.ok(await ping(a, "10.0.0.2")));
      } finally {
        await testbed.close();
      }
      assert.deepEqual(await listTestbeds(root), []);
    }));

  it("says the command, its status and its words when one fails", async () => {
    await assert.rejects(
      run("ip", ["link", "show", "no-such-thing"]),
      /`ip link show no-such-thing` failed \(exit status 1\): .*does not exist/,
    );
    await assert.rejects(run("no-such-command", []), /could not be started/);
    await assert.rejects(run("sleep", ["60"], { timeoutMs: 20 }), /did not end within 20 ms/);
  });
});

/** A learning switch on every host, with a tunnel to each of the others: split horizon by `protected`. */
async function join3(host: OvsHost, hosts: readonly OvsHost[]): Promise<void> {
  const args = ["add-br", "br-int", "--", "set", "Bridge", "br-int", "datapath_type=netdev"];
  args.push("--", "add-port", "br-int", `tap-${host.name}`);
  for (const peer of hosts) {
    if (peer === host) continue;
    const options = [`options:remote_ip=${peer.tunnelIp}`, `options:local_ip=${host.tunnelIp}`];
    args.push("--", "add-port", "br-int", `vx-${peer.name}`, "--", "set", "Port", `vx-${peer.name}`, "protected=true");
    args.push("--", "set", "Interface", `vx-${peer.name}`, "type=vxlan", ...options);
  }
  await host.daemons.vsctl(args);
}
