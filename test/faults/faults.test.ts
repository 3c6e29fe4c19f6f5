/** Whatever is killed, cut or frozen: the network forwards, what is traced is true, and everything comes back by itself. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { until } from "#adapters/testbed";
import type { LabTrace } from "../support/real-lab.ts";
import { eventually, skipWithoutLab } from "../support/real-lab.ts";
import { C1, FaultLab, HOSTS } from "../support/fault-lab.ts";
import { GatedApi } from "../support/gated-api.ts";

/** How long the ensemble is away: longer than a session lasts. */
const AWAY_MS = 1_000 * Number(process.env["MIDOTRACE_FAULT_SECONDS"] ?? 20);
const SESSION_MS = 10_000;
/** A client says every third of a session that it is there, so no more than this may be left of it when it dies. */
const SESSION_LEFT_MS = (SESSION_MS * 2) / 3;
/** After this it is known of a flow trace that a part of it has not come. */
const AWAITED_MS = 5_000;

describe("faults, under traffic, with traces enabled", { skip: skipWithoutLab("ping", "python3") }, () => {
  let world: FaultLab;

  before(async () => {
    assert.ok(AWAY_MS > SESSION_MS, "MIDOTRACE_FAULT_SECONDS must exceed the session's timeout");
    world = await FaultLab.start();
  });
  after(async () => {
    // Nobody died but who was killed.
    const others = (world?.lab.complaints ?? []).filter((c) => !c.startsWith("agent of c was ended by SIGKILL"));
    await world?.stop();
    assert.deepEqual(others, []);
  });

  /** At this moment: no flow trace that is old enough claims to be whole without that host, and some name it. */
  async function saysMissing(trace: LabTrace, host: string): Promise<void> {
    await eventually(async () => {
      const old = (await trace.flows()).filter((f) => f.startedAtMs < Date.now() - AWAITED_MS - 1_000);
      const named = old.filter((f) => f.completeness.missing.some((m) => m.hostName === host));
      assert.ok(named.length > 0, `no flow trace says that ${host} is missing`);
    });
  }

  // None of the hosts is affected: packets do not go by way of the store.
  it("the leader of the ZooKeeper ensemble is killed, and comes back", async (t) => {
    const { zookeeper } = world.lab.lab;
    const leader = await zookeeper.untilLed();
    await world.endure(t, {
      affects: [],
      tracesMissParts: false,
      strike: () => leader.kill("SIGKILL"),
      meanwhile: async () => {
        await zookeeper.untilLed();
        await world.ready();
      },
      repair: () => leader.start(),
    });
  });

  // A userspace ovs-vswitchd forwards nothing while it has no database, so what crosses c waits or is lost until then.
  it("ovsdb-server of a host is killed, and comes back", async (t) => {
    const { daemons } = world.lab.host("c").machine;
    await world.endure(t, {
      affects: ["c"],
      tracesMissParts: null,
      strike: () => daemons.killDatabase("SIGKILL"),
      meanwhile: () => sleep(2_000),
      repair: () => daemons.startDatabase(),
    });
  });

  // What goes between a and b, a and c, and within a does not use the cable between b and c.
  it("the underlay between two of three hosts is cut, and healed", async (t) => {
    const { underlay } = world.lab.lab;
    await world.endure(t, {
      affects: { between: ["b", "c"] },
      tracesMissParts: true,
      strike: () => underlay.cut("b", "c"),
      meanwhile: (watched) => saysMissing(watched, "c"),
      repair: () => underlay.heal("b", "c"),
    });
  });

  // Packets to and from c of known flows go on by its switch; of new ones, nobody answers until the agent is back. If it
  // comes back so late that its session is over (on a busy machine), the others have held c's ports for gone meanwhile.
  it("an agent is killed with SIGKILL, and started", async (t) => {
    const { agent } = world.lab.host("c");
    const before = agent.pid;
    let killedMs = 0;
    let wasMissed = false;
    await world.endure(t, {
      affects: ["c"],
      alsoUnharmed: ({ kind, from }) =>
        kind === "established" ? from === C1 || !wasMissed : kind === "tcp" && !wasMissed,
      tracesMissParts: true,
      strike: async () => {
        killedMs = performance.now();
        agent.kill("SIGKILL");
      },
      // It is started again by who keeps it running.
      meanwhile: async () => {
        await until("the agent's next process", 10_000, () =>
          agent.pid === null || agent.pid === before ? null : true,
        );
        await world.ready(["c"]);
        wasMissed = performance.now() - killedMs > SESSION_LEFT_MS;
        t.diagnostic(`its agent was away ${wasMissed ? "longer" : "shorter"} than a session may last without it`);
      },
      repair: async () => {},
    });
  });

  // A userspace switch takes every packet of its host with it: those of c.
  it("ovs-vswitchd of a host is killed, and started", async (t) => {
    const { machine } = world.lab.host("c");
    await world.endure(t, {
      affects: ["c"],
      tracesMissParts: true,
      strike: () => machine.daemons.killSwitch("SIGKILL"),
      meanwhile: () => sleep(2_000),
      repair: () => machine.startSwitch(),
    });
  });

  // When its session ends the others hold c's ports for gone, and ask for its addresses anew: c and its partners are affected.
  // What c sends goes on by its switch, which answers its machine's questions for the gateway, too.
  it("an agent is frozen for longer than its session lasts, and goes on", async (t) => {
    const { agent } = world.lab.host("c");
    await world.endure(t, {
      affects: ["c"],
      alsoUnharmed: ({ kind, from }) => kind === "established" && from === C1,
      // What waited in the frozen agent's sockets is reported when it goes on.
      tracesMissParts: null,
      strike: async () => agent.kill("SIGSTOP"),
      meanwhile: async (watched) => {
        await sleep(SESSION_MS + 3_000);
        await saysMissing(watched, "c");
      },
      repair: async () => agent.kill("SIGCONT"),
    });
  });

  // As with the leader: nobody is affected, for as long as it takes.
  it(`the whole ensemble is away for ${AWAY_MS / 1_000} s, and comes back`, async (t) => {
    const { zookeeper } = world.lab.lab;
    await world.endure(t, {
      affects: [],
      tracesMissParts: false,
      strike: async () => {
        await Promise.all(zookeeper.servers.map((server) => server.kill("SIGKILL")));
      },
      meanwhile: () => sleep(AWAY_MS),
      repair: () => zookeeper.startAll(),
    });
  });

  // As before. Agents and API do not take an empty store for an empty network.
  it("the ensemble is wiped, and its content restored from an export", async (t) => {
    const { zookeeper, storeUrl, testbed } = world.lab.lab;
    const file = join(await testbed.directory("backup"), "store.json");
    await world.endure(t, {
      affects: [],
      tracesMissParts: false,
      strike: async () => {
        await world.midotrace("store", "export", "--store", storeUrl, "-o", file);
        await Promise.all(zookeeper.servers.map((server) => server.kill("SIGKILL")));
        await Promise.all(zookeeper.servers.map((server) => server.wipe()));
        await zookeeper.startAll();
      },
      meanwhile: async () => {
        await sleep(SESSION_MS);
        await eventually(async () => {
          for (const url of [world.lab.lab.url, ...world.lab.lab.hosts.map((h) => h.statusUrl)]) {
            const ready = await fetch(`${url}/readyz`);
            assert.equal(ready.status, 503);
            assert.match(await ready.text(), /it was emptied, or is another one/);
          }
        });
        await assert.rejects(world.lab.call("GET", "/bridges"), /503/);
      },
      repair: async () => {
        await world.midotrace("store", "import", "--store", storeUrl, "-i", file);
      },
    });
  });

  // The server that dies is another one than that which is asked for the traces; packets have nothing to do with either.
  it("an API server is killed at each of its requests to the store while it enables a trace", async (t) => {
    const { lab } = world;
    const api = new GatedApi(lab);
    const trace = await lab.trace("bridge two", "udp and dst port 9");
    const { pathname } = new URL(trace.uri);
    const armed = (): Promise<number[]> => Promise.all(HOSTS.map((h) => lab.metric(h, "traces_armed")));
    /** Wholly enabled or wholly disabled: flag, rule, and every agent. */
    const assertWhole = async (enabled: boolean, before: readonly number[], text: string): Promise<void> => {
      const { enabled: flag } = await lab.call<{ enabled: boolean }>("GET", trace.uri);
      assert.equal(flag, enabled, text);
      assert.deepEqual(await world.storeFindings(), [], text);
      const expected = before.map((n) => n + (enabled ? 1 : 0));
      await eventually(async () => assert.deepEqual(await armed(), expected, text));
    };
    let before: number[] = [];
    const sweep = async (): Promise<void> => {
      before = await armed();
      const outcomes = { disabled: 0, enabled: 0 };
      for (let nth = 1; ; nth++) {
        for (const moment of ["before", "after"] as const) {
          await api.start();
          api.dieAt(nth, moment);
          const status = await api.put(pathname, { enabled: true });
          const text = `killed ${moment} request ${nth} (${api.requests.join(", ")}), answered ${status}`;
          await assertWhole(api.committed > 0, before, text);
          if (api.committed > 0) outcomes.enabled++;
          else outcomes.disabled++;
          if (api.committed > 0) await trace.disable(...HOSTS);
          if (status === null) continue;
          api.spare();
          assert.equal(status, 204);
          t.diagnostic(`enabling is ${nth - 1} requests: ${api.requests.join(", ")}; ${JSON.stringify(outcomes)}`);
          assert.ok(nth > 1 && outcomes.enabled > 1, "it was killed before and after the transaction too");
          return;
        }
      }
    };
    try {
      await world.endure(t, {
        affects: [],
        tracesMissParts: false,
        strike: sweep,
        repair: async () => {
          await api.start();
          assert.equal(await api.put(pathname, { enabled: true }), 204);
          await assertWhole(true, before, "after the repair");
        },
      });
    } finally {
      await trace.delete();
      await api.stop();
    }
  });

  // Whatever has an end on c is gone with it; the others do not notice. Last, for it does not come back.
  it("a host is removed for ever", async (t) => {
    const { lab } = world;
    const { agent, machine, id } = lab.host("c");
    const { portId } = lab.lab.vm(C1);
    await world.endure(t, {
      affects: ["c"],
      gone: ["c"],
      tracesMissParts: true,
      strike: async () => {
        await lab.lab.underlay.unplug("c");
        await Promise.all([agent.stop("SIGKILL"), machine.crash(), world.traffic.kill(C1)]);
        await lab.vm(C1).detach();
      },
      meanwhile: async (watched) => {
        await eventually(async () => {
          const host = await lab.call<{ alive: boolean }>("GET", `/hosts/${id}`);
          const port = await lab.call<{ active: boolean }>("GET", `/ports/${portId}`);
          assert.deepEqual([host.alive, port.active], [false, false]);
        });
        await saysMissing(watched, "c");
      },
      repair: async () => {},
    });
  });
});
