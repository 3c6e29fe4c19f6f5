import assert from "node:assert/strict";
import { symlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { OvsSwitchConfig } from "#adapters/datapath-ovs";
import { systemClock, systemScheduler } from "#adapters/platform";
import { SeededRandom } from "#core/base";
import { parseIpv4 } from "#core/packets";
import { ovsTestbed, skipWithoutOvs, soon } from "../../support/ovs-testbed.ts";

const iterations = Number(process.env["MIDOTRACE_FUZZ_ITERATIONS"] ?? 20000);
const seconds = Number(process.env["MIDOTRACE_FUZZ_SECONDS"] ?? 0);
const seed = Number(process.env["MIDOTRACE_FUZZ_SEED"] ?? 1);

/** Between a client and the real database server: changes bytes of what the server says, at random, while it is told to. */
class Liar {
  lying = false;
  private readonly random: SeededRandom;
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;
  private readonly target: string;

  constructor(target: string, seed: number) {
    this.random = new SeededRandom(seed);
    this.target = target;
    this.server = createServer((client) => this.serve(client));
  }

  listen(path: string): Promise<void> {
    return new Promise((resolve) => this.server.listen(path, resolve));
  }

  hangUp(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.server.close();
    this.hangUp();
  }

  private serve(client: Socket): void {
    const upstream = connect(this.target);
    for (const socket of [client, upstream]) {
      this.sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        this.sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on("data", (chunk) => upstream.write(chunk));
    upstream.on("data", (chunk: Buffer) => client.write(this.lying ? this.mutate(chunk) : chunk));
  }

  private mutate(chunk: Buffer): Buffer {
    const below = (n: number): number => Math.floor(this.random.next() * n);
    const bytes = [...chunk];
    for (let edits = below(4); edits > 0; edits--) {
      const at = below(bytes.length + 1);
      const how = below(4);
      if (how === 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << below(8));
      else if (how === 1) bytes.splice(at, 0, below(256));
      else if (how === 2) bytes.splice(at, 1 + below(20));
      else bytes.splice(at, 0, ...bytes.slice(below(bytes.length), below(bytes.length)));
    }
    return Buffer.from(bytes);
  }
}

test(`a database server that talks nonsense, MIDOTRACE_FUZZ_SEED=${seed}`, { skip: skipWithoutOvs() }, async (t) => {
  const { testbed, a } = await ovsTestbed();
  const reasons = new Map<string, number>();
  let liar: Liar | null = null;
  try {
    const runDir = await testbed.directory("liar");
    liar = new Liar(a.host.daemons.databaseSocket, seed);
    await liar.listen(join(runDir, "db.sock"));
    for (const name of ["ovs-vswitchd.pid", `ovs-vswitchd.${a.host.daemons.switchPid}.ctl`, "br-int.mgmt"])
      symlinkSync(join(a.host.runDir, name), join(runDir, name));
    const ports = new Map<string, boolean>();
    const config = new OvsSwitchConfig({
      clock: systemClock,
      scheduler: systemScheduler,
      log: (_level, message, fields) => {
        if (/^(lost|no connection)/.test(message))
          reasons.set(kind(fields["reason"]), (reasons.get(kind(fields["reason"])) ?? 0) + 1);
      },
      runDir,
      bridge: "br-int",
      tunnelIp: parseIpv4(a.host.tunnelIp) ?? 0,
      datapath: "netdev",
      network: a.network(),
    });
    config.listen({
      bridgeReady: () => undefined,
      bridgeTaken: () => undefined,
      portChanged: (name, port) => ports.set(name, port?.up === true),
    });
    await config.start();
    await a.addDevice("t1");
    config.bindInterfaces(["t1", "t2"]);

    const endMs = performance.now() + seconds * 1000;
    const rounds = Math.ceil(iterations / 2000);
    let n = 0;
    for (; seconds > 0 ? performance.now() < endMs : n < rounds; n++) {
      liar.lying = true;
      // Something to say for the server, several times, each to a connection of its own.
      for (let i = 0; i < 8; i++) {
        liar.hangUp();
        await a.host.daemons.vsctl(["--no-wait", "set", "Bridge", "br-int", `external_ids:round=${n}-${i}`]);
        config.bindInterfaces(i % 2 === 0 ? ["t1"] : ["t1", "t2"]);
        // The length of a lie, not a wait for something: any length is right.
        await sleep(20);
      }
      liar.lying = false;
      liar.hangUp();
      await soon(() => assert.deepEqual(config.waitingFor(), []));
      // It believed many things; now it knows better, and everything works again.
      const device = n % 2 === 0;
      if (device) await a.addDevice("t2");
      else await a.removeDevice("t2");
      config.bindInterfaces(["t1", "t2"]);
      await soon(() => assert.deepEqual([ports.get("t1"), ports.get("t2") ?? false], [true, device]));
      await soon(async () => {
        const listed = (await a.host.daemons.vsctl(["list-ports", "br-int"])).stdout.trim().split("\n");
        assert.deepEqual(listed, ["midotrace-vxlan", "t1", ...(device ? ["t2"] : [])]);
      });
    }
    await config.stop();
    t.diagnostic(`${n} rounds; connections ended for ${[...reasons].map(([r, c]) => `${r} ×${c}`).join(", ")}`);
    assert.ok(n < 5 || reasons.size > 2, "lies were found out");
  } finally {
    liar?.close();
    await testbed.close();
  }
});

const kind = (reason: unknown): string =>
  String(reason)
    .replaceAll(/["0-9(].*/g, "")
    .trim();
