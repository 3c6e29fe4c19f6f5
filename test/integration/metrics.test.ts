import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { prometheusPage } from "#adapters/metrics-prometheus";
import { AGENT_METRIC_TABLES, AGENT_METRICS, agentMetrics } from "#apps/agent";
import { API_METRIC_TABLES, API_OPTIONS, composeApi } from "#apps/api";
import { readOptions } from "#apps/cli";
import type { FlowTraceId, MetricTable, TraceRequestId } from "#core/base";
import { AgentProcess } from "../../src/apps/agent/agent-process.ts";
import { AGENT_OPTIONS } from "../../src/apps/agent/options.ts";
import { type Cluster, ip, routedPlan } from "../support/cluster.ts";
import { onCluster } from "../support/cluster-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";
import { type Family, parsePrometheusText } from "../support/prometheus-text.ts";
import { segmentNo } from "../support/sink-rig.ts";
import { send, startRig } from "./api-support.ts";

const optionsOf = (table: Parameters<typeof readOptions>[0], ...argv: string[]) =>
  readOptions(table, { argv, env: {}, loadConfig: () => ({}) }).values as never;

/** The page declares these, each as its table says, and beside them only what is known of the process. */
function assertDeclared(page: ReadonlyMap<string, Family>, tables: readonly MetricTable[]): void {
  const declared = tables.flatMap((t) => Object.entries(t));
  const own = [...page.values()].filter((f) => !/^(process|nodejs)_/.test(f.name));
  assert.deepEqual(
    own.map((f) => `${f.name} ${f.type} ${f.help}`).sort(),
    declared.map(([name, { kind, help }]) => `${name} ${kind} ${help}`).sort(),
  );
  for (const { name, samples } of own) {
    const labels = Object.keys(declared.find(([n]) => n === name)?.[1].labels ?? {}).sort();
    for (const s of samples)
      assert.deepEqual(
        Object.keys(s.labels)
          .filter((l) => l !== "le")
          .sort(),
        labels,
        name,
      );
  }
}

function value(page: ReadonlyMap<string, Family>, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const family = page.get(name) ?? page.get(name.replace(/_(bucket|sum|count)$/, ""));
  const found = family?.samples.find(
    (s) => s.name === name && Object.entries(labels).every(([k, v]) => s.labels[k] === v),
  );
  assert.ok(found !== undefined, `no ${name}${JSON.stringify(labels)}`);
  return found.value;
}

describe("what an API server counts", () => {
  it("is on its page as declared, and moves with what happens", async (t: TestContext) => {
    const api = composeApi(
      optionsOf(API_OPTIONS, "--store", "memory:", "--listen", "127.0.0.1:0"),
      "1",
      () => undefined,
    );
    await api.start();
    t.after(() => api.stop());
    const { url } = api.server;
    const page = async () => parsePrometheusText((await send(`${url}/metrics`, "GET")).text);
    const before = await page();
    assertDeclared(before, API_METRIC_TABLES);
    assert.equal(value(before, "midotrace_api_ready"), 1);
    assert.equal(
      (await send(`${url}/midonet-api/bridges`, "POST", { body: { name: "b", tenantId: "red" } })).status,
      201,
    );
    assert.equal((await send(`${url}/nowhere`, "GET")).status, 404);
    const after = await page();
    assertDeclared(after, API_METRIC_TABLES);
    assert.equal(value(after, "midotrace_api_requests_total", { operation: "createBridge", status: "201" }), 1);
    assert.equal(value(after, "midotrace_api_requests_total", { operation: "none", status: "404" }), 1);
    assert.equal(value(after, "midotrace_api_request_seconds_count", { operation: "createBridge" }), 1);
    const commits = (p: typeof after): number => value(p, "midotrace_store_seconds_count", { operation: "commit" });
    assert.equal(commits(after), commits(before) + 1);
    assert.ok(value(after, "process_resident_memory_bytes") > 1e6);
  });
});

describe("what an API server says of its trace store", () => {
  it("how much is kept and pinned, how long answers took, what was lost and why", async (t: TestContext) => {
    const rig = await startRig();
    t.after(() => rig.stop());
    const bridge = await rig.make("/bridges", { name: "b", tenantId: "red" });
    const request = await rig.make("/traces", { name: "t", deviceType: "BRIDGE", deviceId: bridge, condition: {} });
    const segments = [1, 2, 3].map((n) => ({ ...segmentNo(n), requestIds: [request as TraceRequestId] }));
    const { changed } = await rig.traceStore.add(segments);
    await rig.traceStore.pin(changed[0] as FlowTraceId, true);
    assert.equal((await rig.ask("GET", `/traces/${request}/flows`)).status, 200);
    const page = parsePrometheusText((await send(`${rig.url}/metrics`, "GET")).text);
    assert.equal(value(page, "midotrace_api_flow_traces"), changed.length);
    assert.equal(value(page, "midotrace_api_flow_traces_pinned"), 1);
    assert.ok(value(page, "midotrace_api_flow_traces_bytes") > 0);
    assert.equal(value(page, "midotrace_api_flow_traces_evicted_total"), 0);
    assert.equal(value(page, "midotrace_api_trace_store_seconds_count", { operation: "flows" }), 1);
    assert.equal(value(page, "midotrace_api_trace_store_failures_total"), 0);
  });
});

describe("what an agent counts", () => {
  const pageOf = (c: Cluster, host: string) => {
    const agent = c.agents.get(host) ?? assert.fail(host);
    const datapath = () => c.switches.get(host)?.stats() ?? null;
    return prometheusPage([agentMetrics({ agent: () => agent, datapath, ready: () => true })]);
  };

  it("flows traced, limits used, trace state sent, received and missing, lag of the topology", () =>
    onCluster(routedPlan(), async (c) => {
      const router = await c.deviceNamed("routers", "router");
      const small = await c.trace("ROUTER", router, { nwProto: 17, tpDst: { start: 7, end: 7 } }, { limit: 2n });
      const large = await c.trace("ROUTER", router, { nwProto: 17 }, { limit: 100n });
      for (let port = 20_000; port < 20_003; port++) {
        const ask = c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array([1]), { srcPort: port });
        assert.equal((await c.during(ask)).kind, "reply");
      }
      await c.settle(100);
      const page = parsePrometheusText(await pageOf(c, "h1").text());
      assertDeclared(page, [AGENT_METRICS]);
      assert.equal(value(page, "midotrace_agent_traced_total"), 3);
      assert.equal(value(page, "midotrace_agent_traces_armed"), 2);
      assert.equal(value(page, "midotrace_agent_traces_exhausted"), 1);
      assert.equal(value(page, "midotrace_agent_trace_limit_used", { request: small }), 2);
      assert.equal(value(page, "midotrace_agent_trace_limit_used", { request: large }), 3);
      assert.equal(value(page, "midotrace_agent_state_sent_total"), 3);
      assert.equal(value(page, "midotrace_agent_state_received_total"), 3, "of the replies");
      assert.equal(value(page, "midotrace_agent_orphans_total"), 0);
      assert.ok(value(page, "midotrace_agent_verdicts_total", { verdict: "delivered" }) >= 3);
      assert.ok(value(page, "midotrace_switch_upcalls_total") >= 3);
      // Two enablings on a router that packets had not met before them: its filter changed afterwards, so it was read again.
      await c.admin.traces.disable(large);
      await c.settle(100);
      const later = parsePrometheusText(await pageOf(c, "h1").text());
      const lag = (p: typeof page): number => value(p, "midotrace_agent_topology_lag_seconds_count");
      assert.equal(lag(later), lag(page) + 1);
      assert.equal(value(later, "midotrace_agent_traces_armed"), 1);
      assert.equal(later.get("midotrace_agent_trace_limit_used")?.samples.length, 1, "no label of what is gone");
    }));

  it("is declared before it is known: a daemon that waits for its store has the same page", async (t: TestContext) => {
    const state = mkdtempSync(join(tmpdir(), "midotrace-metrics-"));
    t.after(() => rmSync(state, { recursive: true, force: true }));
    const argv = ["--store", "zookeeper://127.0.0.1:1/x", "--state-dir", state, "--listen", "127.0.0.1:0"];
    const agent = new AgentProcess(optionsOf(AGENT_OPTIONS, ...argv), () => undefined);
    const started = agent.start().catch(() => undefined);
    t.after(async () => {
      await agent.stop();
      await started;
    });
    await eventually(async () => assert.notEqual(agent.statusUrl, ""));
    const page = parsePrometheusText((await send(`${agent.statusUrl}/metrics`, "GET")).text);
    assertDeclared(page, AGENT_METRIC_TABLES);
    assert.equal(value(page, "midotrace_agent_ready"), 0);
    assert.deepEqual(page.get("midotrace_agent_traced_total")?.samples, [], "not known, not 0");
  });
});
