import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TLSSocket } from "node:tls";
import { after, before, describe, it } from "node:test";
import { Followed, readTlsFiles, type TlsMaterial } from "#adapters/platform";
import { type CollectorCredentials, HttpTransport } from "#adapters/trace-sink-http";
import { ApiServer, composeApi } from "#apps/api";
import { apiOptions } from "../support/api-options.ts";
import { type CertificateFiles, opensslMissing, TestAuthority } from "../support/certificates.ts";
import { H1, H2 } from "../support/tracing-example.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { unlessThere } from "../support/zookeeper-kit.ts";
import { startRig } from "./api-support.ts";

const ADMIN_TOKEN = "admin-token-0123456789";
const ANY_TOKEN = "agent-token-0123456789";
const H1_TOKEN = "agent-of-h1-0123456789";

describe("TLS and agents' credentials", { skip: unlessThere(opensslMissing()) }, () => {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-tls-"));
  const path = (name: string): string => join(directory, name);
  let authority: TestAuthority;
  let agents: TestAuthority;
  let first: CertificateFiles;
  let second: CertificateFiles;
  before(() => {
    authority = new TestAuthority(directory, "ca");
    agents = new TestAuthority(directory, "agents");
    first = authority.issue("first", ["IP:127.0.0.1"]);
    second = authority.issue("second", ["IP:127.0.0.1"]);
    for (const files of [first, second]) chmodSync(files.keyFile, 0o600);
    writeFileSync(
      path("users.json"),
      JSON.stringify({ tokens: [{ token: ADMIN_TOKEN, user: "root", project: { id: "ops", roles: ["admin"] } }] }),
      { mode: 0o600 },
    );
    writeFileSync(path("agents"), `# of every host\n${ANY_TOKEN}\n${H1_TOKEN} ${H1.toUpperCase()}\n`, { mode: 0o600 });
  });
  after(() => rmSync(directory, { recursive: true, force: true }));
  const ca = (): string => readFileSync(authority.caFile, "utf8");

  interface Got {
    readonly status: number;
    readonly subject: string;
  }
  const get = (url: string, agent: Agent, headers: Record<string, string> = {}): Promise<Got> =>
    new Promise((resolve, reject) => {
      const req = request(url, { agent, headers }, (res) => {
        // Of the connection as it began: Node keeps no certificate of one that is used again.
        const { subject } = (res.socket as TLSSocket).getPeerCertificate();
        res.resume().on("end", () => resolve({ status: res.statusCode ?? 0, subject: String(subject?.CN) }));
      });
      req.on("error", reject);
      req.end();
    });

  it("another certificate is shown to new connections, and those that there are go on", async () => {
    const [cert, key] = [path("live.pem"), path("live-key.pem")];
    const use = (files: CertificateFiles): void => {
      copyFileSync(files.keyFile, key);
      chmodSync(key, 0o600);
      copyFileSync(files.certFile, cert);
    };
    use(first);
    const time = new VirtualTime(Date.now());
    const log: string[] = [];
    const files = new Followed<TlsMaterial>({
      paths: [cert, key],
      read: () => readTlsFiles(cert, key, { cert: "--tls-cert", key: "--tls-key" }, Date.now()),
      scheduler: time,
      log: (level, message, fields) => void log.push(`${level} ${message} ${JSON.stringify(fields)}`),
    });
    files.start();
    const rig = await startRig({ tls: { material: () => files.value, onChange: (f) => files.onChange(f) } });
    const kept = new Agent({ keepAlive: true, maxSockets: 1, ca: ca() });
    try {
      assert.match(rig.url, /^https:/);
      const root = `${rig.url}/midonet-api`;
      assert.deepEqual(await get(root, kept), { status: 200, subject: "first" });
      use(second);
      await time.advance(1_001);
      assert.match(log.at(-1) ?? "", /^info .*counts from now on/);
      assert.equal((await get(root, kept)).status, 200);
      assert.equal(Object.values(kept.freeSockets).flat().length, 1, "the connection from before is still used");
      assert.equal((await get(root, new Agent({ ca: ca() }))).subject, "second");
      // Half of it, or a key that others can read: nothing changes.
      copyFileSync(first.certFile, cert);
      await time.advance(1_001);
      assert.match(log.at(-1) ?? "", /^warn .*is not the key of the certificate/);
      use(first);
      chmodSync(key, 0o644);
      await time.advance(1_001);
      assert.match(log.at(-1) ?? "", /^warn .*chmod 600/);
      assert.equal((await get(root, new Agent({ ca: ca() }))).subject, "second");
      const answer = await get(`${rig.url}/nowhere`, new Agent({ ca: ca() }));
      assert.equal(answer.status, 404);
      await assert.rejects(get(root, new Agent()), /certificate/);
    } finally {
      kept.destroy();
      files.stop();
      await rig.stop();
    }
  });

  it("URIs in answers are https", async () => {
    const material = { cert: readFileSync(first.certFile, "utf8"), key: readFileSync(first.keyFile, "utf8") };
    const rig = await startRig({ tls: { material: () => material, onChange: () => undefined } });
    try {
      const body = await new Promise<string>((resolve, reject) => {
        request(`${rig.url}/midonet-api`, { ca: ca(), agent: new Agent() }, (res) => {
          let text = "";
          res.setEncoding("utf8").on("data", (t: string) => (text += t));
          res.on("end", () => resolve(text));
        })
          .on("error", reject)
          .end();
      });
      assert.ok(body.includes(`"bridges":"${rig.url}/midonet-api/bridges"`), body);
    } finally {
      await rig.stop();
    }
  });

  it("files that are not right are refused at once, with what helps", () => {
    const refused = (given: object, message: RegExp): void =>
      assert.throws(() => composeApi(apiOptions(given), "1", () => undefined), { code: "USAGE", message });
    const open = path("open-key.pem");
    copyFileSync(first.keyFile, open);
    chmodSync(open, 0o640);
    refused({ "tls-cert": first.certFile, "tls-key": open }, /chmod 600/);
    refused({ "tls-cert": first.certFile, "tls-key": second.keyFile }, /is not the key/);
    refused({ "tls-cert": first.keyFile, "tls-key": first.keyFile }, /no certificate/);
    const cert = path("not-a-key.pem");
    copyFileSync(first.certFile, cert);
    chmodSync(cert, 0o600);
    refused({ "tls-cert": first.certFile, "tls-key": cert }, /no private key/);
    const pair = { "tls-cert": first.certFile, "tls-key": first.keyFile };
    refused({ ...pair, "collect-client-ca": agents.caFile }, /--collect ADDRESS:PORT/);
    const empty = path("empty");
    writeFileSync(empty, "# nothing\n", { mode: 0o600 });
    refused({ "agent-token": empty }, /there is no token/);
    writeFileSync(empty, "short\n", { mode: 0o600 });
    refused({ "agent-token": empty }, /line 1.*20 characters/);
  });

  describe("agents deliver", () => {
    let api: { readonly server: ApiServer; start(): Promise<void>; stop(): Promise<void> };
    before(async () => {
      const given = {
        auth: `static:${path("users.json")}`,
        "tls-cert": first.certFile,
        "tls-key": first.keyFile,
        collect: "127.0.0.1:0",
        "collect-client-ca": agents.caFile,
        "agent-token": path("agents"),
      };
      api = composeApi(apiOptions(given), "1", () => undefined);
      await api.start();
    });
    after(() => api.stop());

    const deliver = async (
      credentials: Partial<CollectorCredentials>,
      hostId: string = H2,
      to: "url" | "collectUrl" = "collectUrl",
    ): Promise<number> => {
      const whole: CollectorCredentials = { token: null, ca: ca(), client: null, ...credentials };
      const transport = new HttpTransport(() => whole);
      const body = JSON.stringify({ hostId, bootId: "b", sequence: 1, segments: [], lost: [] });
      try {
        const url = `${api.server[to]}/midonet-api/trace-segments`;
        return (await transport.post(url, body, AbortSignal.timeout(10_000))).status;
      } finally {
        transport.close();
      }
    };
    const client = (name: string, by: TestAuthority): CollectorCredentials["client"] => {
      const files = by.issue(name, ["DNS:agent"]);
      return { cert: readFileSync(files.certFile, "utf8"), key: readFileSync(files.keyFile, "utf8") };
    };

    it("with a token of the file, at either address; one for a host speaks for no other", async () => {
      assert.equal(await deliver({ token: ANY_TOKEN }), 200);
      assert.equal(await deliver({ token: ANY_TOKEN }, H1, "url"), 200);
      assert.equal(await deliver({ token: H1_TOKEN }, H1), 200);
      assert.equal(await deliver({ token: H1_TOKEN }, H2), 403);
    });

    it("not without, with a made-up one, or with a user's, the administrator's included", async () => {
      for (const token of [null, "made-up-token-0123456789", ADMIN_TOKEN])
        for (const to of ["url", "collectUrl"] as const)
          assert.equal(await deliver({ token }, H2, to), 401, `${token} ${to}`);
    });

    it("with a certificate of the right authority; one for a host speaks for no other", async () => {
      assert.equal(await deliver({ client: client("any-agent", agents) }), 200);
      const ofH1 = client(H1, agents);
      assert.equal(await deliver({ client: ofH1 }, H1), 200);
      assert.equal(await deliver({ client: ofH1 }, H2), 403);
      assert.equal(await deliver({ client: client("stranger", authority) }), 401);
      assert.equal(await deliver({ client: client("any-agent", agents) }, H2, "url"), 401, "at --collect only");
    });

    it("to a server that they know: an authority that they do not trust ends it", async () => {
      const other = readFileSync(agents.caFile, "utf8");
      await assert.rejects(deliver({ token: ANY_TOKEN, ca: other }), /certificate/);
      await assert.rejects(deliver({ token: ANY_TOKEN, ca: null }), /certificate/);
    });

    it("a user's token opens the API, and not an agent's", async () => {
      const root = `${api.server.url}/midonet-api/bridges`;
      const agent = new Agent({ ca: ca() });
      assert.equal((await get(root, agent, { "x-auth-token": ADMIN_TOKEN })).status, 200);
      assert.equal((await get(root, agent, { "x-auth-token": ANY_TOKEN })).status, 401);
      for (const page of ["healthz", "readyz", "metrics"])
        assert.equal((await get(`${api.server.collectUrl}/${page}`, agent)).status, 200, page);
      assert.equal((await get(`${api.server.url}/metrics`, agent)).status, 401);
    });
  });
});
