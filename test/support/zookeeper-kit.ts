/** What tests with real ZooKeeper servers share. */
import { once } from "node:events";
import { connect } from "node:net";
import { systemClock, systemRandom, systemScheduler } from "#adapters/platform";
import { openZookeeperStore, type ZookeeperOptions, type ZookeeperStore } from "#adapters/nsdb-zookeeper";
import type { NsdbSessionState } from "#core/nsdb";
import {
  decodeConnectResponse,
  encodeCloseSession,
  encodeConnectRequest,
  FrameSplitter,
  type SessionIdentity,
} from "#protocols/zookeeper";
import type { TcpProxy } from "./tcp-proxy.ts";

/** For `skip` of node:test: false, or why. Where everything is required, a missing part lets the tests run and fail. */
export function unlessThere(missing: string | null): string | false {
  return missing === null || process.env["MIDOTRACE_REQUIRE_ALL"] === "1" ? false : missing;
}

export function store(url: string, options: Partial<ZookeeperOptions> = {}): ZookeeperStore {
  return openZookeeperStore(url, {
    clock: systemClock,
    scheduler: systemScheduler,
    random: systemRandom,
    ...options,
  });
}

/** Resolves when the session says so the next time. */
export function nextState(of: ZookeeperStore, state: NsdbSessionState): Promise<void> {
  return new Promise((resolve) => {
    of.onSession((said) => {
      if (said === state) resolve();
    });
  });
}

/** The session of the newest connection through the proxy. */
export function identityBehind(proxy: TcpProxy): SessionIdentity {
  const splitter = new FrameSplitter(1 << 20);
  splitter.push(proxy.greeting ?? new Uint8Array(0));
  const frame = splitter.next();
  const response = frame.kind === "frame" ? decodeConnectResponse(frame.bytes) : { malformed: "none" };
  if ("malformed" in response) throw new Error(`no greeting was seen: ${response.malformed}`);
  return response.session;
}

/** Ends a session as if it had expired: its ephemeral nodes are gone when this resolves. */
export async function endSession(host: string, port: number, session: SessionIdentity): Promise<void> {
  const socket = connect({ host, port });
  await once(socket, "connect");
  socket.write(encodeConnectRequest({ lastZxid: 0n, timeoutMs: 10_000, session }));
  await once(socket, "data");
  socket.write(encodeCloseSession(1));
  socket.resume();
  await once(socket, "close");
}
