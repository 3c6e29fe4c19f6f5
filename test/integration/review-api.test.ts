import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { run } from "../../src/apps/cli/run.ts";
import type { HostId, PortId } from "#core/base";
import { NsdbUnavailable } from "#core/nsdb";
import { applySmallNetwork, at, type Rig, startRig } from "./api-support.ts";

describe("the API, asked oddly", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const id = (name: string): string => ids.get(name) ?? assert.fail(`no ${name}`);
  const simulate = async (packet: string): Promise<unknown> =>
    (await rig.ask("POST", "/simulations", { body: { port: "red-a/vm1", packet } })).json;

  before(async () => {
    rig = await startRig();
    ids = await applySmallNetwork(rig);
  });
  after(() => rig.stop());

  it("a binding of a host or port whose id cannot be one is not there, and no defect", async () => {
    for (const odd of ["%00", "..%2f..", "a%2fb"]) {
      for (const path of [`/hosts/${odd}/ports/${id("red-a/vm1")}`, `/hosts/${id("h1")}/ports/${odd}`])
        assert.equal((await rig.ask("GET", path)).status, 404, path);
    }
    assert.equal((await rig.ask("GET", `/hosts/${id("h1")}/ports/${id("red-a/vm1")}`)).status, 200);
  });

  it("simulates a packet from an address of no network here as sent to the gateway", async () => {
    const trace = await simulate("tcp 9.9.9.9:1 > 10.0.2.20:5432");
    assert.equal(at(trace, "key.ethDst"), "02:00:00:00:01:01");
  });

  it("says of a simulated flood to an unknown MAC that it is one", async () => {
    const port = await rig.make(`/bridges/${id("red-a")}/ports`, { type: "Bridge" });
    const bound = await rig.ask("POST", `/hosts/${id("h2")}/ports`, { body: { portId: port, interfaceName: "tap9" } });
    assert.equal(bound.status, 201, bound.text);
    await rig.nsdb.state.setPortActive(port as PortId, id("h2") as HostId);
    const trace = await simulate("udp 10.0.1.10:1 > 10.0.1.99:2");
    assert.equal(at(trace, "verdict"), "delivered");
    assert.match(String(at(trace, "why")), /only because bridge red-a does not know where 02:00:0a:00:01:63 is/);
  });
});

describe("the command line, when the store is taken", () => {
  it("says so in one line, without a stack", async () => {
    let said = "";
    const load = (): Promise<never> => Promise.reject(new NsdbUnavailable("the store in /x is in use by process 1"));
    const io = {
      out: () => undefined,
      err: (text: string) => void (said += text),
      env: {},
      colours: false,
      columns: 80,
      version: "0",
      stop: new AbortController().signal,
    };
    assert.equal(await run(["lab"], [{ name: "lab", summary: "x", load }], io), 1);
    assert.equal(said, "midotrace: the store in /x is in use by process 1\n");
  });
});
