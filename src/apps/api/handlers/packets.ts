import type { PacketOperation } from "#core/api-contract";
import { type FlowTraceId, MidotraceError } from "#core/base";
import { capturedPackets, packetCapture } from "#core/exporting";
import { type Deps, type Handlers, type Result } from "../call.ts";

/** Packet captures of traced flows. */
export function packetHandlers({ nsdb, traceStore }: Deps): Handlers<PacketOperation> {
  return {
    flowPackets: async ({ params, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const trace = await traceStore.flow(params.flowTraceId as FlowTraceId);
      if (trace === null || !trace.traceRequestIds.includes(id))
        throw new MidotraceError("NOT_FOUND", `no flow trace ${params.flowTraceId} of trace request ${id}`);
      return file(packetCapture(capturedPackets(trace, viewer)), `flow-${trace.flowTraceId}`);
    },
    tracePackets: async ({ params, query, viewer }) => {
      const { id } = await nsdb.traces.get(params.id);
      const { flows } = await traceStore.flows(id, { limit: query.limit });
      const packets = flows.toReversed().flatMap(({ trace }) => capturedPackets(trace, viewer));
      return file(packetCapture(packets), `trace-${id}`);
    },
  };
}

const file = (bytes: Uint8Array, name: string): Result => ({ kind: "binary", bytes, fileName: `${name}.pcapng` });
