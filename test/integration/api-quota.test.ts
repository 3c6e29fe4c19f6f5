import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { systemClock, systemRandom } from "#adapters/platform";
import type { BridgeId, TenantId } from "#core/base";
import { Nsdb } from "#core/nsdb";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { at, type Rig, SMALL_NETWORK, startRig } from "./api-support.ts";

describe("how many trace requests a tenant may have", () => {
  let rig: Rig;
  let device = "";
  const as = (token: string, body?: unknown) => ({
    headers: { "x-auth-token": token },
    ...(body === undefined ? {} : { body }),
  });
  before(async () => {
    const identity = new FakeIdentity({ root: identityOf("", "admin"), red: identityOf("red", "tenant_admin") });
    const tenantLimits = { traces: 3, enabledTraces: 1, streams: null };
    rig = await startRig({ identity, tenantLimits: { ...tenantLimits } });
    assert.equal((await rig.ask("POST", "/topology", as("root", SMALL_NETWORK))).status, 200);
    device = String(at((await rig.ask("GET", "/bridges", as("root"))).json, "0.uri"));
  });
  after(() => rig.stop());

  it("is told with the limit and its value, for the number and for the enabled ones", async () => {
    const first = await rig.ask("POST", "/traces", as("red", { device, enabled: true }));
    assert.equal(first.status, 201);
    const enabled = await rig.ask("POST", "/traces", as("red", { device, enabled: true }));
    assert.equal(enabled.status, 409);
    assert.match(
      enabled.text,
      /"this tenant has 1 enabled trace requests already, and may have no more \(--tenant-enabled-traces of the server\)"/,
    );
    const second = await rig.ask("POST", "/traces", as("red", { device }));
    assert.equal((await rig.ask("POST", "/traces", as("red", { device }))).status, 201);
    const fourth = await rig.ask("POST", "/traces", as("red", { device }));
    assert.equal(fourth.status, 409);
    assert.match(fourth.text, /"error":"LIMIT_EXCEEDED"/);
    assert.match(fourth.text, /has 3 trace requests already.*--tenant-traces/);
    const path = (answer: typeof first): string => String(answer.headers.location).replace(/^.*\/midonet-api/, "");
    const enable = await rig.ask("PUT", path(second), as("red", { enabled: true }));
    assert.match(enable.text, /has 1 enabled trace requests already/);
    assert.equal((await rig.ask("PUT", path(first), as("red", { enabled: false }))).status, 204);
    assert.equal((await rig.ask("PUT", path(second), as("red", { enabled: true }))).status, 204);
    assert.equal((await rig.ask("PUT", path(second), as("red", { enabled: true }))).status, 204);
    // An administrator makes what is needed.
    assert.equal((await rig.ask("POST", "/traces", as("root", { device, enabled: true }))).status, 201);
  });

  it("is kept to when two servers count at once", async () => {
    const store = openEmbeddedStore("memory:");
    await store.start();
    const servers = [new Nsdb(store, systemRandom, systemClock), new Nsdb(store, systemRandom, systemClock)];
    const [one] = servers as [Nsdb, Nsdb];
    await one.initialize();
    const bridges = await Promise.all(
      [1, 2, 3].map((n) => one.bridges.create({ name: `b${n}`, tenantId: "red" as TenantId })),
    );
    const quota = { traces: 10, enabledTraces: 4 };
    const made = await Promise.allSettled(
      Array.from({ length: 30 }, (_, n) => {
        const deviceId: BridgeId = (bridges[n % 3] as { readonly id: BridgeId }).id;
        const input = { name: `t${n}`, deviceType: "BRIDGE" as const, deviceId, condition: {}, enabled: n % 2 === 0 };
        return (servers[n % 2] as Nsdb).traces.create(input, quota);
      }),
    );
    const kept = await one.traces.list({ tenantId: "red" });
    assert.equal(made.filter((m) => m.status === "fulfilled").length, kept.length);
    assert.equal(kept.length, 10);
    const enabling = kept.map((t, n) => (servers[n % 2] as Nsdb).traces.enable(t.id, quota));
    await Promise.allSettled(enabling);
    const enabled = (await one.traces.list({ tenantId: "red" })).filter((t) => t.enabledRule !== null);
    assert.equal(enabled.length, 4);
    await store.stop();
  });
});
