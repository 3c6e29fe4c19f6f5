import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BridgeId } from "#core/base";
import { buildUdp, type Mac, parseMac } from "#core/packets";
import { ip } from "../support/cluster.ts";
import { onRouted } from "../support/cluster-kit.ts";

/** Of a VM that nobody has heard yet. */
const SILENT = "02:00:00:00:00:99";

describe("a MAC that an administrator wrote into a bridge's table", () => {
  it("is where they said, on every host, whoever claims it; without the entry it is learned again", () =>
    onRouted(async (c) => {
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      const port = (await c.admin.ports.list({ deviceId: web })).find((p) => p.name === "red-3") ?? assert.fail();
      const entry = { mac: SILENT, portId: port.id, vlan: 0 };
      await c.admin.bridgeTables.setMac(web, entry);
      await c.settle(200);
      const silent = parseMac(SILENT) as Mac;
      const frame = (from: Mac, to: Mac): Uint8Array =>
        buildUdp({ ethSrc: from, ethDst: to, ipSrc: ip("10.0.1.10"), ipDst: ip("10.0.1.99"), srcPort: 5, dstPort: 9 });
      const before = c.got("red-3").length;
      c.inject("red-1", frame(c.vm("red-1").config.mac, silent));
      await c.settle(200);
      assert.equal(c.got("red-3").length, before + 1);

      // Somebody behind another port claims the MAC: the table says otherwise, and stays as it is.
      c.inject("red-1", frame(silent, c.vm("red-3").config.mac));
      await c.settle(200);
      const listed = (): Promise<string | undefined> =>
        c.admin.state.macs(web, 0).then((all) => all.find((e) => e.mac === SILENT)?.portId);
      assert.equal(await listed(), port.id);
      c.inject("red-1", frame(c.vm("red-1").config.mac, silent));
      await c.settle(200);
      assert.equal(c.got("red-3").length, before + 3);

      assert.equal(await c.admin.bridgeTables.removeMac(web, entry), true);
      await c.settle(200);
      c.inject("red-1", frame(silent, c.vm("red-3").config.mac));
      await c.settle(200);
      const claimed = (await c.admin.ports.list({ deviceId: web })).find((p) => p.name === "red-1");
      assert.equal(await listed(), claimed?.id, "learned where it was seen");
    }));
});
