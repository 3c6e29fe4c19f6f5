/** The network state database of a URL, for every program that has one. */
import { openEmbeddedStore } from "#adapters/nsdb-embedded";
import { openZookeeperStore } from "#adapters/nsdb-zookeeper";
import { type Clock, MidotraceError, type Random, type Scheduler } from "#core/base";
import type { NsdbStore } from "#core/nsdb";

export interface OpenOptions {
  /** `stop` leaves the session to its timeout, where the store has one (`ZookeeperOptions.leaveSession`). */
  readonly leaveSession?: boolean;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly log: (
    level: "debug" | "info" | "warn" | "error",
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ) => void;
}

export interface OpenedStore {
  readonly store: NsdbStore;
  /**
   * Servers elsewhere, which may be away and come back: its start() waits for them. Otherwise the store is in this process,
   * nobody else has it, and a start that fails fails for good.
   */
  readonly remote: boolean;
  /** What it waits for, in words of the store; null: nothing, or it cannot say. */
  readonly waitingFor: () => string | null;
}

const ZOOKEEPER = /^zookeepers?:/;

/**
 * The store of a URL: `memory:`, `file:DIR`, `zookeeper://HOSTS/PATH` or, over TLS, `zookeepers://…`; to be started by the
 * caller.
 * @throws MidotraceError USAGE for a URL that no store has, or that names a store wrongly.
 */
export function openStore(url: string, options: OpenOptions): NsdbStore {
  return openStoreWithStatus(url, options).store;
}

/** As `openStore`, for who must tell an operator what the store waits for. @throws MidotraceError USAGE */
export function openStoreWithStatus(url: string, options: OpenOptions): OpenedStore {
  if (ZOOKEEPER.test(url)) {
    const store = openZookeeperStore(url, options);
    return { store, remote: true, waitingFor: () => store.status().waitingFor };
  }
  if (!/^(memory|file):/.test(url))
    throw new MidotraceError(
      "USAGE",
      `no store is called ${JSON.stringify(url)}: use memory:, file:DIR or zookeeper://HOST:PORT,HOST:PORT/PATH`,
    );
  return { store: openEmbeddedStore(url), remote: false, waitingFor: () => null };
}
