import assert from "node:assert/strict";
import { test } from "node:test";
import type { BridgeId, PortId, RouterId } from "#core/base";
import type { MacLearn } from "#core/simulation";
import type { BridgeDevice } from "#core/topology";
import { LearnedTables, type ListedMac } from "../../../src/apps/agent/learned-tables.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

test("an entry that an administrator wrote is not unlearned, and replaces what was learned", async () => {
  const bridge = { id: "b" as BridgeId } as BridgeDevice;
  const at = (port: string): MacLearn => ({ bridge: bridge.id, vlan: 0, mac: 1, port: port as PortId });
  let listed: ListedMac[] = [];
  const removed: string[] = [];
  const invalidated: string[] = [];
  const tables = new LearnedTables(
    {
      putMac: async () => {},
      removeMac: async ({ port }) => void removed.push(port),
      putArp: async () => {},
      listMacs: async () => listed,
      listArp: async () => [],
    },
    new VirtualTime(),
    {
      invalidate: (tags) => void invalidated.push(...tags),
      arpKnown: () => {},
      problem: () => {},
      hearsayCounts: () => false,
      inUse: () => false,
    },
  );
  tables.learnMac(at("p"));
  listed = [{ ...at("q"), fixed: true }];
  await tables.refreshBridge(bridge.id);
  assert.deepEqual([tables.mac(bridge, 0, 1)?.port, tables.mac(bridge, 0, 1)?.fixed, removed], ["q", true, ["p"]]);
  const seen = invalidated.length;
  tables.learnMac(at("p"));
  assert.equal(tables.mac(bridge, 0, 1)?.port, "q");
  assert.equal(invalidated.length, seen, "no flow is disturbed");
  listed = [];
  await tables.refreshBridge(bridge.id);
  assert.equal(tables.mac(bridge, 0, 1), null);
  tables.learnMac(at("p"));
  assert.equal(tables.mac(bridge, 0, 1)?.port, "p");
});

test("a table is followed from the moment on at which its first listing is asked for", async () => {
  const bridge = "b" as BridgeId;
  const router = "r" as RouterId;
  const listing = Promise.withResolvers<void>();
  const tables = new LearnedTables(
    {
      putMac: async () => {},
      removeMac: async () => {},
      putArp: async () => {},
      listMacs: async () => {
        await listing.promise;
        return [{ bridge, vlan: 0, mac: 1, port: "p" as PortId }];
      },
      listArp: async () => {
        await listing.promise;
        return [];
      },
    },
    new VirtualTime(),
    { invalidate: () => {}, arpKnown: () => {}, problem: () => {}, hearsayCounts: () => false, inUse: () => false },
  );
  const read = [tables.refreshBridge(bridge), tables.refreshRouter(router)];
  // What changes now is not in the answer: whoever asks whether to read again must hear yes.
  assert.equal(tables.knowsBridge(bridge), true);
  assert.equal(tables.knowsRouter(router), true);
  listing.resolve();
  await Promise.all(read);
  assert.deepEqual(tables.bridges(), [bridge]);
});
