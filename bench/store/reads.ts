import type { FlowFilter, TraceStore, Viewer } from "#core/tracing";
import { startOf } from "./fill.ts";
import { addressOf, deviceName, flowIdOf, portOf, REQUEST } from "./flows.ts";

const ROUNDS = 30;
const RED: Viewer = { admin: false, tenantId: "red" };

type Read = (store: TraceStore, flows: number, round: number) => Promise<unknown>;
const list =
  (
    filter: (flows: number, round: number) => FlowFilter & { readonly before?: string; readonly viewer?: Viewer },
  ): Read =>
  (store, flows, round) =>
    store.flows(REQUEST, { limit: 50, ...filter(flows, round) });
const paths =
  (filter: (flows: number, round: number) => FlowFilter & { readonly viewer?: Viewer }): Read =>
  (store, flows, round) =>
    store.paths(REQUEST, { limit: 50, ...filter(flows, round) });
const hourIn = (flows: number): FlowFilter => {
  const sinceMs = startOf(Math.floor(flows / 3));
  return { sinceMs, untilMs: sinceMs + 3_600_000 };
};

/** What people and programs ask; the worst of each kind. */
export const READS: readonly (readonly [name: string, read: Read])[] = [
  ["list: newest", list(() => ({}))],
  ["list: newest, as a tenant", list(() => ({ viewer: RED }))],
  ["list: verdict", list(() => ({ verdict: "dropped" }))],
  ["list: drop reason that none has", list(() => ({ dropReason: "no-route" }))],
  ["list: host", list(() => ({ host: "h2" }))],
  ["list: device", list((_, r) => ({ device: deviceName(r) }))],
  ["list: completeness", list(() => ({ completeness: "complete" }))],
  ["list: address", list((_, r) => ({ address: addressOf(r * 7) }))],
  ["list: address that all have", list(() => ({ address: "10.0.2.20" }))],
  ["list: L4 port", list((_, r) => ({ l4Port: portOf(r * 3) }))],
  ["list: L4 port and verdict", list(() => ({ l4Port: 443, verdict: "dropped" }))],
  ["list: address and L4 port", list((_, r) => ({ address: addressOf(r), l4Port: 443 }))],
  ["list: two that exclude each other", list(() => ({ l4Port: 443, device: deviceName(5), verdict: "delivered" }))],
  ["list: an hour, long ago", list((flows) => hourIn(flows))],
  [
    "list: an hour, verdict and device",
    list((flows) => ({ ...hourIn(flows), verdict: "delivered", device: deviceName(7) })),
  ],
  ["open: one flow", (store, flows, round) => store.flow(flowIdOf((round * 7_919) % flows))],
  ["open: pinned, counterparts", (store, flows, round) => store.about(flowIdOf((round * 7_919) % flows))],
  ["paths: all", paths(() => ({}))],
  ["paths: all, as a tenant", paths(() => ({ viewer: RED }))],
  ["paths: verdict", paths(() => ({ verdict: "dropped" }))],
  ["paths: address", paths((_, r) => ({ address: addressOf(r * 7) }))],
  ["paths: address that all have", paths(() => ({ address: "10.0.2.20" }))],
  ["paths: an hour", paths((flows) => hourIn(flows))],
  ["summaries", (store) => store.summaries([REQUEST])],
];

export async function readAll(store: TraceStore, flows: number): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>();
  for (const [name, read] of READS) {
    const mine: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const begin = performance.now();
      await read(store, flows, round);
      mine.push(performance.now() - begin);
    }
    times.set(name, mine);
  }
  return times;
}
