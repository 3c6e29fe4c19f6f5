import type { FlowTraceId, TraceRequestId } from "#core/base";
import { FlowMatch, parseFlowMatch } from "#core/flows";
import { decodeFrame } from "#core/packets";
import { decodeTraceState, encodeTraceState, packetToken, traceKeyOf, type TraceState } from "#core/tracing";
import type { Benchmark } from "./measure.ts";
import { frames } from "./network.ts";

const BATCH = 256;

export function parse(): Benchmark {
  const m = new FlowMatch();
  return over(frames(BATCH), (frame) => {
    parseFlowMatch(frame, m);
    return m.tpDst;
  });
}

export function decode(): Benchmark {
  return over(frames(BATCH), (frame) => decodeFrame(frame).layers.length);
}

/** As the ingress host does it: one message for one host, one request. */
export function encodeState(): Benchmark {
  return over(states(), (state) => encodeTraceState(state).length);
}

export function decodeState(): Benchmark {
  const messages = states().flatMap((state) => encodeTraceState(state));
  return over(messages, (message) => {
    const decoded = decodeTraceState(message);
    if (!decoded.ok) throw new Error(decoded.reason);
    return decoded.state.tunnelKeys.length;
  });
}

function states(): TraceState[] {
  const m = new FlowMatch();
  return frames(BATCH).map((frame, n) => {
    parseFlowMatch(frame, m);
    return {
      senderHostId: "10000000-0000-4000-8000-000000000001",
      flowTraceId: `0f000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}` as FlowTraceId,
      requestIds: ["f0000000-0000-4000-8000-000000000001" as TraceRequestId],
      token: packetToken(frame),
      tunnelKeys: [n + 1],
      key: traceKeyOf(m),
    };
  });
}

function over<T>(items: readonly T[], work: (item: T) => number): Benchmark {
  return {
    batch: items.length,
    run: () => {
      let total = 0;
      for (const item of items) total += work(item);
      return total;
    },
  };
}
