import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EmbeddedNsdb } from "#adapters/nsdb-embedded";
import type { NsdbPair } from "../support/nsdb-contract-kit.ts";
import { nsdbContract } from "./nsdb.ts";

async function pair(url: string, cleanUp: () => void): Promise<NsdbPair> {
  const server = new EmbeddedNsdb(url);
  await server.start();
  const [a, b] = [server.session(), server.session()];
  await a.start();
  await b.start();
  return {
    a,
    b,
    oneCallPerCommit: true,
    expireA: () => a.expire(),
    disconnectA: async () => a.disconnect(),
    reconnectA: async () => a.reconnect(),
    close: async () => {
      await server.stop();
      cleanUp();
    },
  };
}

nsdbContract("embedded, memory:", () => pair("memory:", () => {}));

nsdbContract("embedded, file:", () => {
  const directory = mkdtempSync(join(tmpdir(), "midotrace-nsdb-"));
  return pair(`file:${directory}`, () => rmSync(directory, { recursive: true, force: true }));
});
