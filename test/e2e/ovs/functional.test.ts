/** Tracing as operators use it, on real switches: who is traced, how often, and for how long it counts. */
import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { PublicFlowTrace } from "#core/tracing";
import { hostsOf, type LabTrace, skipWithoutLab, TestLab, timed, twoNetworks } from "../../support/real-lab.ts";

const SENDER = "func-1";
const RECEIVER = "func-2";

describe("functional: traces over two hosts", { skip: skipWithoutLab("ping") }, () => {
  let lab: TestLab;
  let expectedRestarts = 0;
  const made: LabTrace[] = [];

  before(async () => {
    lab = await TestLab.start(twoNetworks("func-"));
    await lab.acquaint([SENDER, RECEIVER]);
  });
  afterEach(async () => {
    for (const trace of made.splice(0)) await trace.delete();
  });
  after(async () => {
    assert.equal(lab?.complaints.length ?? 0, expectedRestarts, lab?.complaints.join("\n"));
    await lab?.stop();
  });

  async function newTrace(match: string, limit?: number): Promise<LabTrace> {
    const trace = await lab.trace("router router", match, limit);
    made.push(trace);
    return trace;
  }

  let nextId = 1000;
  /** Separate pings, each with an ICMP identifier of its own: as many flows in each direction. */
  async function pings(count: number): Promise<number[]> {
    const ids = Array.from({ length: count }, () => nextId++);
    for (const id of ids) await lab.ping(SENDER, lab.ip(RECEIVER), "-c", "1", "-e", String(id));
    return ids;
  }

  const idOf = (flow: PublicFlowTrace): number | null => flow.key?.srcPort ?? null;

  /** Each whole, with steps of exactly the two hosts. */
  function assertOnTwoHosts(flows: readonly PublicFlowTrace[], hosts: readonly [string, string] = ["a", "b"]): void {
    for (const flow of flows) {
      assert.deepEqual(hostsOf(flow), hosts);
      assert.deepEqual([flow.completeness.state, flow.verdict], ["complete", "delivered"]);
      for (const segment of flow.segments) assert.ok(segment.steps.length > 0);
    }
  }

  it("egress matching: one ping is two flow traces, each of two hosts", async (t) => {
    const trace = await newTrace("icmp");
    await trace.enable("a", "b");
    // The receiver asks for its gateway's MAC; that is not ICMP, and nothing was traced so far.
    await lab.vm(RECEIVER).namespace.ip("neigh flush dev eth0");
    await lab.exec(RECEIVER, "bash", "-c", "echo hello > /dev/udp/172.16.2.254/9");
    assert.deepEqual(await trace.flows(), []);
    const [id] = await pings(1);
    const flows = await timed(t, "both traces whole after", () => trace.settled(2));
    assert.deepEqual(flows.map(idOf), [id, id]);
    assertOnTwoHosts(flows.slice(0, 1), ["a", "b"]);
    assertOnTwoHosts(flows.slice(1), ["b", "a"]);
    assert.deepEqual(
      flows.map((f) => [f.key?.networkSrc, f.key?.networkDst]),
      [
        ["172.16.1.1", "172.16.2.1"],
        ["172.16.2.1", "172.16.1.1"],
      ],
    );
    const seen = flows.flatMap((f) => f.segments.map((s) => s.hostName));
    assert.ok(!seen.includes("c"));
  });

  it("limit 10 with 20 pings of one direction: exactly the first 10; disabled and enabled: the 11th", async (t) => {
    const trace = await newTrace("icmp and src host 172.16.1.1", 10);
    await trace.enable("a", "b");
    const before = await lab.metric("a", "traced_total");
    const ids = await timed(t, "20 pings", () => pings(20));
    const flows = await trace.settled(10);
    assertOnTwoHosts(flows);
    assert.deepEqual(flows.map(idOf), ids.slice(0, 10));
    // The agent has decided on all of them by now: no further trace is under way.
    assert.equal((await lab.metric("a", "traced_total")) - before, 10);
    await trace.disable("a", "b");
    await trace.enable("a", "b");
    const [eleventh] = await pings(1);
    const more = await trace.settled(11);
    assertOnTwoHosts(more);
    assert.equal(idOf(more.at(-1) as PublicFlowTrace), eleventh);
  });

  it("the limit counts on each host for itself: 20 pings are 10 requests and 10 replies", async () => {
    const trace = await newTrace("icmp", 10);
    await trace.enable("a", "b");
    const traced = async (): Promise<number[]> =>
      Promise.all([lab.metric("a", "traced_total"), lab.metric("b", "traced_total")]);
    const before = await traced();
    await pings(20);
    const flows = await trace.settled(20);
    const requests = flows.filter((f) => f.key?.networkSrc === "172.16.1.1");
    assert.equal(requests.length, 10);
    assertOnTwoHosts(requests, ["a", "b"]);
    assertOnTwoHosts(
      flows.filter((f) => !requests.includes(f)),
      ["b", "a"],
    );
    const now = await traced();
    assert.deepEqual([(now[0] ?? 0) - (before[0] ?? 0), (now[1] ?? 0) - (before[1] ?? 0)], [10, 10]);
  });

  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    it(`an agent ended by ${signal} in the middle neither begins its limit anew nor exceeds it`, async (t) => {
      const trace = await newTrace("icmp and src host 172.16.1.1", 10);
      await trace.enable("a", "b");
      const first = await pings(6);
      assertOnTwoHosts(await trace.settled(6));
      expectedRestarts++;
      await timed(t, `agent of a back after ${signal}`, () => lab.restartAgent("a", signal));
      const rest = await pings(14);
      const flows = await trace.settled(10);
      assertOnTwoHosts(flows);
      assert.deepEqual(flows.map(idOf), [...first, ...rest.slice(0, 4)]);
      assert.equal(await lab.metric("a", "traced_total"), 4, "since its restart");
      await trace.disable("a", "b");
      await trace.enable("a", "b");
      await pings(1);
      assertOnTwoHosts(await trace.settled(11));
    });
  }

  it("a running ping is one flow, before and after its agent was killed", async () => {
    const trace = await newTrace("icmp and src host 172.16.1.1", 10);
    await trace.enable("a", "b");
    await lab.ping(SENDER, lab.ip(RECEIVER), "-c", "2", "-i", "0.2", "-e", "77");
    expectedRestarts++;
    await lab.restartAgent("a", "SIGKILL");
    await lab.ping(SENDER, lab.ip(RECEIVER), "-c", "2", "-i", "0.2", "-e", "77");
    await lab.ping(SENDER, lab.ip(RECEIVER), "-c", "1", "-e", "78");
    const flows = await trace.settled(2);
    assertOnTwoHosts(flows);
    assert.deepEqual(flows.map(idOf), [77, 78]);
  });
});
