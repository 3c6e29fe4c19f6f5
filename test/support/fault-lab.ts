/** A lab of three hosts under traffic in which things are broken and repaired, and what is asked of every fault. */
import assert from "node:assert/strict";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openStore } from "#adapters/nsdb-open";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { run } from "#adapters/testbed";
import { checkStore } from "#core/nsdb";
import type { PublicFlowTrace } from "#core/tracing";
import {
  ContinuousTraffic,
  CONVERSATION_PORT,
  lineOf,
  monotonicMs,
  nameOf,
  PROBE_PORT,
  type Stream,
  type StreamReport,
  sourcePortOf,
  streamsOf,
} from "./continuous-traffic.ts";
import { CpuPressure } from "./cpu-pressure.ts";
import { eventually, hostsOf, type LabTrace, TestLab } from "./real-lab.ts";

/** What takes longer on a slow machine may take so many times longer. */
const TIME_FACTOR = Number(process.env["MIDOTRACE_TIME_FACTOR"] ?? 1);
/** Forwarding is back so soon after a repair, ms. */
export const RESUME_MS = 5_000 * TIME_FACTOR;
/** So many times as much on a machine that is busy with other things, or may be: nobody can tell there whose time it was. */
const BUSY_FACTOR = 3;
/** Busy: so much of the time somebody waited for a CPU. */
const BUSY_SHARE = 0.5;
const WARM_UP_MS = 1_000;
/** After the last probe that counts; what comes later counts as lost. */
const STRAGGLERS_MS = 1_500;
/** How long everything may take to be itself again, ms. */
const RECOVERY_MS = 45_000 * TIME_FACTOR;
/** What an agent had not delivered when it was killed is lost with it: reports of packets of the last so many ms. */
const UNDELIVERED_MS = 2_000;
/** A receiver that is killed with its host has not noted what came in its last moments, though it came: that long around, ms. */
const UNNOTED_MS = 1_000;
const UNUSED_PORT = 19_999;
/** Of the trace whose counting is watched: used up in three steps. */
const LIMIT = 4;
const FIRST_STEP = 2;
const LAST_STEP = 3;

/** A machine asks for a neighbour that it uses after so long, ms and s, and gives it up when three questions are not answered. */
const NEIGHBOUR = { base_reachable_time_ms: 1_000, delay_first_probe_time: 1, ucast_solicit: 3 } as const;
/** Of every interface of a machine: the kernel's own times (30 s, 5 s) would hide for a while that nobody answers ARP. */
const FORGETFUL = Object.entries(NEIGHBOUR)
  .map(([name, value]) => `for d in /proc/sys/net/ipv4/neigh/*; do echo ${value} > $d/${name}; done`)
  .join("; ");

const SCRIPT = join(import.meta.dirname, "vm-traffic.py");
export const CLI = join(import.meta.dirname, "../../src/apps/cli/main.ts");

export const HOSTS = ["a", "b", "c"] as const;
export type HostName = (typeof HOSTS)[number];

/** Of the VMs' names, which a whole machine shares: several of these labs can run at once. */
const PREFIX = `f${process.pid.toString(36)}-`;
const [A1, A2, B1] = [`${PREFIX}a1`, `${PREFIX}a2`, `${PREFIX}b1`];
export const C1 = `${PREFIX}c1`;
/** Two on host a, one each on b and c; a1 and b1 are in one network, a2 and c1 in another, with a router between. */
const VMS: ReadonlyMap<string, HostName> = new Map([
  [A1, "a"],
  [A2, "a"],
  [B1, "b"],
  [C1, "c"],
]);
/** On one host, through the router; bridged from a to b; through the router from a to c and from b to c. */
const PAIRS = [
  [A1, A2],
  [A1, B1],
  [A1, C1],
  [B1, C1],
] as const;
const STREAMS = [
  ...streamsOf(PAIRS, ["established", "fresh", "traced"]),
  ...streamsOf(PAIRS, ["tcp"]).filter((s) => s.from === A1 || s.from === B1),
];
const PER_SECOND = { established: 100, fresh: 10, traced: 1, tcp: 20 };

const PLAN = {
  zookeepers: 3,
  topology: `
hosts: [{ name: a }, { name: b }, { name: c }]
tunnelZones: [{ name: zone, type: vxlan, hosts: { a: 192.0.2.1, b: 192.0.2.2, c: 192.0.2.3 } }]
bridges:
  - name: one
    ports:
      - { name: a1, bind: { host: a, interface: a1 } }
      - { name: b1, bind: { host: b, interface: b1 } }
      - { name: router, link: router/one }
  - name: two
    ports:
      - { name: a2, bind: { host: a, interface: a2 } }
      - { name: c1, bind: { host: c, interface: c1 } }
      - { name: router, link: router/two }
routers:
  - name: router
    ports: [{ name: one, address: 172.17.1.254/24 }, { name: two, address: 172.17.2.254/24 }]
    routes: [{ type: Normal, dst: 172.17.1.0/24, port: one }, { type: Normal, dst: 172.17.2.0/24, port: two }]
`,
  vms: `
vms:
  - { name: ${A1}, port: one/a1, mac: "aa:bb:cc:01:01:01", ip: 172.17.1.1/24, gateway: 172.17.1.254 }
  - { name: ${B1}, port: one/b1, mac: "aa:bb:cc:01:02:01", ip: 172.17.1.2/24, gateway: 172.17.1.254 }
  - { name: ${A2}, port: two/a2, mac: "aa:bb:cc:02:01:02", ip: 172.17.2.1/24, gateway: 172.17.2.254 }
  - { name: ${C1}, port: two/c1, mac: "aa:bb:cc:02:03:01", ip: 172.17.2.3/24, gateway: 172.17.2.254 }
`,
} as const;

/** Every pair's way crosses this bridge. */
const TRACED_DEVICE = "bridge one";

export interface Fault {
  /**
   * Hosts, or the one cable between two, that it is about: a stream that needs none of them counts as unaffected. None:
   * whatever breaks is not on the way of packets.
   */
  readonly affects: readonly HostName[] | { readonly between: readonly [HostName, HostName] };
  /** Streams of an affected host that must lose nothing all the same. */
  readonly alsoUnharmed?: (stream: Stream) => boolean;
  strike(): Promise<void>;
  /** While it lasts. */
  meanwhile?(watched: LabTrace): Promise<void>;
  /** The moment of the repair is that at which it is begun. */
  repair(): Promise<void>;
  /** Hosts that do not come back. */
  readonly gone?: readonly HostName[];
  /** Whether there must, or must not, be flow traces that say that a part of them is missing; null: that is left to chance. */
  readonly tracesMissParts: boolean | null;
}

/** Moments of a fault; monotonic, ms. */
interface FaultTimes {
  readonly struck: number;
  /** The repair was begun. */
  readonly repaired: number;
  /** From here on nothing more is lost. */
  readonly resumed: number;
  /** Every agent and the API say that they have nothing to wait for. */
  readonly ready: number;
}

export class FaultLab {
  readonly lab: TestLab;
  readonly traffic: ContinuousTraffic;
  private nextPort = 1_024;

  private constructor(lab: TestLab, traffic: ContinuousTraffic) {
    this.lab = lab;
    this.traffic = traffic;
  }

  static async start(): Promise<FaultLab> {
    const lab = await TestLab.start(PLAN);
    try {
      const vms = [...VMS.keys()].map((name) => ({ name, vm: lab.vm(name), ip: lab.ip(name) }));
      const traffic = new ContinuousTraffic(vms, STREAMS, await lab.lab.testbed.directory("traffic"));
      const faultLab = new FaultLab(lab, traffic);
      for (const name of VMS.keys()) await lab.exec(name, "sh", "-c", FORGETFUL);
      await lab.acquaint(...PAIRS);
      // It matches nothing, but looks at source ports: no entry of a switch serves two conversations any more.
      await (await lab.trace(TRACED_DEVICE, `udp and src port ${UNUSED_PORT}`)).enable(...HOSTS);
      await traffic.start(PER_SECOND);
      await faultLab.quiet();
      return faultLab;
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  /** What the daemons wrote goes to `MIDOTRACE_FAULT_LOGS`, a directory, if that is given. */
  async stop(): Promise<void> {
    const keep = process.env["MIDOTRACE_FAULT_LOGS"];
    if (keep !== undefined) await cp(this.lab.lab.logDirectory, keep, { recursive: true });
    await this.traffic.stop();
    await this.lab.stop();
  }

  /** `midotrace …` to its end. @throws MidotraceError with what it said when its status is not 0. */
  async midotrace(...args: readonly string[]): Promise<string> {
    return (await run(process.execPath, ["--conditions=source", CLI, ...args], { timeoutMs: 60_000 })).stdout;
  }

  /** Sentences about what is wrong in the store. */
  async storeFindings(): Promise<string[]> {
    const parts = { clock: systemClock, scheduler: systemScheduler, random: systemRandom, log: () => {} };
    const store = openStore(this.lab.lab.storeUrl, parts);
    await store.start();
    try {
      return await checkStore(store);
    } finally {
      await store.stop();
    }
  }

  /** What `/readyz` of each agent and the API say: all of them nothing to wait for. */
  async ready(hosts: readonly HostName[] = HOSTS): Promise<void> {
    const urls = [this.lab.lab.url, ...hosts.map((h) => this.lab.host(h).statusUrl)];
    await eventually(async () => {
      for (const url of urls) {
        const response = await fetch(`${url}/readyz`).catch(() => null);
        assert.equal(response?.status, 200, `${url}: ${await response?.text()}`);
      }
    }, RECOVERY_MS);
  }

  /** Breaks and repairs, under traffic and with traces enabled, and asserts what is asked of every fault. */
  async endure(t: TestContext, fault: Fault): Promise<void> {
    const { lab } = this;
    // Only the one that looks at source ports is left: everything is as it was before.
    await this.armed(1);
    const limited = await lab.trace(TRACED_DEVICE, `udp and dst port ${CONVERSATION_PORT}`, LIMIT);
    const watched = await lab.trace(TRACED_DEVICE, `udp and dst port ${PROBE_PORT.traced}`);
    try {
      await limited.enable(...HOSTS);
      await watched.enable(...HOSTS);
      await this.breakAndRepair(t, fault, limited, watched);
      assert.deepEqual(await eventually(() => this.storeFindings()), []);
    } finally {
      for (const { uri } of [limited, watched]) await lab.call("DELETE", uri);
    }
  }

  private async breakAndRepair(t: TestContext, fault: Fault, limited: LabTrace, watched: LabTrace): Promise<void> {
    const staying = HOSTS.filter((h) => fault.gone?.includes(h) !== true);
    const affected = "between" in fault.affects ? [] : fault.affects;
    const held = new Map<HostName, number[]>(HOSTS.map((h) => [h, []]));
    const converse = async (hosts: readonly HostName[], count: number): Promise<void> => {
      for (const host of hosts) held.get(host)?.push(...(await this.converse(host, count)));
    };
    await converse(HOSTS, FIRST_STEP);
    await limited.settled(FIRST_STEP * HOSTS.length);

    const pressure = new CpuPressure();
    const began = monotonicMs();
    await sleep(WARM_UP_MS);
    const struck = monotonicMs();
    let repaired = struck;
    try {
      await fault.strike();
      await converse(
        staying.filter((h) => !affected.includes(h)),
        1,
      );
      await fault.meanwhile?.(watched);
    } finally {
      repaired = monotonicMs();
      await fault.repair();
    }
    await sleep(RESUME_MS + WARM_UP_MS);
    const share = pressure.share();
    const resumeMs = share === null || share > BUSY_SHARE ? RESUME_MS * BUSY_FACTOR : RESUME_MS;
    const waited = share === null ? "unknown" : `${(share * 100).toFixed(0)} %`;
    t.diagnostic(`somebody waited for a CPU ${waited} of the time: forwarding has to be back within ${resumeMs} ms`);
    await sleep(resumeMs - RESUME_MS);
    await this.ready(staying);
    const ready = monotonicMs();
    await sleep(WARM_UP_MS);
    const ended = monotonicMs();
    await converse(staying, LAST_STEP);
    await sleep(STRAGGLERS_MS);

    const reports = await this.traffic.report(began, ended);
    this.tell(t, reports, struck, repaired, fault);
    for (const host of staying) t.diagnostic(await this.dropsOf(host));
    this.assertUnharmed(reports, fault);
    const times: FaultTimes = { struck, repaired, resumed: repaired + resumeMs, ready };
    this.assertResumed(reports, fault, times);
    this.assertTraces(t, reports, await this.whole(watched), fault, times);
    await this.assertLimit(limited, held, fault);
  }

  private async armed(count: number): Promise<void> {
    await eventually(async () => {
      for (const host of HOSTS) assert.equal(await this.lab.metric(host, "traces_armed"), count, host);
    }, RECOVERY_MS);
  }

  /** No two conversations of a host have one source port, as long as it lives. */
  private async converse(host: HostName, count: number): Promise<number[]> {
    const [from, to] = ({ a: [A1, B1], b: [B1, A1], c: [C1, A1] } as const)[host];
    const first = this.nextPort;
    this.nextPort += count;
    await holdConversations(this.lab, from, this.lab.ip(to), first, count);
    return Array.from({ length: count }, (_, i) => first + i);
  }

  /** What the host's agent has dropped since it started, by reason. */
  private async dropsOf(host: HostName): Promise<string> {
    const metrics = await (await fetch(`${this.lab.host(host).statusUrl}/metrics`)).text();
    const drops = metrics.matchAll(/^midotrace_agent_drops_total\{reason="(.+)"\} (\d+)$/gm);
    const some = [...drops].filter(([, , count]) => count !== "0").map(([, reason, count]) => `${count} ${reason}`);
    return `agent of ${host}, dropped since its start: ${some.length === 0 ? "nothing" : some.join(", ")}`;
  }

  /** Before the first fault: every table is filled, and nothing is lost any more. */
  private async quiet(): Promise<void> {
    await eventually(async () => {
      const from = monotonicMs();
      await sleep(WARM_UP_MS);
      const to = monotonicMs();
      await sleep(STRAGGLERS_MS);
      const reports = await this.traffic.report(from, to);
      for (const report of reports)
        assert.ok(report.probes.length > 0 && report.lost.length === 0, lineOf(report, from));
    });
  }

  private tell(t: TestContext, reports: readonly StreamReport[], struck: number, repaired: number, fault: Fault): void {
    t.diagnostic(`its repair began ${((repaired - struck) / 1000).toFixed(2)} s after it broke; times count from then`);
    for (const report of reports) {
      const last = report.lost.at(-1);
      const lastLoss = last === undefined ? "" : `, last lost ${((last.sentMs - repaired) / 1000).toFixed(2)} s`;
      t.diagnostic(`${isUnharmed(report.stream, fault) ? "" : "(affected) "}${lineOf(report, repaired)}${lastLoss}`);
    }
  }

  private assertUnharmed(reports: readonly StreamReport[], fault: Fault): void {
    const unharmed = reports.filter((r) => isUnharmed(r.stream, fault));
    assert.ok(unharmed.length > 0);
    for (const { stream, probes } of reports) assert.ok(probes.length > 0, `nobody sent ${nameOf(stream)}`);
    const losses = unharmed.filter((r) => r.lost.length > 0).map((r) => lineOf(r, r.probes[0]?.sentMs ?? 0));
    assert.deepEqual(losses, [], "streams that the fault is not about");
  }

  /** A TCP connection waits longer by itself (RFC 6298: its timer has doubled all the while), so it is told and not asserted. */
  private assertResumed(reports: readonly StreamReport[], fault: Fault, { repaired, resumed }: FaultTimes): void {
    const late = reports
      .filter((r) => r.stream.kind !== "tcp" && !isGone(r.stream, fault))
      .map((r) => ({ ...r, lost: r.lost.filter((p) => p.sentMs >= resumed) }))
      .filter((r) => r.lost.length > 0);
    assert.deepEqual(
      late.map((r) => lineOf(r, repaired)),
      [],
      `lost more than ${resumed - repaired} ms after the repair`,
    );
  }

  /** All flow traces of a request, once nothing more of them is awaited. */
  private async whole(trace: LabTrace): Promise<readonly PublicFlowTrace[]> {
    return eventually(async () => {
      const flows = await trace.flows();
      const young = Date.now() - STRAGGLERS_MS;
      for (const { completeness, startedAtMs } of flows)
        assert.ok(startedAtMs > young || completeness.missing.every((m) => m.reason !== "awaited"));
      return flows;
    });
  }

  /**
   * Compares what the traces say with what really came. Packets that have nothing to do with the fault are traced wholly;
   * no trace claims the delivery of a packet that did not arrive; whatever is missing is named, with the host.
   */
  private assertTraces(
    t: TestContext,
    reports: readonly StreamReport[],
    flows: readonly PublicFlowTrace[],
    fault: Fault,
    { struck, repaired, resumed, ready }: FaultTimes,
  ): void {
    const byKey = new Map(flows.map((f) => [`${f.key?.networkSrc} ${f.key?.networkDst} ${f.key?.srcPort}`, f]));
    const count = { complete: 0, storeAway: 0, missing: 0, untraced: 0 };
    const reasons = new Set<string>();
    const wrong: string[] = [];
    const suspects = hostsOfFault(fault);
    for (const { stream, probes } of reports.filter((r) => r.stream.kind === "traced")) {
      const route = [...new Set([VMS.get(stream.from), VMS.get(stream.to)])];
      for (const probe of probes) {
        const key = `${this.lab.ip(stream.from)} ${this.lab.ip(stream.to)} ${sourcePortOf(probe)}`;
        const flow = byKey.get(key);
        const over = probe.sentMs >= resumed && !isGone(stream, fault);
        const inFault = probe.sentMs >= struck - UNDELIVERED_MS && !over;
        const mayMiss = inFault && !isUnharmedHosts(stream, fault);
        const say = (what: string): void => {
          const at = ((probe.sentMs - repaired) / 1000).toFixed(2);
          wrong.push(`${nameOf(stream)} at ${at} s: ${what}${flow === undefined ? "" : `: ${flow.why}`}`);
        };
        if (flow === undefined) {
          count.untraced++;
          if (!mayMiss) say("not traced");
          continue;
        }
        const { state, missing } = flow.completeness;
        // A host that was cut from the store says so: its answer is whole, but by what it knew of the network before.
        // How long servers take to begin again is not the network's doing.
        const cutOff = probe.sentMs >= struck - UNDELIVERED_MS && probe.sentMs < ready;
        const storeAway = cutOff && missing.length > 0 && missing.every((m) => m.reason === "store-unreachable");
        if (state === "complete" || storeAway) {
          if (storeAway) count.storeAway++;
          else count.complete++;
          // Flooded past a port that is held for down: it does not claim that the packet came to where it was for.
          const claimed = flow.verdict === "delivered" && !flow.why.includes("left out");
          if (claimed && hostsOf(flow).join() !== route.join()) say(`complete by ${hostsOf(flow).join()}`);
          const noted =
            !isGone(stream, fault) || probe.sentMs > struck + UNNOTED_MS || probe.sentMs < struck - UNNOTED_MS;
          if (claimed && probe.receivedMs === null && noted)
            say("complete and delivered, and the packet did not arrive");
          if (!claimed && !mayMiss) say(`complete, and ${flow.verdict === "delivered" ? "not claimed" : flow.verdict}`);
          continue;
        }
        count.missing++;
        if (!mayMiss) say(`${state}: ${JSON.stringify(missing)}`);
        if (missing.length === 0) say(`${state}, and nothing is said to be missing`);
        for (const { hostName, reason } of missing) {
          reasons.add(`${hostName}: ${reason}`);
          if (!suspects.includes(hostName as HostName)) say(`${hostName} is said to be missing (${reason})`);
        }
      }
    }
    t.diagnostic(
      `traced probes: ${count.complete} complete, ${count.storeAway} of hosts without the store, ${count.missing} with parts missing (${[...reasons].join(", ")}), ${count.untraced} untraced`,
    );
    assert.deepEqual(wrong, []);
    if (fault.tracesMissParts === null) return;
    assert.equal(count.missing > 0, fault.tracesMissParts, "flow traces that say that something is missing");
  }

  /**
   * Of each host's conversations exactly as many as the limit says, whatever happened in between: all those of the first two
   * steps, and of the third what is left. (Within a step they are sent at once, and may come up in any order.)
   */
  private async assertLimit(
    limited: LabTrace,
    held: ReadonlyMap<HostName, readonly number[]>,
    fault: Fault,
  ): Promise<void> {
    const tracedOf = (flows: readonly PublicFlowTrace[], host: HostName): (number | null)[] =>
      flows.filter((f) => hostsOf(f)[0] === host).map((f) => f.key?.srcPort ?? null);
    await eventually(async () => {
      const flows = await limited.flows();
      for (const host of HOSTS) {
        const all = held.get(host) ?? [];
        const gone = fault.gone?.includes(host) === true;
        const traced = tracedOf(flows, host);
        const text = `${host} held ${all.join(", ")}, traced were ${traced.join(", ")}`;
        assert.equal(traced.length, gone ? FIRST_STEP : LIMIT, text);
        for (const port of all.slice(0, -LAST_STEP)) assert.ok(traced.includes(port), text);
        for (const port of traced) assert.ok(all.includes(port ?? 0), text);
      }
    });
  }
}

async function holdConversations(lab: TestLab, from: string, to: string, first: number, count: number): Promise<void> {
  await lab.exec(from, "python3", SCRIPT, "converse", to, String(CONVERSATION_PORT), String(first), String(count));
}

function hostsOfFault(fault: Fault): readonly HostName[] {
  return "between" in fault.affects ? fault.affects.between : fault.affects;
}

/** By the hosts that the stream's packets cross. */
function isUnharmedHosts({ from, to }: Stream, fault: Fault): boolean {
  const ends = new Set([VMS.get(from), VMS.get(to)]);
  if ("between" in fault.affects) return !fault.affects.between.every((h) => ends.has(h));
  return !fault.affects.some((h) => ends.has(h));
}

const isUnharmed = (stream: Stream, fault: Fault): boolean =>
  isUnharmedHosts(stream, fault) || fault.alsoUnharmed?.(stream) === true;

const isGone = ({ from, to }: Stream, fault: Fault): boolean =>
  HOSTS.some((h) => fault.gone?.includes(h) === true && (VMS.get(from) === h || VMS.get(to) === h));
