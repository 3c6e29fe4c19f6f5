import assert from "node:assert/strict";
import { test } from "node:test";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { SeededRandom } from "#core/base";
import { Nsdb } from "#core/nsdb";
import { AliveHosts } from "../../../src/apps/api/alive-hosts.ts";
import { hostId } from "../../support/cluster.ts";
import { eventually } from "../../support/nsdb-eventually.ts";
import { VirtualTime } from "../../support/virtual-time.ts";

test("a host is down when the store says that its agent does not run; while the store is away nobody knows", async (t) => {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  t.after(() => server.stop());
  const [mine, agents] = [server.session(), server.session()];
  await mine.start();
  await agents.start();
  const nsdb = new Nsdb(agents, new SeededRandom(1), new VirtualTime());
  await nsdb.initialize();
  const [a, b] = [hostId(1), hostId(2)];
  for (const id of [a, b]) await nsdb.hosts.register(id, id);
  await nsdb.state.setAlive(a);

  const hosts = new AliveHosts(mine, { info: () => {}, error: () => {} });
  assert.equal(hosts.isDown(b), false, "not read yet");
  await mine.watch("/hosts", hosts);
  await hosts.begin();
  assert.deepEqual(
    [a, b].map((id) => hosts.isDown(id)),
    [false, true],
  );

  await nsdb.state.setAlive(b);
  await eventually(() => assert.equal(hosts.isDown(b), false));
  await nsdb.state.clearAlive(a);
  await eventually(() => assert.equal(hosts.isDown(a), true));

  mine.disconnect();
  assert.equal(hosts.isDown(a), false, "nobody knows");
  await nsdb.state.setAlive(a);
  await nsdb.state.clearAlive(b);
  mine.reconnect();
  await eventually(() =>
    assert.deepEqual(
      [a, b].map((id) => hosts.isDown(id)),
      [false, true],
    ),
  );

  const other = hostId(3);
  assert.equal(hosts.isDown(other), true, "a host that was taken out of the store");
});
