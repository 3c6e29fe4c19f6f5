import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { applySmallNetwork, type Rig, startRig } from "./api-support.ts";

describe("what may be traced", { timeout: 20_000 }, () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;

  before(async () => {
    const identity = new FakeIdentity({
      root: identityOf("operators", "admin"),
      rita: identityOf("red", "tenant_user"),
      bob: identityOf("blue", "tenant_admin"),
    });
    rig = await startRig({ identity });
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  const named = async (token: string, query = ""): Promise<unknown> => {
    const { status, json } = await rig.ask("GET", `/trace_devices${query}`, { headers: { "x-auth-token": token } });
    assert.equal(status, 200);
    return (json as { name: string; deviceId: string }[]).map((d) => {
      assert.equal(d.deviceId, ids.get(d.name), d.name);
      return d.name;
    });
  };
  const ALL = ["red-a", "red-b", "r1", "red-a/vm1", "red-a/up", "red-b/vm2", "red-b/up", "r1/a", "r1/b"];

  it("the administrator sees all, or a tenant's", async () => {
    assert.deepEqual(new Set((await named("root")) as string[]), new Set(ALL));
    assert.deepEqual(await named("root", "?tenant_id=blue"), []);
  });

  it("tenants see their own, whatever tenant they say they are", async () => {
    assert.deepEqual(new Set((await named("rita")) as string[]), new Set(ALL));
    assert.deepEqual(await named("bob"), []);
    assert.deepEqual(await named("bob", "?tenant_id=red"), []);
  });
});
