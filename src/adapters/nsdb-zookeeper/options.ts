import type { Clock, Random, Scheduler } from "#core/base";
import type { DigestAuth, TlsFiles } from "./url.ts";

/** "debug" is for who develops this, "info" for what an operator may want to know, "warn" for what they should. */
export type ZookeeperLog = (
  level: "debug" | "info" | "warn",
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

export interface ZookeeperOptions {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly random: Random;
  /**
   * After how long without this client its ephemeral nodes go, ms; default 10 000. The server may grant another. Shorter:
   * dead hosts are noticed sooner, and pauses of a process or of the ensemble end sessions that live. Wins over the URL's.
   */
  readonly sessionTimeoutMs?: number;
  /** After how long an operation without an answer fails, ms; default: the session timeout. A silent server is noticed before. */
  readonly operationTimeoutMs?: number;
  /** Over TLS, also for a `zookeeper://` URL; its fields win over those of the URL. */
  readonly tls?: TlsFiles;
  /** Digest authentication; wins over that of the URL. With it, nodes are made for who has the same credentials only. */
  readonly auth?: DigestAuth;
  /**
   * `stop` ends the connection and leaves the session to its timeout, and with it the ephemeral nodes: who starts again
   * before that can take them over, and nobody saw them vanish. Default: the session ends with `stop`.
   */
  readonly leaveSession?: boolean;
  readonly log?: ZookeeperLog;
  /** Takes what a listener throws (a defect of the listener). Must not throw. Default: an uncaught exception. */
  readonly onListenerError?: (error: unknown) => void;
}

export const DEFAULT_SESSION_TIMEOUT_MS = 10_000;

/** For readiness checks and logs. */
export interface ZookeeperStatus {
  readonly state: "stopped" | "connecting" | "connected";
  /** The servers of the URL. */
  readonly servers: string;
  readonly connectedTo: string | null;
  /** Why it is not connected; null when it is. */
  readonly waitingFor: string | null;
  /** 16 hex digits, as in the server's log. */
  readonly sessionId: string | null;
  /** As granted by the server, ms. */
  readonly sessionTimeoutMs: number;
}
