import { fabricRig } from "../support/datapath-fabric-rig.ts";
import { datapathContract } from "./datapath.ts";

datapathContract("fabric", fabricRig);
