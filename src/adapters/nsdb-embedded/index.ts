/**
 * The network state database inside this process: a tree in memory, durable in SQLite (`file:DIR`) or not (`memory:`).
 *
 *     session.ts  one user's NsdbStore     server.ts  the sessions of one tree     engine.ts  order and group commit
 *     tree.ts     data and transactions    medium.ts, sqlite-medium.ts  durability and the lock
 *     link.ts  what a broken connection does
 */
import type { NsdbStore } from "#core/nsdb";
import { type EmbeddedOptions, EmbeddedNsdb } from "./server.ts";

export type { Faults } from "./engine.ts";
export type { EmbeddedSession } from "./session.ts";
export { EmbeddedNsdb, type EmbeddedOptions } from "./server.ts";

/**
 * A store with a single session: its start() opens the tree, its stop() closes it. For more sessions on one tree, use
 * EmbeddedNsdb.
 * @throws MidotraceError USAGE when the URL is neither `memory:` nor `file:DIR`. The store's start() throws NsdbUnavailable
 *   when the directory is in use or unreadable.
 */
export function openEmbeddedStore(url: string, options: EmbeddedOptions = {}): NsdbStore {
  const server = new EmbeddedNsdb(url, options);
  const session = server.session();
  return {
    get sessionEpoch(): number {
      return session.sessionEpoch;
    },
    start: async () => {
      await server.start();
      await session.start();
    },
    stop: () => server.stop(),
    get: (path) => session.get(path),
    getMany: (paths) => session.getMany(paths),
    children: (path) => session.children(path),
    commit: (ops) => session.commit(ops),
    watch: (prefixes, listener) => session.watch(prefixes, listener),
    onSession: (listener) => session.onSession(listener),
  };
}
