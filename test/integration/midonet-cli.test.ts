import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, describe, it } from "node:test";
import type { HostId } from "#core/base";
import { checkStore } from "#core/nsdb";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { ClientError, type Credentials, type Kind, MidonetClient, type Resource } from "../support/midonet-client.ts";
import { exchange, requestText } from "../support/midonet-wire.ts";
import { type Rig, startRig } from "./api-support.ts";

const TENANT = "0123456789abcdef0123456789abcdef";
const WAYS: readonly {
  readonly name: string;
  readonly credentials: Credentials | null;
  readonly tenant: string | null;
}[] = [
  { name: "without credentials", credentials: null, tenant: null },
  {
    name: "signed in, with a tenant",
    credentials: { user: "root", password: "right", project: "ops" },
    tenant: TENANT,
  },
];

/** Objects by the aliases of an interactive session. */
class Session {
  readonly client: MidonetClient;
  readonly objects = new Map<string, Resource>();
  /** Every command begins where the process does: with the root document and the system state. */
  constructor(client: MidonetClient) {
    this.client = client;
  }

  of(alias: string): Resource {
    const found = this.objects.get(alias);
    if (found === undefined) throw new Error(`no ${alias}`);
    return found;
  }

  id(alias: string): string {
    return String(this.of(alias)["id"]);
  }

  /** `create X …`: the collection is listed first, then POST and GET. */
  async create(alias: string, key: string, kind: Kind, fields: Resource): Promise<void> {
    await this.client.start();
    await this.client.all(key, kind);
    this.objects.set(alias, await this.client.create(this.client.uriOf(key), kind, fields));
  }

  /** `PARENT add X …` */
  async add(alias: string, parent: string, list: string, kind: Kind, fields: Resource): Promise<void> {
    await this.client.start();
    const uri = String((await this.again(parent))[list]);
    await this.client.list(uri, kind);
    this.objects.set(alias, await this.client.create(uri, kind, fields));
  }

  /** The object, read anew. */
  async again(alias: string): Promise<Resource> {
    const object = this.of(alias);
    const now = await this.client.item(String(object["uri"]), kindOf(alias));
    this.objects.set(alias, now);
    return now;
  }

  /** `X set …`: GET twice, PUT, GET. */
  async set(alias: string, changes: Resource): Promise<Resource> {
    await this.client.start();
    await this.again(alias);
    const now = await this.client.update(await this.again(alias), kindOf(alias), changes);
    this.objects.set(alias, now);
    return now;
  }

  /** `X delete` */
  async delete(alias: string): Promise<void> {
    await this.client.start();
    await this.client.delete(await this.again(alias));
  }
}

const KINDS: readonly (readonly [RegExp, Kind])[] = [
  [/:port\d$/, "Port"],
  [/:rule\d$/, "Rule"],
  [/^bridge/, "Bridge"],
  [/^router/, "Router"],
  [/^chain/, "Chain"],
  [/^tr\d/, "TraceRequest"],
  [/^tzone/, "TunnelZone"],
  [/^host/, "Host"],
  [/^pg/, "PortGroup"],
  [/^ipg/, "IpAddrGroup"],
];
const kindOf = (alias: string): Kind => KINDS.find(([test]) => test.test(alias))?.[1] ?? "Bridge";

for (const { name, credentials, tenant } of WAYS)
  describe(`a session of midonet-cli, ${name} (midonet-rest section 9)`, () => {
    let rig: Rig;
    let s: Session;
    const client = (): MidonetClient => s.client;
    const named = (fields: Resource): Resource => ({ tenantId: tenant ?? "", ...fields });
    const who = new FakeIdentity({ root: identityOf("ops", "admin") });

    before(async () => {
      rig = await startRig(credentials === null ? {} : { identity: who });
      for (const [i, id] of [randomUUID(), randomUUID()].entries()) {
        await rig.nsdb.hosts.register(id as HostId, `host-${i}`);
        await rig.nsdb.state.setAlive(id as HostId);
      }
      s = new Session(new MidonetClient(rig.base, credentials));
      client().tenant = tenant;
    });
    after(() => rig.stop());

    it("create tunnel-zone; list host; add member", async () => {
      await s.create("tzone0", "tunnelZones", "TunnelZone", { name: "tz0", type: "vxlan" });
      await client().start();
      const hosts = [...(await client().all("hosts", "Host"))].sort((a, b) =>
        String(a["name"]) < String(b["name"]) ? -1 : 1,
      );
      hosts.forEach((host, i) => s.objects.set(`host${i}`, host));
      for (const [i, ipAddress] of ["192.0.2.11", "192.0.2.12"].entries()) {
        await client().byId("hostTemplate", s.id(`host${i}`), "Host");
        await s.add(`member${i}`, "tzone0", "hosts", "TunnelZoneHost", { hostId: s.id(`host${i}`), ipAddress });
      }
      const members = await client().list(String(s.of("tzone0")["hosts"]), "TunnelZoneHost");
      assert.deepEqual(members.map((m) => String(m["ipAddress"])).sort(), ["192.0.2.11", "192.0.2.12"]);
    });

    it("create bridge, router; add port; set peer; add route", async () => {
      await s.create("bridge0", "bridges", "Bridge", named({ name: "net-a" }));
      await s.create("bridge1", "bridges", "Bridge", named({ name: "net-b" }));
      await s.create("router0", "routers", "Router", named({ name: "rtr" }));
      for (const bridge of ["bridge0", "bridge1"])
        for (const port of ["port0", "port1"])
          await s.add(`${bridge}:${port}`, bridge, "ports", "Port", { type: "Bridge" });
      await s.add("router0:port0", "router0", "ports", "Port", { type: "Router", portSubnet: ["10.0.1.1/24"] });
      await s.add("router0:port1", "router0", "ports", "Port", { type: "Router", portSubnet: ["10.0.2.1/24"] });
      for (const [port, peer] of [
        ["bridge0:port1", "router0:port0"],
        ["router0:port1", "bridge1:port1"],
      ] as const) {
        await client().start();
        await client().byId("portTemplate", s.id(peer), "Port");
        const linked = await client().link(await s.again(port), s.id(peer));
        assert.equal(linked["peerId"], s.id(peer));
        assert.equal((await s.again(peer))["peerId"], s.id(port));
      }
      for (const [i, net] of ["10.0.1.0", "10.0.2.0"].entries())
        await s.add(`route${i}`, "router0", "routes", "Route", {
          srcNetworkAddr: "0.0.0.0",
          srcNetworkLength: "0",
          dstNetworkAddr: net,
          dstNetworkLength: "24",
          type: "Normal",
          nextHopPort: s.id(`router0:port${i}`),
          weight: "100",
        });
      const routes = await client().list(String(s.of("router0")["routes"]), "Route");
      assert.deepEqual(routes.map((r) => String(r["type"])).sort(), ["Local", "Local", "Normal", "Normal"]);
    });

    it("create chain; add rule; set infilter", async () => {
      await s.create("chain0", "chains", "Chain", named({ name: "pre-filter" }));
      await s.add("chain0:rule0", "chain0", "rules", "Rule", { type: "accept", invNwProto: false, nwProto: "1" });
      await s.add("chain0:rule1", "chain0", "rules", "Rule", { type: "drop", position: "2" });
      const rules = await client().list(String(s.of("chain0")["rules"]), "Rule");
      assert.deepEqual(
        rules.map((r) => [r["id"], r["position"], r["nwProto"]]),
        [
          [s.id("chain0:rule0"), 1, 1],
          [s.id("chain0:rule1"), 2, null],
        ],
      );
      await client().byId("chainTemplate", s.id("chain0"), "Chain");
      const router = await s.set("router0", { inboundFilterId: s.id("chain0") });
      assert.equal(router["inboundFilterId"], s.id("chain0"));
    });

    it("add binding; list binding", async () => {
      for (const [host, port] of [
        ["host0", "bridge0:port0"],
        ["host1", "bridge1:port0"],
      ] as const) {
        await client().byId("portTemplate", s.id(port), "Port");
        await s.add(`binding of ${host}`, host, "ports", "HostInterfacePort", {
          portId: s.id(port),
          interfaceName: "tap0",
        });
      }
      const bindings = await client().list(String(s.of("host0")["ports"]), "HostInterfacePort");
      assert.deepEqual(
        bindings.map((b) => [b["portId"], b["interfaceName"]]),
        [[s.id("bridge0:port0"), "tap0"]],
      );
    });

    it("create tracerequest: on a router, on a port that is enabled at once, on a bridge", async () => {
      const create = async (alias: string, fields: Resource): Promise<void> => {
        await client().start();
        await client().all("traceRequests", "TraceRequest");
        const id = String(fields["deviceId"]);
        if (fields["deviceType"] === "PORT") await client().deviceOf(id);
        else if (fields["deviceType"] === "ROUTER") await client().byId("routerTemplate", id, "Router");
        else await client().byId("bridgeTemplate", id, "Bridge");
        const made = await client().create(client().uriOf("traceRequests"), "TraceRequest", {
          id: randomUUID(),
          ...fields,
        });
        s.objects.set(alias, made);
      };
      await create("tr0", {
        name: "ping",
        deviceType: "ROUTER",
        deviceId: s.id("router0"),
        condition: { invNwProto: false, nwProto: "1", invNwSrc: false, nwSrcAddress: "10.0.1.10", nwSrcLength: 32 },
        limit: "10",
      });
      const mark = client().log.length;
      await create("tr1", {
        name: "web",
        deviceType: "PORT",
        deviceId: s.id("bridge0:port0"),
        condition: { invNwProto: false, nwProto: "6", invTpDst: false, tpDst: { start: "80", end: "80" } },
        enabled: true,
      });
      const port = s.id("bridge0:port0");
      const [device, list] = [s.id("bridge0"), tenant === null ? "/traces" : `/traces?tenant_id=${tenant}`];
      assert.deepEqual(client().log.slice(mark), [
        "GET  200",
        "GET /system_state 200",
        `GET ${list} 200`,
        `GET /ports/${port} 200`,
        `GET /routers/${device} 404`,
        `GET /bridges/${device} 200`,
        "POST /traces 201",
        `GET /traces/${s.id("tr1")} 200`,
      ]);
      await create("tr2", {
        name: "all",
        deviceType: "BRIDGE",
        deviceId: s.id("bridge1"),
        condition: { condInvert: false },
      });
      const ping = s.of("tr0");
      assert.deepEqual([ping["limit"], ping["enabled"]], [10, false]);
      assert.deepEqual([s.of("tr1")["enabled"], s.of("tr2")["limit"]], [true, 9223372036854775807n]);
    });

    it("list tracerequest: every device is looked up again", async () => {
      await client().start();
      const traces = await client().all("traceRequests", "TraceRequest");
      assert.equal(traces.length, 3);
      for (const trace of traces) {
        const [type, id] = [trace["deviceType"], String(trace["deviceId"])];
        assert.notEqual(trace["condition"], null);
        if (type === "PORT") await client().deviceOf(id);
        else
          await client().byId(
            type === "ROUTER" ? "routerTemplate" : "bridgeTemplate",
            id,
            type === "ROUTER" ? "Router" : "Bridge",
          );
      }
      // `list enabled true` is decided in the client.
      assert.deepEqual(
        traces.filter((t) => t["enabled"] === true).map((t) => t["name"]),
        ["web"],
      );
      const line = traces.find((t) => t["name"] === "ping")?.["condition"] as Resource;
      assert.deepEqual(
        ["condInvert", "nwSrcAddress", "nwSrcLength", "nwProto", "fragmentPolicy", "noVlan", "matchNwDstRewritten"].map(
          (f) => line[f],
        ),
        [false, "10.0.1.10", 32, 1, "any", false, false],
      );
    });

    it("tracerequest set enabled, show, delete; delete by a field", async () => {
      const mark = client().log.length;
      assert.equal((await s.set("tr0", { enabled: true }))["enabled"], true);
      const uri = `/traces/${s.id("tr0")}`;
      assert.deepEqual(client().log.slice(mark), [
        "GET  200",
        "GET /system_state 200",
        `GET ${uri} 200`,
        `GET ${uri} 200`,
        `PUT ${uri} 204`,
        `GET ${uri} 200`,
      ]);
      assert.equal((await s.again("tr0"))["enabled"], true);
      const rules = await client().list(String(s.of("chain0")["rules"]), "Rule");
      assert.deepEqual([rules[0]?.["type"], rules[0]?.["requestId"]], ["trace", s.id("tr0")]);
      assert.equal((await s.set("tr0", { enabled: false }))["enabled"], false);
      await s.delete("tr0");
      await s.delete("tr1");
      const all = await client().all("traceRequests", "TraceRequest");
      const left = all.find((t) => t["name"] === "all");
      assert.ok(left !== undefined && all.length === 1);
      await client().delete(left);
      assert.deepEqual(await client().all("traceRequests", "TraceRequest"), []);
    });

    it("further verified forms", async () => {
      await s.create("pg0", "portGroups", "PortGroup", named({ name: "N", stateful: true }));
      await s.add("pg0 member", "pg0", "ports", "PortGroupPort", { portId: s.id("bridge0:port0") });
      assert.equal((await client().list(String(s.of("pg0")["ports"]), "PortGroupPort")).length, 1);
      await s.create("ipg0", "ipAddrGroups", "IpAddrGroup", { name: "N" });
      await s.add("ip0", "ipg0", "addrs", "IpAddrGroupAddr", { version: 4, addr: "10.1.1.1" });
      await s.add("ip1", "ipg0", "addrs", "IpAddrGroupAddr", { version: 6, addr: "2001:db8::1" });
      assert.equal((await client().list(String(s.of("ipg0")["addrs"]), "IpAddrGroupAddr")).length, 2);
      const rule = (fields: Resource): Promise<void> => s.add("chain0:rule9", "chain0", "rules", "Rule", fields);
      await s.create("chain1", "chains", "Chain", named({ name: "other" }));
      await rule({ type: "jump", jumpChainId: s.id("chain1"), jumpChainName: null });
      const target = { addressFrom: "10.0.0.1", addressTo: "10.0.0.5", portFrom: "1024", portTo: "65535" };
      await rule({ type: "snat", flowAction: "accept", natTargets: [target] });
      const [a, b] = [
        { addressFrom: "10.0.0.9", addressTo: "10.0.0.9", portFrom: "80", portTo: "80" },
        { addressFrom: "10.0.0.10", addressTo: "10.0.0.10", portFrom: 0, portTo: 0 },
      ];
      await rule({ type: "dnat", flowAction: "continue", natTargets: [a, b] });
      await rule({ type: "rev_snat", flowAction: "accept" });
      const l2 = { type: "l2_transform", flowAction: "redirect", targetPortId: s.id("bridge0:port0"), ingress: "true" };
      await rule(l2);
      // Trace rules come and go with their requests only: a rule without one would trace for nobody.
      await assert.rejects(rule({ type: "trace", requestId: randomUUID(), limit: "5", nwProto: "6" }), (error) => {
        assert.ok(error instanceof ClientError && error.status === 400, String(error));
        assert.match(error.text, /enabling a trace request/);
        return true;
      });
      const chain = s.id("chain1");
      await s.set("bridge0:port0", { inboundFilterId: chain, outboundFilterId: chain });
      assert.equal((await s.set("tzone0", { name: "N" }))["name"], "N");
      assert.equal((await s.set("host0", { floodingProxyWeight: "3" }))["floodingProxyWeight"], 3);
      await client().list(String(s.of("host0")["interfaces"]), "Interface");
      const tenants = (await client().all("tenants", "Tenant")).map((t) => t["id"]);
      if (tenant !== null && credentials === null) assert.ok(tenants.includes(tenant));
      assert.equal((await client().all("ports", "Port")).length, 6);
      assert.equal((await client().item(client().uriOf("systemState"), "SystemState"))["availability"], "READWRITE");
      const down = await s.set("bridge0", { name: "N", adminStateUp: "false" });
      assert.deepEqual([down["name"], down["adminStateUp"]], ["N", false]);
      for (const alias of ["chain1", "pg0", "ipg0"]) await s.delete(alias);
      assert.equal((await s.again("bridge0:port0"))["inboundFilterId"], null);
    });

    it("takes everything apart again, and leaves nothing", async () => {
      assert.equal((await s.set("router0", { inboundFilterId: null }))["inboundFilterId"], null);
      for (const host of ["host0", "host1"]) {
        const [binding] = await client().list(String(s.of(host)["ports"]), "HostInterfacePort");
        assert.ok(binding);
        await client().delete(binding);
      }
      assert.equal((await client().unlink(await s.again("bridge0:port1")))["peerId"], null);
      for (const alias of ["bridge0", "bridge1", "router0", "chain0:rule1", "chain0"]) await s.delete(alias);
      const members = await client().list(String(s.of("tzone0")["hosts"]), "TunnelZoneHost");
      await client().delete(members.find((m) => m["hostId"] === s.id("host1")) as Resource);
      await s.delete("tzone0");
      for (const [key, kind] of [
        ["bridges", "Bridge"],
        ["routers", "Router"],
        ["ports", "Port"],
        ["chains", "Chain"],
        ["tunnelZones", "TunnelZone"],
        ["portGroups", "PortGroup"],
        ["traceRequests", "TraceRequest"],
      ] as const)
        assert.deepEqual(await client().all(key, kind), [], key);
      assert.deepEqual(await checkStore(rig.nsdb.store), []);
      assert.deepEqual(rig.log, [`listening on ${rig.url}`], "no defect was logged");
    });

    it("sent nothing but what the client sends", () => {
      const statuses = new Set(client().log.map((line) => Number(line.split(" ").at(-1))));
      assert.deepEqual(
        [...statuses].sort((a, b) => a - b),
        [200, 201, 204, 400, 404],
      );
      const login = client().log.filter((line) => line.startsWith("POST /login"));
      assert.deepEqual(login, credentials === null ? [] : ["POST /login 200"], "one token for the session");
    });
  });

describe("the wire of MidoNet's clients (midonet-rest section 1)", () => {
  let rig: Rig;
  before(async () => {
    rig = await startRig();
  });
  after(() => rig.stop());

  it("is what was observed", () => {
    const accept = "application/vnd.org.midonet.Application-v5+json";
    const text = requestText({
      method: "GET",
      uri: "http://h:8181/midonet-api",
      headers: [["Accept", accept]],
      body: "{}",
    });
    assert.equal(
      text,
      `GET /midonet-api HTTP/1.1\r\nHost: h:8181\r\nContent-Length: 2\r\naccept: ${accept}\r\nuser-agent: Python-httplib2/0.20.4 (gzip)\r\naccept-encoding: gzip, deflate\r\n\r\n{}`,
    );
  });

  for (const method of ["GET", "DELETE"])
    it(`${method} with a body, and without any header but the host`, async () => {
      const uri = `${rig.base}/traces/${randomUUID()}`;
      const reply = await exchange({ method, uri, headers: [], body: "{}" });
      assert.equal(reply.status, method === "GET" ? 404 : 204);
    });

  it("templates are texts with literal braces, collections have no trailing slash", async () => {
    const root = (await exchange({ method: "GET", uri: rig.base, headers: [], body: "{}" })).json as Resource;
    for (const [key, uri] of Object.entries(root)) {
      if (key === "version") continue;
      assert.ok(String(uri).startsWith(rig.base), key);
      assert.equal(String(uri).endsWith("/{id}"), key.endsWith("Template"), key);
    }
    const KEYS =
      "bridges bridgeTemplate routers routerTemplate ports portTemplate chains chainTemplate ruleTemplate routeTemplate hosts hostTemplate tunnelZones tunnelZoneTemplate portGroups portGroupTemplate ipAddrGroups ipAddrGroupTemplate tenants tenantTemplate systemState traceRequests traceRequestTemplate mirrors mirrorTemplate qosPolicies qosPolicyTemplate qosDscpRuleTemplate qosBwLimitRuleTemplate loadBalancers healthMonitors pools poolMembers vips loadBalancerTemplate healthMonitorTemplate poolTemplate poolMemberTemplate vipTemplate bgpNetworkTemplate bgpPeerTemplate vteps vtepTemplate l2insertions l2InsertionTemplate serviceContainers serviceContainerGroups serviceContainerTemplate serviceContainerGroupTemplate neutron writeVersion hostVersions uri version";
    for (const key of KEYS.split(" ")) assert.ok(key in root, key);
  });

  it("a client that nobody knows is told so by the login", async () => {
    const closed = await startRig({ identity: new FakeIdentity({ root: identityOf("", "admin") }) });
    try {
      const stranger = new MidonetClient(closed.base, { user: "nobody", password: "right" });
      await assert.rejects(stranger.start(), (error) => error instanceof ClientError && error.status === 401);
      assert.deepEqual(stranger.log, ["POST /login 401"]);
    } finally {
      await closed.stop();
    }
  });
});
