import assert from "node:assert/strict";
import { test } from "node:test";
import { StatusServer } from "../../../src/apps/agent/status-server.ts";

test("health, readiness with what is waited for, metrics; everything else is refused", async (t) => {
  let waits: string[] = ["the switch"];
  const server = new StatusServer("127.0.0.1", 0, {
    waitingFor: () => waits,
    metrics: async () => "# TYPE x counter\nx 1\n",
    facts: () => ({ hostName: "host-a", tunnelIp: null }),
  });
  await server.start();
  t.after(() => server.stop());
  const get = async (path: string, method = "GET"): Promise<[number, string]> => {
    const response = await fetch(`${server.url}${path}`, { method });
    return [response.status, await response.text()];
  };
  assert.deepEqual(await get("/healthz"), [200, '{"status":"ok"}\n']);
  const [notYet, why] = await get("/readyz?verbose");
  assert.deepEqual(
    [notYet, JSON.parse(why)],
    [503, { ready: false, waitingFor: ["the switch"], hostName: "host-a", tunnelIp: null }],
  );
  waits = [];
  assert.equal((await get("/readyz"))[0], 200);
  assert.deepEqual(await get("/metrics"), [200, "# TYPE x counter\nx 1\n"]);
  assert.equal((await get("/other"))[0], 404);
  assert.equal((await get("/healthz", "POST"))[0], 405);
  await server.stop();
  await server.stop();
  await assert.rejects(fetch(`${server.url}/healthz`));
});
