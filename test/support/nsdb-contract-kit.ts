/** What the contract of NsdbStore is tested with: a pair of sessions, and a watcher that keeps what it heard. */
import assert from "node:assert/strict";
import type { NsdbEvent, NsdbStore, NsdbTxFailure, NsdbWatcher } from "#core/nsdb";
import { NsdbTxError, NsdbUnavailable } from "#core/nsdb";

/** Two started sessions on one store that nobody else uses and that is empty but for "/". */
export interface NsdbPair {
  readonly a: NsdbStore;
  readonly b: NsdbStore;
  /** Session a is lost; resolves at the latest when it is usable again as a new one. */
  readonly expireA: () => Promise<void>;
  /** The connection of a breaks, its session lives on; resolves when a knows. */
  readonly disconnectA: () => Promise<void>;
  /** The connection of a is back; resolves when a is usable. */
  readonly reconnectA: () => Promise<void>;
  /** The store promises more than the contract: a call for each commit, never one for several. */
  readonly oneCallPerCommit?: boolean;
  /** Stops whatever is running. */
  readonly close: () => Promise<void>;
}

export type NsdbFactory = () => Promise<NsdbPair>;

export class Recorder implements NsdbWatcher {
  /** One element per call. */
  readonly calls: (readonly string[])[] = [];
  resyncs = 0;

  events(events: readonly NsdbEvent[]): void {
    this.calls.push(events.map((event) => `${event.kind} ${event.path}`));
  }

  resync(): void {
    this.resyncs++;
  }
}

/** All events of the commits came, in order, and no call ends inside a commit. */
export function wholeCommits(calls: readonly (readonly string[])[], commits: readonly (readonly string[])[]): void {
  assert.deepEqual(calls.flat(), commits.flat());
  const ends = (lists: readonly (readonly string[])[]): number[] => {
    let sum = 0;
    return lists.map((list) => (sum += list.length));
  };
  const whole = new Set(ends(commits));
  assert.deepEqual(
    ends(calls).filter((end) => !whole.has(end)),
    [],
    "calls that end inside a commit",
  );
}

/** The transaction is refused for this reason at this operation. */
export async function refused(work: Promise<unknown>, failure: NsdbTxFailure, index: number, path: string) {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof NsdbTxError, `expected NsdbTxError ${failure}, got ${String(error)}`);
    assert.deepEqual([error.failure, error.index, error.path], [failure, index, path]);
    return true;
  });
}

export async function unavailable(work: Promise<unknown>) {
  await assert.rejects(work, (error) => {
    assert.ok(error instanceof NsdbUnavailable, `expected NsdbUnavailable, got ${String(error)}`);
    return true;
  });
}

/** All that a store holds below `path`, as path → data and version. */
export async function dump(store: NsdbStore, path = "/"): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const node = await store.get(path);
  if (node !== null) found[path] = `${node.version} ${node.ephemeral ? "ephemeral " : ""}${node.data}`;
  for (const name of await store.children(path)) {
    Object.assign(found, await dump(store, path === "/" ? `/${name}` : `${path}/${name}`));
  }
  return found;
}

export const create = (path: string, data = "", ephemeral = false) =>
  ({ op: "create", path, data, ephemeral }) as const;
export const set = (path: string, data: string, version?: number) =>
  version === undefined ? ({ op: "set", path, data } as const) : ({ op: "set", path, data, version } as const);
export const del = (path: string, version?: number) =>
  version === undefined ? ({ op: "delete", path } as const) : ({ op: "delete", path, version } as const);
export const check = (path: string, version: number) => ({ op: "check", path, version }) as const;
