import assert from "node:assert/strict";
import { it } from "node:test";
import { ip } from "../support/cluster.ts";
import { assertComplete, GATEWAY, onRouted, routerOf, udpFrom } from "../support/cluster-kit.ts";

it("a host that cannot reach the store traces on, and says that its topology may be old", () =>
  onRouted(async (c) => {
    await c.trace("ROUTER", await routerOf(c), { nwProto: 17, tpDst: { start: 9, end: 9 } });
    await c.during(c.vm("red-1").udp(ip("10.0.2.20"), 7, new Uint8Array([1]), { srcPort: 19_000 }));
    const send = async (sport: number): Promise<void> => {
      c.inject("red-1", udpFrom(c, "red-1", GATEWAY, { sport, dport: 9 }));
      await c.time.advance(200);
    };
    await send(20_000);
    c.session("h1").disconnect();
    await c.time.advance(100);
    await send(20_001);
    c.session("h1").reconnect();
    await c.settle(500);
    await send(20_002);
    const [before, away, after] = c.flowTraces();
    assert.ok(before !== undefined && away !== undefined && after !== undefined);
    assertComplete([before, after]);
    assert.deepEqual(
      away.completeness.missing.map((m) => [m.hostName, m.reason]),
      [["h1", "store-unreachable"]],
    );
    assert.deepEqual([away.verdict, away.completeness.state], ["delivered", "partial"]);
  }));
