import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { ACCESS_CHECK_MS } from "#apps/api";
import type { BridgeId, ChainId, PortGroupId, PortId, TenantId, TraceRequestId } from "#core/base";
import { FakeIdentity, identityOf } from "../support/fake-identity.ts";
import { type Answer, applySmallNetwork, at, media, type Rig, send, startRig } from "./api-support.ts";

const UNKNOWN = "00000000-0000-4000-8000-00000000dead";

describe("authentication and authorisation", () => {
  let rig: Rig;
  let ids: ReadonlyMap<string, string>;
  const blue = { bridge: "", port: "", chain: "", trace: "" };
  const who = new FakeIdentity({
    root: identityOf("", "admin"),
    red: identityOf("red", "tenant_admin"),
    reader: identityOf("red", "tenant_user"),
    blue: identityOf("blue", "tenant_admin"),
    none: identityOf("red"),
    empty: identityOf("", "tenant_admin"),
  });
  before(async () => {
    rig = await startRig({ identity: who });
    ids = await applySmallNetwork(rig);
    blue.bridge = (await rig.nsdb.bridges.create({ name: "blue-a", tenantId: "blue" as TenantId })).id;
    blue.port = (await rig.nsdb.ports.createOnBridge(blue.bridge as BridgeId, { name: "p" })).id;
    blue.chain = (await rig.nsdb.chains.create({ name: "blue-chain", tenantId: "blue" as TenantId })).id;
    const trace = { name: "b", deviceType: "BRIDGE", deviceId: blue.bridge, condition: {} } as const;
    blue.trace = (await rig.nsdb.traces.create(trace)).id;
  });
  after(() => rig.stop());

  const ask = (token: string | null, method: string, path: string, body?: unknown): Promise<Answer> =>
    rig.ask(method, path, {
      headers: { ...(token === null ? {} : { "x-auth-token": token }), "content-type": "application/json" },
      ...(body === undefined ? {} : { body }),
    });
  const status = async (...args: Parameters<typeof ask>): Promise<number> => (await ask(...args)).status;
  const red = (name: string): string => ids.get(name) ?? "";

  describe("signing in", () => {
    const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString("base64")}`;

    it("gives the token in the one cookie that MidoNet's clients read, and in the body", async () => {
      const answer = await rig.ask("POST", "/login", { headers: { authorization: basic("red:right") }, body: "{}" });
      assert.equal(answer.status, 200, answer.text);
      assert.deepEqual(answer.headers["set-cookie"], ["sessionId=red; Expires=Mon, 23-11-2026 08:10:53 UTC"]);
      assert.equal(answer.headers["content-type"], media("Token-v1"));
      assert.deepEqual(answer.json, { key: "red", expires: "Mon, 23-11-2026 08:10:53 UTC" });
    });

    for (const method of ["GET", "PUT", "DELETE"])
      it(`takes ${method}, too`, async () => {
        const answer = await rig.ask(method, "/login", { headers: { authorization: basic("red:right") } });
        assert.equal(answer.status, 200, answer.text);
      });

    for (const [what, headers] of [
      ["no header", {}],
      ["another kind", { authorization: "Digest x" }],
      ["no colon", { authorization: basic("red") }],
      ["two colons", { authorization: basic("red:a:b") }],
      ["no user", { authorization: basic(":right") }],
      ["a wrong password", { authorization: basic("red:wrong") }],
    ] as const)
      it(`refuses ${what}, with MidoNet's challenge`, async () => {
        const answer = await rig.ask("POST", "/login", { headers });
        assert.equal(answer.status, 401);
        assert.equal(answer.headers["www-authenticate"], 'Basic  realm="BASIC_AUTH_REALM"');
        assert.equal(answer.headers["content-type"], media("Error-v1"));
        assert.equal(answer.headers["set-cookie"], undefined);
        assert.equal(at(answer.json, "error"), "UNAUTHENTICATED");
        assert.ok(String(at(answer.json, "message")).length > 10);
      });
  });

  describe("every other request", () => {
    it("needs a token: no challenge where there is none, one where it is not known", async () => {
      const without = await ask(null, "GET", "/bridges");
      assert.deepEqual([without.status, without.headers["www-authenticate"]], [401, undefined]);
      const unknown = await ask("whatever", "GET", "/bridges");
      assert.equal(unknown.status, 401);
      assert.equal(unknown.headers["www-authenticate"], 'Basic  realm="BASIC_AUTH_REALM"');
    });

    it("takes the token as Bearer, too; X-Auth-Token wins", async () => {
      const bearer = { authorization: "Bearer root" };
      assert.equal((await rig.ask("GET", "/bridges", { headers: bearer })).status, 200);
      const both = { ...bearer, "x-auth-token": "red" };
      assert.equal((await rig.ask("GET", "/bridges", { headers: both })).status, 403);
    });

    it("lets nobody in while nothing can be found out", async () => {
      who.away = true;
      const answers = await Promise.all([ask("root", "GET", "/bridges"), ask(null, "GET", "/bridges")]);
      const login = await rig.ask("POST", "/login", { headers: { authorization: "Basic cmVkOnJpZ2h0" } });
      who.away = false;
      for (const answer of [...answers, login]) {
        assert.equal(answer.status, 503);
        assert.equal(at(answer.json, "error"), "AUTH_UNAVAILABLE");
        assert.ok(Number(answer.headers["retry-after"]) > 0);
      }
    });

    it("CORS asks before, without a token; health, the document and the home page need none", async () => {
      assert.equal((await ask(null, "OPTIONS", "/bridges")).status, 200);
      for (const path of ["/healthz", "/readyz", "/midonet-api/openapi.json", "/"])
        assert.equal((await send(rig.url + path, "GET")).status, 200, path);
      assert.equal((await send(`${rig.url}/metrics`, "GET")).status, 401);
    });

    it("whoami says whose token it is", async () => {
      assert.deepEqual((await ask("red", "GET", "/whoami")).json, {
        auth: "static",
        tenantId: "red",
        tenantName: "RED",
        userId: "user of red",
        roles: ["tenant_admin"],
        expiresAtMs: null,
      });
      assert.equal(await status(null, "GET", "/whoami"), 401);
      assert.equal(await status("none", "GET", "/whoami"), 403, "known, but without a role");
    });

    it("segments come from agents, who have no credentials here", async () => {
      const body = { hostId: UNKNOWN, bootId: "b", sequence: 1, segments: [], lost: [] };
      for (const token of ["root", "red", null])
        assert.equal(await status(token, "POST", "/trace-segments", body), 401);
    });
  });

  describe("a tenant", () => {
    it("sees own devices, not others'; what does not exist is not there", async () => {
      assert.equal(await status("red", "GET", `/bridges/${red("red-a")}`), 200);
      assert.equal(await status("reader", "GET", `/ports/${red("red-a/vm1")}`), 200);
      assert.equal(await status("red", "GET", `/bridges/${blue.bridge}`), 403);
      assert.equal(await status("red", "GET", `/ports/${blue.port}`), 403);
      assert.equal(await status("red", "GET", `/bridges/${UNKNOWN}`), 404);
      assert.equal(await status("red", "GET", `/bridges/${red("r1")}`), 404, "of another kind");
      assert.equal(await status("empty", "GET", `/bridges/${red("red-a")}`), 403, "the empty tenant owns nothing");
    });

    it("deletes and changes own devices only, and a user none", async () => {
      assert.equal(await status("red", "DELETE", `/routers/${UNKNOWN}`), 204, "as for everybody");
      assert.equal(await status("red", "DELETE", `/bridges/${blue.bridge}`), 403);
      assert.equal(await status("reader", "DELETE", `/bridges/${red("red-a")}`), 403);
      assert.equal(await status("red", "PUT", `/bridges/${blue.bridge}`, { name: "mine" }), 403);
      assert.equal((await rig.nsdb.bridges.get(blue.bridge)).name, "blue-a");
    });

    it("makes things of the token's tenant, whatever the body leaves out, and of no other", async () => {
      for (const body of [
        { name: "n" },
        { name: "n", tenantId: "" },
        { name: "n", tenantId: null },
        { tenantId: "red" },
      ]) {
        const made = await ask("red", "POST", "/bridges", body);
        assert.equal(made.status, 201, made.text);
        const id = String(made.headers.location).split("/").at(-1) ?? "";
        assert.equal((await rig.nsdb.bridges.get(id)).tenantId, "red");
        assert.equal(await status("red", "PUT", `/bridges/${id}`, { name: "n", tenantId: "blue" }), 403);
        assert.equal(await status("red", "PUT", `/bridges/${id}`, { name: "m" }), 204);
        assert.equal((await rig.nsdb.bridges.get(id)).tenantId, "red");
        assert.equal(await status("red", "DELETE", `/bridges/${id}`), 204);
      }
      assert.equal(await status("red", "POST", "/bridges", { tenantId: "blue" }), 403);
      assert.equal(await status("reader", "POST", "/bridges", { name: "n" }), 403);
    });

    it("cannot hook its devices onto others', nor find out by trying what there is", async () => {
      const bridge = red("red-b");
      const whole = (await ask("red", "GET", `/bridges/${bridge}`)).json as object;
      for (const field of ["inboundFilterId", "outboundFilterId"]) {
        const [foreign, missing] = await Promise.all(
          [blue.chain, UNKNOWN].map((id) => ask("red", "PUT", `/bridges/${bridge}`, { ...whole, [field]: id })),
        );
        assert.deepEqual([foreign?.status, missing?.status], [404, 404]);
        assert.equal(at(foreign?.json, "violations.0.property"), field);
        const text = (a?: Answer): string => String(a?.text).replaceAll(/[0-9a-f-]{36}/g, "ID");
        assert.equal(text(foreign), text(missing), "word for word");
      }
      const rule = (more: object): Promise<number> =>
        status("red", "POST", `/chains/${red("in")}/rules`, { type: "drop", ...more });
      assert.equal(await rule({ type: "jump", jumpChainId: blue.chain }), 403);
      for (const id of [blue.port, UNKNOWN])
        for (const more of [
          { inPorts: [id] },
          { outPorts: [red("red-a/vm1"), id] },
          { traversedDevice: id },
          { portGroup: id },
        ])
          assert.equal(await rule(more), 404, JSON.stringify(more));
      assert.equal(await rule({ traversedDevice: blue.bridge }), 404);
      assert.equal(await rule({ inPorts: [red("red-a/vm1")], traversedDevice: red("r1"), position: 2 }), 201);
      const own = (await ask("red", "POST", `/bridges/${bridge}/ports`, { type: "Bridge" })).headers.location ?? "";
      assert.equal(await status("red", "POST", `${own}/link`, { peerId: blue.port }), 403);
      assert.equal(await status("red", "POST", `${own}/link`, { peerId: UNKNOWN }), 404);
      assert.equal(await status("red", "DELETE", own), 204);
    });

    it("leaves in place what somebody else put there", async () => {
      const bridge = await rig.nsdb.bridges.create({
        name: "by-admin",
        tenantId: "red" as TenantId,
        inboundFilterId: blue.chain as ChainId,
      });
      const whole = (await ask("red", "GET", `/bridges/${bridge.id}`)).json as object;
      assert.equal(await status("red", "PUT", `/bridges/${bridge.id}`, { ...whole, name: "again" }), 204);
      assert.equal((await rig.nsdb.bridges.get(bridge.id)).inboundFilterId, blue.chain);
      await rig.nsdb.bridges.delete(bridge.id);
    });

    it("lists what is its own, whatever the filter says", async () => {
      const names = async (token: string, query = ""): Promise<unknown[]> =>
        ((await ask(token, "GET", `/chains${query}`)).json as { name: string }[]).map((c) => c.name).toSorted();
      assert.deepEqual(await names("red"), ["in"]);
      assert.deepEqual(await names("red", "?tenant_id=red"), ["in"]);
      assert.deepEqual(await names("red", "?tenant_id=blue"), []);
      assert.deepEqual(await names("empty"), []);
      assert.deepEqual(await names("root"), ["blue-chain", "in"]);
      assert.equal(await status("red", "GET", "/bridges"), 403);
    });

    it("traces own devices, and sees own requests", async () => {
      const on = (id: string): object => ({ name: "t", deviceType: "BRIDGE", deviceId: id, condition: {} });
      const made = await ask("red", "POST", "/traces", on(red("red-a")));
      assert.equal(made.status, 201, made.text);
      const own = made.headers.location ?? "";
      assert.equal(await status("red", "POST", "/traces", on(blue.bridge)), 403);
      assert.equal(await status("red", "POST", "/traces", { device: `/bridges/${blue.bridge}` }), 403);
      assert.equal(await status("red", "POST", "/traces", on(UNKNOWN)), 404);
      assert.equal(await status("reader", "POST", "/traces", on(red("red-a"))), 403);
      const spying = { ...on(red("red-a")), condition: { outPorts: [blue.port] } };
      assert.equal(await status("red", "POST", "/traces", spying), 404);
      const listed = (await ask("red", "GET", "/traces")).json as { id: string }[];
      assert.deepEqual(
        listed.map((t) => own.endsWith(t.id)),
        [true],
      );
      for (const query of ["?tenant_id=blue", `?device_id=${blue.bridge}`, `?tenant_id=red&device_id=${blue.bridge}`])
        assert.deepEqual((await ask("red", "GET", `/traces${query}`)).json, [], query);
      for (const path of ["", "/flows", "/events", `/flows/${UNKNOWN}`]) {
        assert.equal(await status("red", "GET", `/traces/${blue.trace}${path}`), 403, path);
        assert.equal(await status("red", "GET", `/traces/${UNKNOWN}${path}`), 404, path);
      }
      assert.equal(await status("red", "PUT", own, { enabled: true }), 204);
      assert.equal(await status("reader", "GET", own), 200);
      assert.equal(await status("reader", "PUT", own, { enabled: false }), 403);
      assert.equal(await status("red", "DELETE", `/traces/${blue.trace}`), 403);
      assert.equal(await status("red", "DELETE", own), 204);
    });

    it("sees its own chain without the trace rules of others who use it, and counts without them", async () => {
      const chain = await rig.nsdb.chains.create({ name: "shared", tenantId: "red" as TenantId });
      await rig.nsdb.bridges.update(blue.bridge as BridgeId, { inboundFilterId: chain.id });
      await rig.nsdb.traces.enable(blue.trace as TraceRequestId);
      const [hidden] = await rig.nsdb.rules.list(chain.id);
      assert.equal(hidden?.type, "trace");
      const add = (more: object): Promise<Answer> =>
        ask("red", "POST", `/chains/${chain.id}/rules`, { type: "drop", ...more });
      assert.equal((await add({})).status, 201);
      const last = await add({ position: 2 });
      assert.equal(last.status, 201, last.text);
      assert.equal((await add({ position: 4 })).status, 400);
      assert.match((await add({ position: 4 })).text, /1\.\.3/);
      const listed = await ask("red", "GET", `/chains/${chain.id}/rules`);
      assert.deepEqual(
        (listed.json as { position: number }[]).map((r) => r.position),
        [1, 2],
      );
      assert.ok(!listed.text.includes(hidden.id) && !listed.text.includes(blue.trace));
      assert.equal(at((await ask("red", "GET", String(last.headers.location))).json, "position"), 2);
      assert.equal((await rig.nsdb.rules.list(chain.id)).length, 3);
      assert.deepEqual(
        [await status("red", "GET", `/rules/${hidden.id}`), await status("red", "DELETE", `/rules/${hidden.id}`)],
        [404, 404],
      );
      assert.equal(await status("root", "GET", `/rules/${hidden.id}`), 200);
      await rig.nsdb.traces.disable(blue.trace as TraceRequestId);
      await rig.nsdb.bridges.update(blue.bridge as BridgeId, { inboundFilterId: null });
      await rig.nsdb.chains.delete(chain.id);
    });

    it("sees neither the ports at the other end of its links, where these are others', nor where its own are plugged in", async () => {
      const mine = await rig.nsdb.ports.createOnBridge(red("red-a") as BridgeId, { name: "to blue" });
      await rig.nsdb.ports.link(mine.id, blue.port as PortId);
      const peers = async (token: string): Promise<string[]> =>
        ((await ask(token, "GET", `/bridges/${red("red-a")}/peer_ports`)).json as { id: string }[]).map((p) => p.id);
      assert.ok((await peers("root")).includes(blue.port));
      assert.deepEqual(await peers("red"), [red("r1/a")]);
      await rig.nsdb.ports.delete(mine.id);
      const plugged = (await ask("red", "GET", `/ports/${red("red-a/vm1")}`)).json;
      for (const field of ["hostId", "interfaceName", "host", "hostInterfacePort"])
        assert.equal(at(plugged, field), null, field);
      assert.equal(await status("red", "PUT", `/ports/${red("red-a/vm1")}`, plugged), 204);
      const stored = (await ask("root", "GET", `/ports/${red("red-a/vm1")}`)).json;
      assert.equal(at(stored, "interfaceName"), "tap1", "and an echo of that unplugs nothing");
    });

    it("sees port groups of its own only", async () => {
      const [own, foreign] = await Promise.all(
        ["red", "blue"].map((t) => rig.nsdb.portGroups.create({ name: "g", tenantId: t as TenantId })),
      );
      for (const g of [own, foreign])
        await rig.nsdb.portGroups.addPort(g?.id as PortGroupId, red("red-a/vm1") as PortId);
      const groups = (await ask("red", "GET", `/ports/${red("red-a/vm1")}/port_groups`)).json as {
        portGroupId: string;
      }[];
      assert.deepEqual(
        groups.map((g) => g.portGroupId),
        [own?.id],
      );
    });

    it("simulates packets at own ports", async () => {
      const at1 = (port: string): object => ({ port, packet: "icmp 10.0.1.10 > 10.0.1.1" });
      assert.equal(await status("reader", "POST", "/simulations", at1(red("red-a/vm1"))), 200);
      assert.equal(await status("red", "POST", "/simulations", at1(blue.port)), 403);
      assert.equal(await status("red", "POST", "/simulations", at1(UNKNOWN)), 404);
      assert.equal(await status("red", "POST", "/simulations", at1("red-a/vm1")), 200);
      const [foreign, missing] = [
        await ask("red", "POST", "/simulations", at1("blue-a/p")),
        await ask("red", "POST", "/simulations", at1("blue-a/q")),
      ];
      assert.deepEqual(
        [foreign.status, foreign.text.replace("/p", "/q")],
        [404, missing.text],
        "names of others are none",
      );
      assert.equal(await status("root", "POST", "/simulations", at1("blue-a/p")), 200);
    });
  });

  describe("a stream ends when who listens may not any more", () => {
    /** Opens the stream with a token, changes something, lets time pass; @returns the last lines before the end. */
    const endOf = async (token: string, change: () => void | Promise<unknown>): Promise<string> => {
      const url = `${rig.base}/traces/${blue.trace}/events`;
      const response = await fetch(url, { headers: { "x-auth-token": token } });
      assert.equal(response.status, 200);
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const first = new TextDecoder().decode((await reader.read()).value);
      assert.match(first, /^retry: /);
      await rig.time.advance(ACCESS_CHECK_MS + 1);
      assert.equal(rig.server.openStreams, 1, "nothing has changed yet");
      await change();
      await rig.time.advance(ACCESS_CHECK_MS + 1);
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read())
        text += new TextDecoder().decode(part.value);
      return text;
    };
    const blueAdmin = identityOf("blue", "tenant_admin");

    for (const [what, change, back, reason] of [
      ["its token is revoked", () => void who.tokens.delete("blue"), () => undefined, "signed-out"],
      ["its role is gone", () => void who.tokens.set("blue", identityOf("blue")), () => undefined, "forbidden"],
      [
        "it is of another tenant now",
        () => void who.tokens.set("blue", identityOf("red", "tenant_admin")),
        () => undefined,
        "signed-out",
      ],
      ["nobody can tell", () => void (who.away = true), () => void (who.away = false), "auth-unavailable"],
      [
        "the device is somebody else's",
        () => rig.nsdb.bridges.update(blue.bridge as BridgeId, { tenantId: "red" as TenantId }),
        () => rig.nsdb.bridges.update(blue.bridge as BridgeId, { tenantId: "blue" as TenantId }),
        "forbidden",
      ],
    ] as const)
      it(`because ${what}`, async () => {
        try {
          assert.match(await endOf("blue", change), new RegExp(`event: end\ndata: {"reason":"${reason}"}`));
        } finally {
          await back();
          who.tokens.set("blue", blueAdmin);
        }
      });
  });
});
