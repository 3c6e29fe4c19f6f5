import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { FileTraceJournal } from "#adapters/trace-journal-file";
import { NO_JOURNAL, type TraceJournal } from "#core/tracing";
import { type Cluster, type ClusterPlan, ip, routedPlan } from "../support/cluster.ts";
import { assertComplete, ingressOf, onCluster } from "../support/cluster-kit.ts";
import { withDirectory } from "../support/nsdb-temporary.ts";

const DB = ip("10.0.2.20");
const requestsOnly = { dlType: 0x0800, nwProto: 1, nwSrcAddress: "10.0.1.10" } as const;

const router = (c: Cluster): Promise<string> => c.deviceNamed("routers", "router");

async function pings(c: Cluster, first: number, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const [answer] = await c.during(c.vm("red-1").ping(DB, { id: first + i }));
    assert.equal(answer?.kind, "reply");
  }
  await c.settle(100);
}

async function talk(c: Cluster, srcPort: number): Promise<void> {
  const answer = await c.during(c.vm("red-1").udp(DB, 7, new Uint8Array([1]), { srcPort }));
  assert.equal(answer.kind, "reply");
  await c.settle(100);
}

/** A journal that takes nothing more after its agent was killed: what a dying agent still does in the test does not count. */
class Mortal {
  dead = false;
  readonly journal: TraceJournal;

  constructor(real: TraceJournal) {
    const alive = (): TraceJournal => (this.dead ? NO_JOURNAL : real);
    this.journal = {
      get unwritten() {
        return real.unwritten;
      },
      open: () => alive().open(),
      counted: (...args) => alive().counted(...args),
      held: (...args) => alive().held(...args),
      seen: (...args) => alive().seen(...args),
      ended: (...args) => alive().ended(...args),
      forgotten: (...args) => alive().forgotten(...args),
      begun: (...args) => alive().begun(...args),
      reported: (...args) => alive().reported(...args),
      tend: () => alive().tend(),
      close: () => alive().close(),
    };
  }
}

interface Scene {
  readonly c: Cluster;
  /** The agent of h1 is killed, and after a while another one starts. */
  readonly restart: (downMs?: number) => Promise<void>;
}

function onRestartingCluster(work: (s: Scene) => Promise<void>): Promise<void> {
  return withDirectory(async (directory) => {
    const mortals: Mortal[] = [];
    const plan: ClusterPlan = {
      ...routedPlan(),
      keepForwarding: true,
      journal: (host) => {
        if (host !== "h1") return NO_JOURNAL;
        const mortal = new Mortal(new FileTraceJournal({ directory, log: () => undefined }));
        mortals.push(mortal);
        return mortal.journal;
      },
    };
    await onCluster(plan, (c) =>
      work({
        c,
        restart: async (downMs = 2_000) => {
          (mortals.at(-1) as Mortal).dead = true;
          await c.killAgent("h1");
          await c.settle(downMs);
          await c.startAgent("h1");
          await c.settle();
        },
      }),
    );
  });
}

const tracedAt = (c: Cluster): number => ingressOf(c, "h1").length;

describe("an agent that is killed and started again", () => {
  it("goes on counting: a limit of 10 is 10, over two restarts", () =>
    onRestartingCluster(async ({ c, restart }) => {
      await c.trace("ROUTER", await router(c), requestsOnly, { limit: 10n });
      await pings(c, 100, 4);
      await restart();
      await pings(c, 200, 4);
      assert.equal(tracedAt(c), 8);
      await restart();
      await pings(c, 300, 10);
      assert.equal(tracedAt(c), 10);
      await restart();
      await pings(c, 400, 2);
      assert.equal(tracedAt(c), 10, "used up stays used up");
      assertComplete(c.flowTraces());
    }));

  it("counts anew when the trace was enabled anew meanwhile", () =>
    onRestartingCluster(async ({ c, restart }) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 3n });
      await pings(c, 100, 5);
      assert.equal(tracedAt(c), 3);
      await c.admin.traces.disable(id);
      await restart();
      await c.admin.traces.enable(id);
      await c.settle();
      await pings(c, 200, 5);
      assert.equal(tracedAt(c), 6);
    }));

  it("does not trace a conversation again that an entry served all the time", () =>
    onRestartingCluster(async ({ c, restart }) => {
      await c.trace("ROUTER", await router(c), { nwProto: 17, nwSrcAddress: "10.0.1.10" });
      await talk(c, 20_000);
      assert.equal(tracedAt(c), 1);
      for (let i = 0; i < 20; i++) {
        await c.settle(10_000);
        await talk(c, 20_000);
      }
      await restart(30_000);
      await talk(c, 20_000);
      assert.equal(tracedAt(c), 1, "it still runs");
      await talk(c, 20_001);
      assert.equal(tracedAt(c), 2, "another one is another one");
    }));

  it("traces a conversation again that has ended meanwhile", () =>
    onRestartingCluster(async ({ c, restart }) => {
      await c.trace("ROUTER", await router(c), requestsOnly);
      await pings(c, 100, 1);
      await restart();
      await pings(c, 100, 1);
      assert.equal(tracedAt(c), 1, "a ping that runs on is one flow");
      await restart(120_000);
      await pings(c, 100, 1);
      assert.equal(tracedAt(c), 2, "a minute without a packet: another flow");
      await restart();
      await c.settle(70_000);
      await pings(c, 100, 1);
      assert.equal(tracedAt(c), 3, "remembered for a minute, and nobody came");
    }));

  it("keeps the count of an enabling whose device it does not meet for long, and forgets one that is over", () =>
    onRestartingCluster(async ({ c, restart }) => {
      const id = await c.trace("ROUTER", await router(c), requestsOnly, { limit: 3n });
      const gone = await c.trace("BRIDGE", await c.deviceNamed("bridges", "web"), requestsOnly, { limit: 1n });
      await pings(c, 100, 5);
      const before = tracedAt(c);
      await restart();
      await c.admin.traces.delete(gone);
      await c.settle(1_300_000);
      await pings(c, 200, 3);
      assert.equal(tracedAt(c), before, "twenty minutes later");
      await c.admin.traces.disable(id);
      await c.admin.traces.enable(id);
      await c.settle();
      await pings(c, 300, 5);
      assert.equal(tracedAt(c), before + 3);
    }));
});
