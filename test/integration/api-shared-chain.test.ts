import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { ChainId, TenantId } from "#core/base";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { type Answer, at, type Rig, startRig } from "./api-support.ts";

/** What tenants see of a chain that filters for devices of several. */
describe("a chain that tenants share", () => {
  let rig: Rig;
  let chain: ChainId;
  const who = new FakeIdentity({
    root: identityOf("", "admin"),
    red: identityOf("red", "tenant_admin"),
    blue: identityOf("blue", "tenant_admin"),
  });
  const ask = (token: string, method: string, path: string, body?: object): Promise<Answer> =>
    rig.ask(method, path, { headers: { "x-auth-token": token }, ...(body === undefined ? {} : { body }) });
  const rules = async (token: string): Promise<unknown[]> =>
    (await ask(token, "GET", `/chains/${chain}/rules`)).json as unknown[];
  const shape = async (token: string): Promise<unknown[]> =>
    (await rules(token)).map((r) => [at(r, "type"), at(r, "position"), at(r, "nwProto")]);
  const traceOn = async (tenant: string): Promise<string> => {
    const device = await rig.nsdb.bridges.create({ tenantId: tenant as TenantId, inboundFilterId: chain });
    const made = await rig.nsdb.traces.create({
      name: tenant,
      deviceType: "BRIDGE",
      deviceId: device.id,
      condition: { nwSrcAddress: "10.66.66.66" },
      enabled: true,
    });
    return made.enabledRule ?? assert.fail();
  };
  let foreign: string;

  before(async () => {
    rig = await startRig({ identity: who });
    chain = (await rig.nsdb.chains.create({ name: "shared", tenantId: "red" as TenantId })).id;
    for (const nwProto of [17, 6]) await ask("red", "POST", `/chains/${chain}/rules`, { type: "accept", nwProto });
    await traceOn("red");
    foreign = await traceOn("blue");
  });
  after(() => rig.stop());

  it("shows its owner their own trace rules and not those of others, without a gap", async () => {
    assert.deepEqual(await shape("red"), [
      ["trace", 1, null],
      ["accept", 2, 6],
      ["accept", 3, 17],
    ]);
    assert.equal((await shape("root")).length, 4);
    assert.doesNotMatch((await ask("red", "GET", `/chains/${chain}/rules`)).text, new RegExp(foreign));
    assert.equal((await ask("red", "GET", `/rules/${foreign}`)).status, 404);
    assert.equal((await ask("red", "DELETE", `/rules/${foreign}`)).status, 404);
    assert.equal((await ask("root", "GET", `/rules/${foreign}`)).status, 200);
  });

  it("puts a rule where its owner counts", async () => {
    const post = (position: number, nwProto: number): Promise<Answer> =>
      ask("red", "POST", `/chains/${chain}/rules`, { type: "accept", position, nwProto });
    assert.equal((await post(4, 50)).status, 201, "at the end");
    assert.equal((await post(3, 51)).status, 201);
    assert.equal((await post(7, 52)).status, 400);
    assert.deepEqual(
      (await shape("root")).map((r) => at(r, "2")),
      [null, null, 6, 51, 17, 50],
    );
    const [, , third] = await rules("red");
    assert.deepEqual([at(third, "nwProto"), at(third, "position")], [51, 3]);
    assert.equal(at((await ask("red", "GET", `/rules/${String(at(third, "id"))}`)).json, "position"), 3);
  });

  it("says the name of a jump's target to its owner only; peers of a device are shown to theirs", async () => {
    const target = await rig.nsdb.chains.create({ name: "secret", tenantId: "blue" as TenantId });
    const jump = await rig.nsdb.rules.create(chain, {
      type: "jump",
      jumpChainId: target.id,
      condition: {},
      meterName: null,
    });
    assert.equal(at((await ask("red", "GET", `/rules/${jump.id}`)).json, "jumpChainName"), null);
    assert.equal(at((await ask("root", "GET", `/rules/${jump.id}`)).json, "jumpChainName"), "secret");
    const [mine, theirs] = [
      await rig.nsdb.bridges.create({ tenantId: "red" as TenantId }),
      await rig.nsdb.routers.create({ tenantId: "blue" as TenantId }),
    ];
    const [p, q] = [
      await rig.nsdb.ports.createOnBridge(mine.id, {}),
      await rig.nsdb.ports.createOnRouter(theirs.id, {}),
    ];
    await rig.nsdb.ports.link(p.id, q.id);
    assert.deepEqual((await ask("red", "GET", `/bridges/${mine.id}/peer_ports`)).json, []);
    assert.equal(at((await ask("root", "GET", `/bridges/${mine.id}/peer_ports`)).json, "0.id"), q.id);
  });

  it("made for a trace goes with the device when it changes hands", async () => {
    const device = await rig.nsdb.routers.create({ tenantId: "red" as TenantId });
    const port = await rig.nsdb.ports.createOnRouter(device.id, {});
    const on = { name: "t", deviceType: "PORT", deviceId: port.id, condition: {}, enabled: true } as const;
    const { enabledChain } = await rig.nsdb.traces.create(on);
    assert.equal((await ask("red", "GET", `/chains/${enabledChain}`)).status, 200);
    await rig.nsdb.routers.update(device.id, { tenantId: "blue" as TenantId });
    assert.equal((await ask("red", "GET", `/chains/${enabledChain}`)).status, 403);
    assert.equal((await ask("blue", "GET", `/chains/${enabledChain}/rules`)).status, 200);
  });
});
