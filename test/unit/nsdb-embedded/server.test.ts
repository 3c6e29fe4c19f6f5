import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { EmbeddedNsdb, openEmbeddedStore } from "#adapters/nsdb-embedded";
import { MidotraceError } from "#core/base";
import { NsdbUnavailable } from "#core/nsdb";
import { create, dump, Recorder, refused, set, unavailable } from "../../support/nsdb-contract-kit.ts";
import { withDirectory } from "../../support/nsdb-temporary.ts";

const MIB = 1024 * 1024;

describe("openEmbeddedStore", () => {
  it("is one session that opens and closes the tree; nothing works before and after", async () => {
    await withDirectory(async (directory) => {
      const store = openEmbeddedStore(`file:${join(directory, "new", "deep")}`);
      assert.equal(store.sessionEpoch, 0);
      await unavailable(store.get("/"));
      await store.start();
      await store.start();
      assert.equal(store.sessionEpoch, 1);
      await store.commit([create("/n", "1"), create("/e", "", true)]);
      await Promise.all([store.stop(), store.stop()]);
      await unavailable(store.get("/"));
      await store.start();
      assert.equal(store.sessionEpoch, 2);
      assert.deepEqual(await dump(store), { "/": "0 ", "/n": "0 1" });
      await store.stop();
      await store.stop();
    });
  });
  it("takes memory: and file: with relative and absolute paths, and refuses the rest", async () => {
    await withDirectory(async (directory) => {
      await openEmbeddedStore(`file://${directory}/x`).start();
      assert.ok(existsSync(join(directory, "x", "nsdb.sqlite")));
    });
    for (const url of ["", "memory", "memory:x", "file:", "file://host/x", "zookeeper://h/x", directoryless]) {
      assert.throws(
        () => openEmbeddedStore(url),
        (error) => error instanceof MidotraceError && error.code === "USAGE",
        url,
      );
    }
  });
  it("createdZxid goes on increasing after a reopening, past commits that left nothing on the disk", async () => {
    await withDirectory(async (directory) => {
      const store = openEmbeddedStore(`file:${directory}`);
      await store.start();
      await store.commit([create("/first")]);
      await store.commit([create("/e", "", true)]);
      const last = (await store.get("/e"))?.createdZxid ?? Number.NaN;
      await store.stop();
      await store.start();
      await store.commit([create("/second")]);
      assert.ok(((await store.get("/second"))?.createdZxid ?? 0) > last);
      await store.stop();
    });
  });
  it("a node may have 1 MiB exactly, and so may a transaction", async () => {
    const store = openEmbeddedStore("memory:");
    await store.start();
    await store.commit([create("/max", "x".repeat(MIB)), create("/empty")]);
    await refused(store.commit([set("/max", "x".repeat(MIB)), set("/empty", "x")]), "TOO_LARGE", 1, "/empty");
    await store.commit([create("/lone", "a\ud800b")]);
    assert.equal((await store.get("/lone"))?.data, "a\ufffdb", "as UTF-8 would have it");
    await store.stop();
  });
});

const directoryless = "file:////x";

describe("EmbeddedNsdb", () => {
  it("a session cannot start before the server, and a server's stop stops its sessions", async () => {
    const server = new EmbeddedNsdb("memory:");
    const session = server.session();
    await unavailable(session.start());
    await server.start();
    await session.start();
    const work = session.commit([create("/n")]);
    await server.stop();
    await work;
    await unavailable(session.get("/n"));
    await unavailable(session.start());
  });
  it("a listener that throws harms nobody", async () => {
    const thrown: unknown[] = [];
    const server = new EmbeddedNsdb("memory:", { onListenerError: (error) => thrown.push(error) });
    await server.start();
    const session = server.session();
    session.onSession(() => {
      throw new Error("state");
    });
    await session.start();
    const after = new Recorder();
    await session.watch("/", {
      events: () => {
        throw new Error("events");
      },
      resync: () => {
        throw new Error("resync");
      },
    });
    await session.watch("/", after);
    await session.commit([create("/n")]);
    assert.deepEqual(after.calls, [["created /n"]]);
    session.disconnect();
    session.reconnect();
    assert.equal(after.resyncs, 1);
    assert.deepEqual(
      thrown.map((error) => (error as Error).message),
      ["state", "events", "state", "state", "resync"],
    );
    await server.stop();
  });
  it("the same directory twice in one process is refused, and the first one goes on", async () => {
    await withDirectory(async (directory) => {
      const first = new EmbeddedNsdb(`file:${directory}`);
      const second = new EmbeddedNsdb(`file:${directory}/.`);
      await first.start();
      for (let i = 0; i < 2; i++) {
        await assert.rejects(second.start(), (error) => {
          assert.ok(error instanceof NsdbUnavailable);
          assert.equal(error.message, `the store in ${directory} is in use by this process (${process.pid})`);
          return true;
        });
      }
      const session = first.session();
      await session.start();
      await session.commit([create("/n")]);
      await first.stop();
      assert.ok(!existsSync(join(directory, "nsdb.pid")));
      await second.start();
      await second.stop();
    });
  });
  it("what is not ours, or damaged, is refused and left alone", async () => {
    await withDirectory(async (directory) => {
      const file = join(directory, "nsdb.sqlite");
      const server = new EmbeddedNsdb(`file:${directory}`);
      await server.start();
      await server.stop();
      const meddle = (sql: string): void => {
        const db = new DatabaseSync(file);
        db.exec(sql);
        db.close();
      };
      meddle("INSERT INTO node VALUES ('/none/x', '', 0, 1)");
      await assert.rejects(server.start(), /damaged: \/none has children but does not exist/);
      meddle("DELETE FROM node; PRAGMA user_version = 7");
      await assert.rejects(server.start(), /has format 7, this is for 1/);
      await assert.rejects(new EmbeddedNsdb(`file:${file}`).start(), NsdbUnavailable);
      meddle("PRAGMA user_version = 1");
      await server.start();
      await server.stop();
    });
  });
});
