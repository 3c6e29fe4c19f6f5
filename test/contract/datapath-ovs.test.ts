import { test } from "node:test";
import { ovsRig, skipWithoutOvs } from "../support/datapath-ovs-rig.ts";
import { datapathContract } from "./datapath.ts";

const skip = skipWithoutOvs();
if (skip === false) datapathContract("Open vSwitch", ovsRig);
else test("datapath contract: Open vSwitch", { skip }, () => {});
