import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { describe, it } from "node:test";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { startZookeeper, zookeeperMissing } from "#adapters/testbed";
import { eventually } from "../support/nsdb-eventually.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";

function namespacesMissing(): string | null {
  if (process.getuid?.() !== 0) return "network namespaces need root: run it with sudo";
  try {
    execFileSync("ip", ["netns", "list"], { stdio: "ignore" });
    return null;
  } catch {
    return "ip not found: apt-get install iproute2";
  }
}

const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`);

describe("ZooKeeper servers of the testbed", { skip: unlessThere(zookeeperMissing()) }, () => {
  it("live in a network namespace, on its address, and end with stop", {
    skip: unlessThere(namespacesMissing()),
  }, async () => {
    const name = `mt-zk-${process.pid}`;
    execFileSync("ip", ["netns", "add", name]);
    try {
      execFileSync("ip", ["-n", name, "addr", "add", "10.9.8.7/32", "dev", "lo"]);
      execFileSync("ip", ["-n", name, "link", "set", "lo", "up"]);
      const ensemble = await startZookeeper({ servers: 1, host: "10.9.8.7", prefix: ["ip", "netns", "exec", name] });
      const [server] = ensemble.servers;
      assert.equal(ensemble.connectString, "10.9.8.7:2181");
      assert.equal((await ensemble.leader())?.id, 1);
      assert.equal(await server?.mode(), "standalone");
      const { pid } = server ?? {};
      await ensemble.stop();
      assert.ok(typeof pid === "number" && !isAlive(pid));
    } finally {
      execFileSync("ip", ["netns", "del", name]);
    }
  });
  it("stop and start by SIGTERM, keep their data, and forget it when wiped", async () => {
    const ensemble = await startZookeeper({ servers: 1 });
    try {
      const [server] = ensemble.servers;
      assert.ok(server);
      await assert.rejects(server.wipe(), /end it before wiping/);
      await server.kill("SIGTERM");
      assert.deepEqual([server.pid, await server.mode(), await ensemble.leader()], [null, null, null]);
      await server.start();
      assert.equal(await server.mode(), "standalone");
      server.pause();
      assert.equal(await server.mode(), null);
      await server.kill("SIGTERM");
      await server.wipe();
    } finally {
      await ensemble.stop();
      await ensemble.stop();
    }
  });
  it("a port that is taken is named by the failure", async () => {
    const first = await startZookeeper({ servers: 1 });
    try {
      const ports = first.servers.map((server) => server.ports);
      await assert.rejects(startZookeeper({ servers: 1, ports }), /Address already in use/);
    } finally {
      await first.stop();
    }
  });
  it("do not outlive the process that started them, even when it is killed", async () => {
    const code = `
      import { startZookeeper } from "#adapters/testbed";
      const ensemble = await startZookeeper({ servers: 1, directory: process.argv[1] });
      console.log(ensemble.servers[0].pid);
      setInterval(() => {}, 1e6);
    `;
    const directory = `/tmp/midotrace-zookeeper-orphan-${process.pid}`;
    const args = ["--conditions=source", "--input-type=module", "-e", code, directory];
    const parent = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    try {
      const [line] = (await once(parent.stdout, "data")) as [Buffer];
      const pid = Number(line.toString());
      assert.ok(pid > 0 && isAlive(pid));
      parent.kill("SIGKILL");
      await eventually(() => assert.equal(isAlive(pid), false));
    } finally {
      parent.kill("SIGKILL");
      execFileSync("rm", ["-rf", directory]);
    }
  });
});
