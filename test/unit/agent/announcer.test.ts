import assert from "node:assert/strict";
import { test } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { type PortId, SeededRandom, type TenantId } from "#core/base";
import { Nsdb } from "#core/nsdb";
import { Announcer } from "../../../src/apps/agent/announcer.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

test("a port that the store does not have keeps no other from being announced, and is asked for again", async (t) => {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  t.after(() => server.stop());
  const session = server.session();
  await session.start();
  const nsdb = new Nsdb(session, new SeededRandom(1), new VirtualTime());
  await nsdb.initialize();
  const host = (await nsdb.hosts.create({ name: "h" })).id;
  const bridge = await nsdb.bridges.create({ name: "b", tenantId: "t" as TenantId });
  const good = (await nsdb.ports.createOnBridge(bridge.id, {})).id;
  const gone = "00000000-0000-4000-8000-0000000000ff" as PortId;
  const announcer = new Announcer(nsdb.state, session, host);
  const work = () => announcer.announce(new Set([gone, good]));
  await assert.rejects(work, { code: "NOT_FOUND" });
  assert.deepEqual(await nsdb.state.activeHosts(good), [host]);
  await assert.rejects(work, { code: "NOT_FOUND" });
  await announcer.announce(new Set([good]));
  assert.equal(await nsdb.state.isAlive(host), true);
});
