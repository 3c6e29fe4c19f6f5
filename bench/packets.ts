import { type FlowTraceId } from "#core/base";
import { PacketContext, Simulation, type TraceGate } from "#core/simulation";
import { TopologySnapshot } from "#core/topology";
import { Recorder, TraceContext } from "#core/tracing";
import { type Build, Driver, SILENT } from "./driver.ts";
import type { Benchmark } from "./measure.ts";
import { traceConditions, tracedNetwork } from "./network.ts";

export const REPOSITORY: Build = { PacketContext, Simulation, compile: (records) => TopologySnapshot.compile(records) };

/** @param traces enabled on the router; no packet matches one. */
export function untraced(traces: number): Benchmark {
  return new Driver(REPOSITORY, tracedNetwork(traceConditions(traces)), SILENT, 2048);
}

/** Every packet matches a trace on the router: it is simulated twice, the second time with all its steps recorded. */
export function traced(): Benchmark {
  const flowTraceId = "0f000000-0000-4000-8000-000000000001" as FlowTraceId;
  const gate: TraceGate = {
    decide(trace, ctx) {
      ctx.trace ??= new TraceContext(flowTraceId, new Recorder(0));
      ctx.trace.requestIds.push(trace.requestId);
      return "trace";
    },
  };
  return new Driver(REPOSITORY, tracedNetwork([{}]), gate, 32);
}
