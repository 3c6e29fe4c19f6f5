import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import { guardIdentity } from "#core/nsdb";
import type { NsdbPair } from "../support/nsdb-contract-kit.ts";
import { VirtualTime } from "../support/virtual-time.ts";
import { nsdbContract } from "./nsdb.ts";

async function pair(): Promise<NsdbPair> {
  const server = new EmbeddedNsdb("memory:");
  await server.start();
  const sessions = [server.session(), server.session()] as const;
  const scheduler = new VirtualTime();
  const [a, b] = [guardIdentity(sessions[0], { scheduler }), guardIdentity(sessions[1], { scheduler })];
  await a.start();
  await b.start();
  return {
    a,
    b,
    // `start` of one that runs waits until the store below has been looked at.
    expireA: async () => {
      await sessions[0].expire();
      await a.start();
    },
    disconnectA: async () => sessions[0].disconnect(),
    reconnectA: async () => {
      sessions[0].reconnect();
      await a.start();
    },
    close: () => server.stop(),
  };
}

nsdbContract("guarded", pair);
