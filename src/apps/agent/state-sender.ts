import type { Datapath } from "#core/datapath";
import { FLOW_STATE_KEY, type FlowAction, FlowMatch, parseFlowMatch } from "#core/flows";
import { encodeTraceState, packetToken, type TraceContext, traceKeyOf } from "#core/tracing";
import type { AgentCounters } from "./counters.ts";
import type { Peers } from "./peers.ts";
import type { Reporter, SentCopy } from "./segments.ts";
import type { WireCopy } from "./wire-copies.ts";

export interface StateSenderParts {
  readonly datapath: Datapath;
  readonly counters: AgentCounters;
  readonly who: Reporter;
  readonly peers: Peers;
}

/**
 * The state messages, immediately before the packet: one per host and distinct bytes (copies of a flood can leave with
 * different headers, a long packet in fragments), naming the tunnel keys of the copies that host gets.
 */
export function sendTraceState(
  { datapath, counters, who, peers }: StateSenderParts,
  trace: TraceContext,
  copies: readonly WireCopy[],
  tunnelOfport: number | null,
): SentCopy[] {
  if (tunnelOfport === null) return [];
  const tokens = copies.map((copy) => packetToken(copy.frame));
  const groups = Map.groupBy(
    copies.map((copy, i) => ({ ...copy, token: tokens[i] as string })),
    (copy) => `${copy.to.hostId} ${copy.token}`,
  );
  const sent: SentCopy[] = [];
  for (const group of groups.values()) {
    const first = group[0] as (typeof group)[number];
    const header: FlowMatch = new FlowMatch();
    parseFlowMatch(first.frame, header);
    const messages = encodeTraceState({
      senderHostId: who.hostId,
      flowTraceId: trace.flowTraceId,
      requestIds: trace.requestIds,
      token: first.token,
      tunnelKeys: group.map((c) => c.to.port.tunnelKey),
      key: traceKeyOf(header),
    });
    for (const message of messages) {
      const actions: FlowAction[] = [
        { kind: "set-tunnel", key: FLOW_STATE_KEY, dst: first.to.tunnelIp },
        { kind: "output", port: tunnelOfport },
      ];
      datapath.packetOut(message, actions, 0);
      counters.stateSent++;
    }
    group.forEach((copy, i) => {
      sent.push({
        port: copy.to.port,
        hostId: copy.to.hostId,
        hostName: peers.nameOf(copy.to.hostId),
        tunnelIp: copy.to.tunnelIp,
        token: copy.token,
        messages: i === 0 ? messages.length : 0,
      });
    });
  }
  return sent;
}
