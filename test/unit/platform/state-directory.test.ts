import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { StateDirectory } from "#adapters/platform";

let root = "";
const URL = "zookeeper://h1:2181/midonet/v1";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "midotrace-state-"));
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

test("nothing is made before there is something to keep; what is kept is there for the next run, whole", () => {
  const path = join(root, "deep", "state");
  const state = new StateDirectory(path, "--data");
  assert.equal(state.read("x"), null);
  assert.deepEqual(readdirSync(root), []);
  state.write("x", "one");
  state.write("x", "two");
  assert.equal(new StateDirectory(path, "--data").read("x"), "two");
  assert.deepEqual(readdirSync(path), ["x"]);
});

test("the identity of a store is of its URL: another URL is another store", () => {
  const state = new StateDirectory(root, "--data");
  assert.equal(state.storeIdentity(URL), null);
  state.rememberStore(URL, "id-1");
  assert.equal(new StateDirectory(root, "--data").storeIdentity(URL), "id-1");
  assert.equal(state.storeIdentity(`${URL}/other`), null);
  writeFileSync(join(root, "store-identity"), "damaged");
  assert.equal(state.storeIdentity(URL), null);
});

test("what cannot be written is told under the option's name", () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  assert.throws(() => new StateDirectory(file, "--data").write("x", "y"), /^MidotraceError: --data \S+file: E/);
});
