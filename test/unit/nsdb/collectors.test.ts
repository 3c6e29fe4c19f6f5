import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Collectors, collectorUrl } from "#core/nsdb";
import { NO_ID, refused, rigFor } from "./rig.ts";

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

describe("collectors", () => {
  it("are there while their session is, and again when it is begun anew", async (t) => {
    const { store, otherStore } = await rigFor(t);
    const mine = new Collectors(store);
    const others = new Collectors(otherStore);
    await mine.register({ id: A, url: "http://192.0.2.1:8181/" });
    await others.register({ id: B, url: "https://[2001:db8::1]:8443/proxy/" });
    const both = [
      { id: A, url: "http://192.0.2.1:8181" },
      { id: B, url: "https://[2001:db8::1]:8443/proxy" },
    ];
    assert.deepEqual(await mine.list(), both);
    await otherStore.stop();
    assert.deepEqual(await mine.list(), [both[0]]);
    await otherStore.start();
    await others.register({ id: B, url: both[1]?.url ?? "" });
    await others.register({ id: A, url: "http://192.0.2.7:8181" });
    assert.equal((await mine.list())[0]?.url, "http://192.0.2.7:8181", "whoever registers last owns it");
    await mine.unregister(B);
    await mine.unregister(B);
    await mine.unregister(A);
    assert.deepEqual(await mine.list(), []);
    await store.stop();
  });

  it("that nobody can read do not hide the others", async (t) => {
    const { store } = await rigFor(t);
    const collectors = new Collectors(store);
    await collectors.register({ id: A, url: "http://192.0.2.1:8181" });
    const junk = ["", "nonsense", '{"data":{"url":"ftp://h"},"version":"1"}', '{"data":{"url":7},"version":"1"}'];
    await store.commit(junk.map((data, i) => ({ op: "create", path: `/collectors/junk${i}`, data })));
    assert.deepEqual(
      (await collectors.list()).map((c) => c.id),
      [A],
    );
  });

  it("have a URL that agents can use", async (t) => {
    const wrong = [
      "",
      "h:80",
      "ftp://h",
      "http://",
      "http://u@h/",
      "http://h/?q",
      "http://h/#f",
      "http://h /",
      "http:///p",
    ];
    for (const url of wrong) assert.throws(() => collectorUrl(url), { code: "USAGE" }, url);
    for (const url of ["http://h", "https://h:1/p/q"]) assert.equal(collectorUrl(`${url}//`), url);
    const { store, nsdb } = await rigFor(t);
    await refused(new Collectors(store).register({ id: NO_ID, url: "h" }), "USAGE");
    await store.commit([{ op: "delete", path: "/collectors" }]);
    await refused(new Collectors(store).register({ id: A, url: "http://h" }), "NOT_FOUND", /directory of collectors/);
    assert.deepEqual(await new Collectors(store).list(), []);
    await nsdb.initialize();
    await new Collectors(store).register({ id: A, url: "http://h" });
  });
});
