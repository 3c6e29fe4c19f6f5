import assert from "node:assert/strict";
import type { ChildProcess } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  endChild,
  type NetworkNamespace,
  OvsHost,
  startZookeeper,
  Testbed,
  testbedMissing,
  Underlay,
  until,
  VmNamespace,
  type ZookeeperEnsemble,
  zookeeperMissing,
} from "#adapters/testbed";
import type { Finding } from "../../src/apps/agent/doctor/finding.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";

const MAIN = join(import.meta.dirname, "../../src/apps/cli/main.ts");
const MIDOTRACE = ["--conditions=source", MAIN];
const STORE_IP = "192.168.10.9";
const STORE_URL = `zookeeper://${STORE_IP}:2181/midonet/v1`;
const HOST_IDS: Readonly<Record<string, string>> = {
  a: "0a000000-0000-4000-8000-00000000000a",
  b: "0b000000-0000-4000-8000-00000000000b",
};

const topology = (addresses: object): object => ({
  hosts: Object.entries(HOST_IDS).map(([name, id]) => ({ name, id })),
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: addresses }],
  bridges: [{ name: "net", tenant: "red", ports: [{ name: "vm", bind: { host: "a", interface: "vm-a" } }] }],
});
const ADDRESSES = { a: "192.168.10.1", b: "192.168.10.2" };

interface Ran {
  readonly code: number;
  readonly failed: boolean;
  readonly findings: readonly Finding[];
}

const missing = testbedMissing() ?? zookeeperMissing();

/** Two hosts with agents; store and API server stand apart, on the same underlay. */
describe("agent doctor on a real host", { skip: unlessThere(missing) }, () => {
  let testbed: Testbed;
  let underlay: Underlay;
  let server: NetworkNamespace;
  let zookeeper: ZookeeperEnsemble;
  let a: OvsHost;
  let b: OvsHost;
  let vm: VmNamespace;
  let agentA: ChildProcess;

  before(async () => {
    testbed = await Testbed.create();
    underlay = await Underlay.create(testbed);
    server = await testbed.namespace("store");
    await underlay.attach("store", server, "phy0", "02:50:c0:a8:0a:09", STORE_IP);
    await server.ip(`address add ${STORE_IP}/24 dev phy0`);
    // The hosts' switches are in userspace: they pass on checksums as they come.
    await server.exec("ethtool", ["-K", "phy0", "tx", "off"]);
    [a, b, zookeeper] = await Promise.all([
      OvsHost.create(testbed, underlay, { name: "a", tunnelAddress: `${ADDRESSES.a}/24` }),
      OvsHost.create(testbed, underlay, { name: "b", tunnelAddress: `${ADDRESSES.b}/24` }),
      startZookeeper({ servers: 1, host: STORE_IP, prefix: ["ip", "netns", "exec", server.name] }),
    ]);
    testbed.onClose(() => zookeeper.stop());
    vm = await VmNamespace.create(testbed, { name: "vm", host: a, interfaceName: "vm-a" });
    await a.namespace.ip("link set vm-a mtu 1450");
    const listen = ["--listen", "127.0.0.1:8181", "--collect", `${STORE_IP}:8181`, "--insecure"];
    await daemon(server, "api", ["api", "--store", STORE_URL, ...listen]);
    await untilReady(server, 8181, "api");
    await apply(ADDRESSES);
    agentA = await daemon(a.namespace, "agent-a", ["agent", ...(await options(a))]);
    await daemon(b.namespace, "agent-b", ["agent", ...(await options(b))]);
    await untilReady(a.namespace, 8182, "agent-a");
    await untilReady(b.namespace, 8182, "agent-b");
  });
  after(() => testbed?.close());

  async function options(host: OvsHost): Promise<string[]> {
    const { name, runDir } = host;
    const identity = ["--host-id", HOST_IDS[name] ?? "", "--host-name", name];
    const state = ["--state-dir", await testbed.directory(`${name}-state`)];
    return ["--store", STORE_URL, ...identity, ...state, "--ovs-run-dir", runDir, "--datapath", "netdev"];
  }

  async function daemon(namespace: NetworkNamespace, name: string, words: readonly string[]): Promise<ChildProcess> {
    const log = openSync(await logOf(name), "a");
    try {
      const stdio = ["ignore", log, log] as const;
      const child = await namespace.spawn(process.execPath, [...MIDOTRACE, ...words], { stdio: [...stdio] });
      testbed.onClose(() => endChild(child));
      return child;
    } finally {
      closeSync(log);
    }
  }

  const logOf = async (name: string): Promise<string> => join(await testbed.directory("log"), `${name}.log`);

  async function untilReady(namespace: NetworkNamespace, port: number, name: string): Promise<void> {
    const asked = ["-s", "-m", "2", "-w", " %{http_code}", `http://127.0.0.1:${port}/readyz`];
    let last = "";
    await until(`${name} to be ready`, 30_000, async () => {
      ({ stdout: last } = await namespace.exec("curl", asked).catch(() => ({ stdout: "" })));
      return last.endsWith(" 200") ? true : null;
    }).catch(async (cause: unknown) => {
      const log = readFileSync(await logOf(name), "utf8").slice(-3000);
      throw new Error(`${name} is not ready: ${last}\n${log}`, { cause });
    });
  }

  /** Makes the network, with these tunnel addresses. */
  async function apply(addresses: object): Promise<void> {
    const file = join(await testbed.directory("topology"), "topology.json");
    writeFileSync(file, JSON.stringify(topology(addresses)));
    await server.exec(process.execPath, [...MIDOTRACE, "topology", "apply", "-f", file]);
  }

  /** On host a. */
  async function doctor(...more: readonly string[]): Promise<Ran> {
    const args = [...MIDOTRACE, "agent", "doctor", "--json", ...(await options(a)), ...more];
    const child = await a.namespace.spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout?.on("data", (chunk: Buffer) => (out += chunk.toString()));
    const code = await new Promise<number>((resolve) => child.once("close", (c) => resolve(c ?? -1)));
    return { code, ...(JSON.parse(out) as Omit<Ran, "code">) };
  }

  /** The line has to be there, and the exit code has to be that of the lines. */
  function names({ code, failed, findings }: Ran, level: Finding["level"], check: string, found: RegExp): void {
    const line = findings.find((f) => f.level === level && f.check === check && found.test(f.found));
    assert.ok(line !== undefined, `no line: ${level} ${check} ${found}\n${JSON.stringify(findings, null, 1)}`);
    assert.equal(
      failed,
      findings.some((f) => f.level === "fail"),
    );
    assert.equal(code, failed ? 1 : 0);
  }

  it("finds nothing wrong with a healthy one", async () => {
    const ran = await doctor();
    const wrong = ran.findings.filter((f) => f.level === "fail" || f.level === "warn");
    // Whether this machine's clock is kept in time is not ours to say.
    assert.deepEqual(
      wrong.filter((f) => f.check !== "clock"),
      [],
    );
    assert.equal(ran.code, 0);
    names(ran, "ok", "ovs-vswitchd", /ovs-vswitchd \d+\.\d+/);
    names(ran, "ok", "datapath", /userspace datapath \(configured\)/);
    names(ran, "ok", "bridge", /br-int is the agent's, with 3 ports/);
    names(ran, "ok", "tunnel bridge", /br-phy \(netdev\) has the tunnel address, and the port phy0/);
    names(ran, "ok", "peers", /packets of 1500 bytes reach b/);
    names(ran, "ok", "API servers", /http:\/\/192\.168\.10\.9:8181 answers, and its clock agrees/);
    names(ran, "ok", "bindings", /all 1 bound/);
    names(ran, "ok", "agent", /ready/);
  });

  it("names a narrow path, with the size that passes", async () => {
    await b.namespace.ip("link set phy0 mtu 1400");
    const ran = await doctor();
    await b.namespace.ip("link set phy0 mtu 1500");
    names(ran, "fail", "peers", /up to 140\d bytes reach peer b \(192\.168\.10\.2\), and 1500 are sent/);
  });

  it("names a peer that is cut off", async () => {
    await underlay.cut("a", "b");
    const ran = await doctor();
    await underlay.heal("a", "b");
    names(ran, "fail", "peers", /peer b .* does not answer, and its agent is alive/);
  });

  it("names a wrong tunnel address", async () => {
    const ran = await doctor("--tunnel-ip", "192.168.10.77");
    names(ran, "fail", "tunnel zone", /send to 192\.168\.10\.1, and this one receives at 192\.168\.10\.77/);
    names(ran, "fail", "tunnel address", /no interface .* 192\.168\.10\.77/);
  });

  it("names two hosts with one tunnel address", async () => {
    await apply({ ...ADDRESSES, b: ADDRESSES.a });
    const ran = await doctor();
    await apply(ADDRESSES);
    names(ran, "fail", "tunnel addresses", /a and b have one tunnel address, 192\.168\.10\.1/);
  });

  it("names a bound interface that is too large, and one that is gone", async () => {
    await a.namespace.ip("link set vm-a mtu 1500");
    names(await doctor(), "warn", "overlay MTU", /vm-a has MTU 1500, and 1450/);
    await vm.detach();
    names(await doctor(), "warn", "bindings", /vm-a, which does not exist/);
  });

  it("names an agent that does not run, while the switch goes on", async () => {
    await endChild(agentA);
    const ran = await doctor();
    names(ran, "warn", "agent", /no agent answers/);
    names(ran, "ok", "bridge", /br-int is the agent's/);
  });

  it("names ZooKeeper when it is stopped", async () => {
    for (const member of zookeeper.servers) await member.kill("SIGTERM");
    const ran = await doctor();
    names(ran, "fail", "store", /does not answer: .*ECONNREFUSED/);
    names(ran, "ok", "ovs-vswitchd", /runs/);
    await zookeeper.startAll();
  });

  it("names ovs-vswitchd when it is killed, and the address that vanished with it", async () => {
    await a.daemons.killSwitch();
    const ran = await doctor("--tunnel-ip", "192.168.10.1");
    names(ran, "fail", "ovs-vswitchd", /does not run or does not answer: its process \d+ is gone/);
    names(ran, "fail", "tunnel address", /no interface of this host has the tunnel address 192\.168\.10\.1/);
    names(ran, "ok", "ovsdb", /answers/);
  });

  it("names a database that is gone", async () => {
    await a.daemons.killDatabase();
    names(await doctor(), "fail", "ovsdb", /db\.sock/);
  });
});
