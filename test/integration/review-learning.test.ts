import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { BridgeId } from "#core/base";
import { buildUdp, type Mac } from "#core/packets";
import { ip } from "../support/cluster.ts";
import { onRouted } from "../support/cluster-kit.ts";

/** More than one port may teach its bridge. */
const SOURCES = 5_000;
const LIMIT = 4_096;

describe("a VM that makes up source MACs", () => {
  it("fills neither the bridge's table nor the store; its frames are forwarded all the same", () =>
    onRouted(async (c) => {
      const to = c.vm("red-3").config;
      for (let i = 0; i < SOURCES; i++) {
        const ethSrc = (0x02_ff_00_00_00_00 + i) as Mac;
        const ends = { ipSrc: ip("10.0.1.10"), ipDst: to.ip, srcPort: 1, dstPort: 9 };
        c.inject("red-1", buildUdp({ ...ends, ethSrc, ethDst: to.mac }));
        if (i % 500 === 0) await c.settle(20);
      }
      await c.settle(500);
      const web = (await c.deviceNamed("bridges", "web")) as BridgeId;
      const learned = await c.admin.state.macs(web, 0);
      assert.ok(learned.length <= LIMIT + 2, `${learned.length} entries`);
      assert.ok(c.agent("h1").counters().learningRefused >= SOURCES - LIMIT);
      assert.ok(c.got("red-3").length >= SOURCES);
      // Those that were there before still work.
      assert.equal((await c.during(c.vm("red-3").ping(ip("10.0.1.10"))))[0]?.kind, "reply");
    }));
});
