import type { BridgeId, RouterId } from "#core/base";
import type { PortDevice, TopologyView } from "#core/topology";
import { type DeviceRef, headerText } from "#core/tracing";
import type { PacketContext } from "./context.ts";
import { deviceRef } from "./explain.ts";

/** The first steps of a traced pass: where the packet came from, and what it had to wait for. */
export function recordBeginning(ctx: PacketContext, view: TopologyView): void {
  const recorder = ctx.recorder;
  if (recorder === null) return;
  const port = view.port(ctx.startPort) ?? null;
  const at = {
    device: port === null ? { type: "port" as const, id: ctx.startPort, name: "" } : deviceRef(port),
    owner: port === null ? "" : port.tenantId,
  };
  const header = headerText(ctx.original);
  if (ctx.generated) recorder.push({ kind: "packet-generated", ...at, header, cause: ctx.cause });
  else
    recorder.push({
      kind: "packet-received",
      ...at,
      header,
      interface: ctx.interfaceName,
      lengthBytes: ctx.frame.length,
    });
  for (const wait of ctx.waits) {
    if (wait.for !== "arp") continue;
    const router = wait.router === undefined ? null : (view.router(wait.router) ?? null);
    const asker = router === null ? at : { device: deviceRef(router), owner: router.tenantId };
    recorder.push({ kind: "waited", ...asker, waitedFor: "arp", what: wait.what, waitedMs: wait.waitedMs });
  }
  // A first packet meets many devices that have to be loaded, one after the other: that is one wait to a reader.
  const loads = ctx.waits.filter((w) => w.for === "topology");
  if (loads.length === 0) return;
  const waitedMs = loads.reduce((sum, w) => sum + w.waitedMs, 0);
  const what = loads.length === 1 ? (loads[0]?.what ?? "") : `${loads.length} devices`;
  recorder.push({ kind: "waited", ...at, waitedFor: "topology", what, waitedMs });
}

/** The device a port belongs to, for a step; its name when the device is loaded. */
export function ownerRef(port: PortDevice, view: TopologyView): DeviceRef {
  const device =
    port.ownerKind === "bridge" ? view.bridge(port.deviceId as BridgeId) : view.router(port.deviceId as RouterId);
  return { type: port.ownerKind, id: port.deviceId, name: device?.name ?? "" };
}
