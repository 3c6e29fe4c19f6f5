import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { NsdbEvent, NsdbWatcher } from "#core/nsdb";
import { Watches } from "../../../src/adapters/nsdb-zookeeper/watches.ts";

const changed = (path: string): NsdbEvent => ({ kind: "changed", path });
const run = (listener: () => void): void => listener();
const watcher = (wants?: NsdbWatcher["wants"]): NsdbWatcher => ({
  events: () => undefined,
  resync: () => undefined,
  ...(wants === undefined ? {} : { wants }),
});

function watching(...list: readonly [string, NsdbWatcher][]): Watches {
  const watches = new Watches();
  for (const [prefix, listener] of list) watches.add([prefix], listener).active = true;
  return watches;
}

describe("what the watchers of a session want of changes", () => {
  const both = [changed("/a/x"), changed("/b/x")];
  it("is no hurry when no watcher hears of them, or none of those that do is in one", () => {
    const watches = watching(["/a", watcher(() => null)], ["/c", watcher()]);
    assert.equal(watches.wanted(both, run), null);
    assert.equal(watches.wanted([changed("/b")], run), null);
  });
  it("is nothing but to hear of them at once when a watcher does not say", () => {
    const watches = watching(["/a", watcher(() => null)], ["/b", watcher()]);
    assert.deepEqual(watches.wanted(both, run), []);
    assert.equal(watches.wanted([changed("/a")], run), null);
  });
  it("is what any of them wants of those that it hears of", () => {
    const asked: string[][] = [];
    const wants = (events: readonly NsdbEvent[]): string[] => {
      asked.push(events.map(({ path }) => path));
      return ["/a/x", "/a/y"];
    };
    const watches = watching(["/a", watcher(wants)], ["/a", watcher(() => ["/a/x"])], ["/b", watcher(() => null)]);
    assert.deepEqual(watches.wanted(both, run), ["/a/x", "/a/y"]);
    assert.deepEqual(asked, [["/a/x"]]);
  });
  it("is not asked of watchers that are not active yet, or no more", () => {
    const watches = new Watches();
    const early = watches.add(["/a"], watcher());
    assert.equal(watches.wanted(both, run), null);
    early.active = true;
    assert.deepEqual(watches.wanted(both, run), []);
    watches.remove(early);
    assert.equal(watches.wanted(both, run), null);
  });
});
