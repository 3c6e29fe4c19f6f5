import { describe } from "node:test";
import type { NsdbFactory } from "../support/nsdb-contract-kit.ts";
import { nsdbDataContract } from "./nsdb-data.ts";
import { nsdbSessionContract } from "./nsdb-sessions.ts";
import { nsdbWatchContract } from "./nsdb-watches.ts";

/** What every implementation of NsdbStore must do. Nothing in it depends on time, or on anything being synchronous. */
export function nsdbContract(name: string, factory: NsdbFactory): void {
  describe(`NsdbStore contract: ${name}`, () => {
    nsdbDataContract(factory);
    nsdbSessionContract(factory);
    nsdbWatchContract(factory);
  });
}
