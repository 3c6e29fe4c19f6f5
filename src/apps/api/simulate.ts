import type { SimulationDto } from "#core/api-contract";
import { type FlowTraceId, isUuid, MidotraceError, type PortId, unreachable, Violations } from "#core/base";
import { CLOSED_GATE, PacketContext, Simulation } from "#core/simulation";
import { type PortDevice, type TopologyRecords, TopologySnapshot } from "#core/topology";
import {
  assembleFlowTrace,
  type PublicFlowTrace,
  Recorder,
  redactFlowTrace,
  TraceContext,
  type TraceSegment,
  traceKeyOf,
  type Viewer,
} from "#core/tracing";
import type { Deps } from "./call.ts";
import { LoadingState } from "./loading-state.ts";
import { frameOf } from "./simulated-frame.ts";

/** A packet crosses at most 12 devices; each pass loads what the one before was stopped by. */
const MAX_PASSES = 64;

/**
 * What would become of a packet that entered by a port, as a flow trace: the same simulation as the agents', over the
 * topology and the tables in the store. It changes nothing and counts against no trace request's limit.
 * @throws MidotraceError NOT_FOUND for the port, VALIDATION, BAD_EXPRESSION, STORE_UNAVAILABLE
 */
export async function simulatePacket(
  deps: Pick<Deps, "nsdb" | "clock" | "random">,
  asked: { readonly port: string | null; readonly packet: string | null },
  viewer: Viewer,
): Promise<SimulationDto> {
  const violations = new Violations();
  if (asked.port === null) violations.add("port", "may not be null");
  if (asked.packet === null) violations.add("packet", "may not be null");
  violations.throwIfAny("simulation");
  const records = await deps.nsdb.readTopology();
  const snapshot = TopologySnapshot.compile(records);
  const port = findPort(asked.port ?? "", viewer.admin ? records : ownOf(records, viewer.tenantId), snapshot);
  const state = new LoadingState(deps.nsdb.state);
  const frame = await frameOf(asked.packet ?? "", port, snapshot, state);

  const ctx = new PacketContext(snapshot);
  const simulation = new Simulation(snapshot, state, CLOSED_GATE);
  const flowTraceId = deps.random.uuid() as FlowTraceId;
  let recorder = new Recorder(deps.clock.nowMs());
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    ctx.begin(frame, port.id, false);
    ctx.interfaceName = port.interfaceName ?? "none";
    recorder = new Recorder(recorder.atMs);
    ctx.trace = new TraceContext(flowTraceId, recorder);
    simulation.run(ctx);
    if (!(await state.load())) break;
  }
  const hosts = new Map<string, string>(records.hosts.map((h) => [h.id, h.name]));
  const segment = segmentOf(ctx, recorder, port, hosts, flowTraceId);
  const trace = assembleFlowTrace([segment], { nowMs: recorder.atMs });
  if (trace === null) throw new MidotraceError("INTERNAL", "a simulation without an id");
  const shown = redactFlowTrace(trace, viewer);
  const completeness = shown.verdict === "unknown" ? { state: "unknown" as const, missing: [] } : shown.completeness;
  return { ...shown, why: whyOf(shown), completeness, simulated: true };
}

/** The ports, by whose names a tenant can ask: its own. That it may name one by its id is decided before. */
function ownOf(records: TopologyRecords, tenantId: string): TopologyRecords {
  const own = new Set<string>(
    [...records.bridges, ...records.routers].filter((d) => tenantId !== "" && d.tenantId === tenantId).map((d) => d.id),
  );
  return { ...records, ports: records.ports.filter((p) => own.has(p.deviceId)) };
}

function findPort(text: string, records: TopologyRecords, snapshot: TopologySnapshot): PortDevice {
  const id = text.toLowerCase();
  if (isUuid(id)) {
    const port = snapshot.port(id as PortId);
    if (port === null) throw new MidotraceError("NOT_FOUND", `no port ${id}`);
    return port;
  }
  const devices = new Map<string, string>([...records.bridges, ...records.routers].map((d) => [d.id, d.name]));
  const found = records.ports.filter(
    (p) => p.name !== "" && (p.name === text || `${devices.get(p.deviceId)}/${p.name}` === text),
  );
  const only = found[0];
  if (only === undefined) throw new MidotraceError("NOT_FOUND", `no port ${text}`);
  if (found.length > 1) {
    const names = found.map((p) => `${devices.get(p.deviceId)}/${p.name}`).join(", ");
    const message = `names ${found.length} ports (${names}): give its UUID`;
    throw new MidotraceError("VALIDATION", `simulation is not valid: port: ${message}`, [
      { property: "port", message },
    ]);
  }
  return snapshot.port(only.id) ?? unreachable(undefined as never);
}

function segmentOf(
  ctx: PacketContext,
  recorder: Recorder,
  port: PortDevice,
  hosts: ReadonlyMap<string, string>,
  flowTraceId: FlowTraceId,
): TraceSegment {
  for (const output of ctx.outputs) {
    const to = output.port;
    const hostId = to.hostId ?? "";
    recorder.push({
      kind: "emit",
      device: { type: "port", id: to.id, name: to.label },
      owner: to.tenantId,
      where: hostId === port.hostId ? "local" : "remote",
      hostId,
      hostName: hosts.get(hostId) ?? "",
      interface: to.interfaceName ?? "",
    });
  }
  // The simulation never asks: what an agent would learn by ARP is not known here.
  const verdict = ctx.wait === null ? ctx.verdict : "unknown";
  const dropReason = ctx.wait === null ? ctx.dropReason : null;
  const hostId = port.hostId ?? "";
  const device = { type: "host" as const, id: hostId, name: hosts.get(hostId) ?? "" };
  recorder.push({ kind: "verdict", device, owner: "", verdict, dropReason });
  return {
    segmentId: `simulation ${flowTraceId}`,
    flowTraceId,
    requestIds: [],
    hostId,
    hostName: device.name,
    role: "ingress",
    cookie: 0,
    startedAtMs: recorder.atMs,
    key: traceKeyOf(ctx.original),
    steps: recorder.steps,
    stepsLost: recorder.lost,
    verdict,
    dropReason,
    expects: [],
    arrival: null,
    packet: null,
  };
}

/** The sentence of a trace speaks of what happened; here it says what would. Uses only steps that the viewer sees. */
function whyOf(trace: PublicFlowTrace): string {
  const steps = trace.segments.flatMap((s) => s.steps).filter((s) => s.withheld !== true);
  const unanswered = steps.find((s) => s.kind === "next-hop" && s["source"] === "asked");
  if (trace.verdict === "unknown" && unanswered !== undefined) {
    const { name, id, type } = unanswered.device;
    return `Not known: ${type} ${name === "" ? id : name} does not know the MAC address of ${String(unanswered["ip"])}, and a simulation does not ask.`;
  }
  const ends = steps
    .filter((s) => s.kind === "emit")
    .map((s) => `port ${s.device.name === "" ? s.device.id : s.device.name}`);
  if ((trace.verdict !== "delivered" && trace.verdict !== "flooded") || ends.length === 0) return trace.why;
  // Where it floods to need not be where it is for: a host would have asked by ARP first, and perhaps got no answer.
  const unknown = steps.find((s) => s.kind === "bridge-decision" && s["decision"] === "flood-unknown");
  const because =
    unknown === undefined
      ? ""
      : `, but only because bridge ${unknown.device.name || unknown.device.id} does not know where ${String(unknown["mac"])} is and floods it`;
  return `Would be ${trace.verdict} to ${ends.join(", ")}${because}.`;
}
