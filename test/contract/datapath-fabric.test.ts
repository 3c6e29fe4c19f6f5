import { fabricRig } from "../support/datapath-fabric-rig.ts";
import { datapathContract } from "./datapath.ts";

// As of an Ethernet underlay, so that it has longest frames.
datapathContract("fabric", () => fabricRig({ underlayMtu: 1_500 }));
