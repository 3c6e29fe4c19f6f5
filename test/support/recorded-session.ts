import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { commandIndex, run } from "#apps/cli";
import {
  assembleFlowTrace,
  type FlowTrace,
  pathOf,
  type PublicFlowTrace,
  redactFlowTrace,
  toPublic,
} from "#core/tracing";
import { captured, stub } from "../unit/cli/support.ts";
import { Cluster, type ClusterPlan, ip, type VmPlan } from "./cluster.ts";

const ROOT = new URL("../../", import.meta.url);
const yaml = (path: string): unknown => parse(readFileSync(new URL(path, ROOT), "utf8"));
const REQUEST = "5c0e6a52-3f5b-4c1e-9d0a-6f2b1a7c8e90";
const WIDTH = 110;

/** The network of the example lab, on virtual time: everything that happens on it happens again the same. */
function examplePlan(): ClusterPlan {
  const { hosts: _hosts, tunnelZones, ...topology } = yaml("examples/example.yaml") as Record<string, unknown>;
  const [zone] = tunnelZones as { hosts: Record<string, string> }[];
  const bindings = new Map<string, { host: string; interface: string }>();
  for (const bridge of topology["bridges"] as { name: string; ports: { name: string; bind?: never }[] }[])
    for (const port of bridge.ports)
      if (port.bind !== undefined) bindings.set(`${bridge.name}/${port.name}`, port.bind);
  const { vms } = yaml("examples/example-vms.yaml") as { vms: Record<string, string>[] };
  const plans = vms.map((vm): VmPlan => {
    const bind = bindings.get(vm["port"] ?? "") ?? { host: "", interface: "" };
    const [address = "", length = ""] = (vm["ip"] ?? "").split("/");
    const { name = "", mac = "", gateway = null } = vm;
    return {
      name,
      mac,
      host: bind.host,
      interface: bind.interface,
      ip: address,
      prefixLength: Number(length),
      gateway,
    };
  });
  return { hosts: zone?.hosts ?? {}, topology, vms: plans, seed: 7 };
}

/** What the command line shows of flows on the example network, by the name that the guide gives each recording. */
export async function recordings(): Promise<ReadonlyMap<string, string>> {
  const c = new Cluster(examplePlan());
  try {
    await c.start();
    // The neighbours are known: what is shown is about the packet.
    await c.during(c.vm("red-1").ping(ip("10.0.2.20"), { id: 99 }));
    await c.during(c.vm("red-1").ping(ip("10.0.2.2"), { id: 98 }));
    const id = await c.trace("ROUTER", await c.deviceNamed("routers", "red-router"), { dlType: 0x0800 });
    const flows: PublicFlowTrace[] = [];
    const newest = async (work: Promise<unknown>): Promise<FlowTrace> => {
      const before = new Set(c.flowTraces().map((t) => t.flowTraceId));
      await c.during(work);
      await c.settle(100);
      const found = c.flowTraces().find((t) => !before.has(t.flowTraceId) && t.traceRequestIds.includes(id));
      if (found === undefined) throw new Error("nothing was traced");
      return found;
    };
    const delivered = await newest(c.vm("red-1").ping(ip("10.0.2.2"), { id: 1 }));
    const foreign = await newest(c.vm("red-1").ping(ip("203.0.113.10"), { id: 2 }));
    for (let i = 0; i < 3; i++) await newest(c.vm("red-2").ping(ip("10.0.2.20"), { id: 10 + i }));
    const dropped = await newest(c.vm("red-1").tcpConnect(ip("10.0.2.20"), 22, { timeoutMs: 1_000 }));
    for (const t of c.flowTraces()) flows.push(toPublic(t));
    const ingress = delivered.segments.filter((s) => s.role === "ingress");
    const partial = assembleFlowTrace(ingress, { nowMs: c.time.nowMs() + 10_000, lost: [], hostDown: () => true });
    if (partial === null) throw new Error("no partial flow trace");
    const tenant = redactFlowTrace(foreign, { admin: false, tenantId: "red" });
    return new Map([
      ["delivered", await show(toPublic(delivered))],
      ["dropped", await show(toPublic(dropped))],
      ["withheld", await show(tenant)],
      ["partial", await show(toPublic(partial))],
      [
        "flows",
        await show(toPublic(dropped), ["trace", "flows", "red", "--limit", "6"], flows.toReversed().slice(0, 6)),
      ],
      ["paths", await show(toPublic(dropped), ["trace", "paths", "red", "--limit", "3"], flows)],
    ]);
  } finally {
    await c.stop();
  }
}

/** The real command line against a server that has these flows. */
async function show(
  flow: PublicFlowTrace,
  argv: readonly string[] = ["trace", "flow", "red", flow.flowTraceId],
  list: readonly PublicFlowTrace[] = [flow],
): Promise<string> {
  const named = (f: PublicFlowTrace): object => ({
    ...f,
    traceRequestIds: [REQUEST],
    pinned: false,
    cursor: f.flowTraceId,
  });
  const server = await stub({
    "GET /traces": { body: JSON.stringify([{ id: REQUEST, name: "red" }]) },
    [`GET /traces/${REQUEST}/flows/${flow.flowTraceId}`]: { body: JSON.stringify(named(flow)) },
    [`GET /traces/${REQUEST}/flows?limit=6`]: {
      body: JSON.stringify({ flows: list.map(named), more: false, next: null }),
    },
    [`GET /traces/${REQUEST}/paths?limit=3`]: {
      body: JSON.stringify({ paths: grouped(list).slice(0, 3), more: true }),
    },
  });
  const io = { ...captured(), columns: WIDTH };
  const zone = process.env["TZ"];
  process.env["TZ"] = "UTC";
  try {
    const code = await run([...argv, "--api", server.url], await commandIndex(), io);
    if (code !== 0) throw new Error(io.written.err);
    return `$ midotrace ${argv.join(" ")}\n${io.written.out}`;
  } finally {
    if (zone === undefined) delete process.env["TZ"];
    else process.env["TZ"] = zone;
    await server.close();
  }
}

function grouped(flows: readonly PublicFlowTrace[]): object[] {
  const byPath = new Map<string, PublicFlowTrace[]>();
  for (const f of flows) {
    const { pathId } = pathOf(f);
    byPath.set(pathId, [...(byPath.get(pathId) ?? []), f]);
  }
  const groups = [...byPath.values()].map((group) => {
    const times = group.map((f) => f.startedAtMs);
    const [first] = group as [PublicFlowTrace];
    const seen = { firstSeenMs: Math.min(...times), lastSeenMs: Math.max(...times) };
    return { ...pathOf(first), count: group.length, ...seen, sample: group.at(-1)?.flowTraceId };
  });
  return groups.toSorted((a, b) => b.count - a.count || b.lastSeenMs - a.lastSeenMs);
}

const BLOCK = /(<!-- recorded: ([a-z]+) -->\n```\n)[^]*?(```\n)/g;

/** A page with its recordings as they come out now. @throws Error for a recording that there is not. */
export function withRecordings(page: string, recorded: ReadonlyMap<string, string>): string {
  return page.replaceAll(BLOCK, (_, head: string, name: string, end: string) => {
    const text = recorded.get(name);
    if (text === undefined) throw new Error(`nothing is recorded under ${name}`);
    return `${head}${text}${end}`;
  });
}
