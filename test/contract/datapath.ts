import { describe } from "node:test";
import type { RigFactory } from "../support/datapath-rig.ts";
import { datapathActions } from "./datapath-actions.ts";
import { datapathFlows } from "./datapath-flows.ts";
import { datapathTunnel } from "./datapath-tunnel.ts";

/**
 * What every Datapath must do. Only real frames on VM ports go in, and waits are by condition, so that a real switch in
 * real network namespaces can pass it as well as the fabric under a virtual clock.
 */
export function datapathContract(name: string, factory: RigFactory): void {
  describe(`datapath contract: ${name}`, () => {
    describe("flows", () => datapathFlows(factory));
    describe("actions and ports", () => datapathActions(factory));
    describe("tunnel", () => datapathTunnel(factory));
  });
}
