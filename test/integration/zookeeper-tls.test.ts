import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startZookeeper, type ZookeeperEnsemble, zookeeperTlsMissing } from "#adapters/testbed";
import type { ZookeeperStore } from "#adapters/nsdb-zookeeper";
import { type CertificateFiles, opensslMissing, TestAuthority } from "../support/certificates.ts";
import { create, Recorder, unavailable } from "../support/nsdb-contract-kit.ts";
import { eventually } from "../support/nsdb-eventually.ts";
import { store, unlessThere } from "../support/zookeeper-kit.ts";

describe("ZooKeeper over TLS", { skip: unlessThere(zookeeperTlsMissing() ?? opensslMissing()) }, () => {
  let directory: string;
  let ensemble: ZookeeperEnsemble;
  let authority: TestAuthority;
  let client: CertificateFiles;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "midotrace-tls-"));
    authority = new TestAuthority(directory);
    const server = authority.issue("server", ["IP:127.0.0.1"]);
    client = authority.issue("client", ["DNS:client"]);
    const tls = { keyStoreFile: server.bothFile, trustStoreFile: authority.caFile };
    ensemble = await startZookeeper({ servers: 1, tls });
  });
  after(async () => {
    await ensemble?.stop();
    if (directory !== undefined) rmSync(directory, { recursive: true, force: true });
  });

  const query = (ca: string, own: CertificateFiles): string =>
    `ca=${encodeURIComponent(ca)}&cert=${encodeURIComponent(own.certFile)}&key=${encodeURIComponent(own.keyFile)}`;

  async function waitsFor(made: ZookeeperStore, reason: RegExp): Promise<void> {
    const starting = made.start();
    await eventually(() => assert.match(made.status().waitingFor ?? "", reason));
    await made.stop();
    await unavailable(starting);
  }

  it("works as without, with the files of the URL", async () => {
    const a = store(`zookeepers://${ensemble.secureConnectString}/tls?${query(authority.caFile, client)}`);
    await a.start();
    const heard = new Recorder();
    await a.watch("/", heard);
    await a.commit([create("/big", "x".repeat(900_000)), create("/e", "", true)]);
    assert.equal((await a.get("/big"))?.data.length, 900_000);
    assert.deepEqual(heard.calls, [["created /big", "created /e"]]);
    await a.stop();
  });
  it("does not talk to a server that another authority vouches for", async () => {
    const other = new TestAuthority(directory, "other");
    const made = store(`zookeepers://${ensemble.secureConnectString}/tls?${query(other.caFile, client)}`);
    await waitsFor(made, /certificate/);
  });
  it("does not talk to a server under another name", async () => {
    const port = ensemble.servers[0]?.ports.secure;
    const made = store(`zookeepers://localhost:${port}/tls?${query(authority.caFile, client)}`);
    await waitsFor(made, /altnames|Hostname/);
  });
  it("without a certificate of its own is not let in, and says why", async () => {
    const url = `zookeeper://${ensemble.secureConnectString}/tls`;
    await waitsFor(store(url, { tls: { caFile: authority.caFile } }), /certificate|closed|alert|refused/);
  });
  it("a file that is not there is a reason to wait", async () => {
    const url = `zookeeper://${ensemble.secureConnectString}/tls`;
    await waitsFor(store(url, { tls: { caFile: "/nonexistent/ca.pem" } }), /no such file.*\/nonexistent\/ca.pem/);
  });
});
