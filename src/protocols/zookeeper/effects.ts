import type { Notification } from "./messages.ts";
import type { DataAndStat } from "./requests.ts";
import type { ServerAddress } from "./servers.ts";

/** What the session wants of its transport: to be done at once, in order. */
export type TransportEffect =
  /** Resolve the names of the servers; answer by `resolved`. */
  | { readonly kind: "resolve" }
  /** Open a connection; answer by `opened` or `closed`. There is none open. */
  | { readonly kind: "connect"; readonly address: ServerAddress }
  | { readonly kind: "send"; readonly bytes: Uint8Array }
  /** Close the connection, or give up opening it; nothing more is to be heard of it. */
  | { readonly kind: "drop" };

/** What the session has to tell: in order, each finished before the next. */
export type SessionNews =
  /** Requests are taken; `newSession` unless the one before goes on. */
  | { readonly kind: "ready"; readonly newSession: boolean; readonly address: ServerAddress }
  /** After `ready`: the connection broke; what was under way has failed. */
  | { readonly kind: "disconnected"; readonly reason: string }
  /** The session before is over, its ephemeral nodes are gone or will be; a new one is sought. */
  | { readonly kind: "lost"; readonly reason: string }
  /**
   * Whole transactions, in order, never a part of one. `nodes`: what was read of the paths that `glance` named, as it is
   * when all of the list is done; null: no such node. Paths that could not be read are not in it.
   */
  | {
      readonly kind: "notifications";
      readonly list: readonly Notification[];
      readonly nodes: ReadonlyMap<string, DataAndStat | null>;
    }
  /** Somebody's answer, or its failure. */
  | { readonly kind: "deliver"; readonly run: () => void; readonly breaks: boolean }
  /** No server will do; the next round comes after a pause. */
  | { readonly kind: "waiting"; readonly reason: string; readonly pauseMs: number; readonly rounds: number }
  /** This process did not get to look at the session for so long: the server may have thought it dead. */
  | { readonly kind: "blocked"; readonly forMs: number }
  /** After `close`: the end. */
  | { readonly kind: "ended" };

export type Effect = TransportEffect | SessionNews;
