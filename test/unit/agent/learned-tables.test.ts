import assert from "node:assert/strict";
import { test } from "node:test";
import type { BridgeId, PortId, RouterId } from "#core/base";
import { LearnedTables } from "../../../src/apps/agent/learned-tables.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

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
