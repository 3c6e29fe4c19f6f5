import type { OptionTable, OptionValues } from "#apps/cli/options";

/** The lab's options; help, environment, configuration file and reference page are read from here. */
export const LAB_OPTIONS = {
  listen: {
    kind: "text",
    placeholder: "ADDRESS:PORT",
    default: "127.0.0.1:8181",
    description: "where the API listens; port 0 takes any free one",
  },
  insecure: {
    kind: "flag",
    default: false,
    description: "let others reach the API, which asks nobody for a password in the lab",
  },
  data: {
    kind: "text",
    placeholder: "DIR",
    default: null,
    description:
      "keep the network, trace requests and the flows they traced in this directory; without it nothing outlives the lab",
  },
  ephemeral: { kind: "flag", default: false, description: "keep nothing, whatever --data says elsewhere" },
  topology: {
    kind: "text",
    placeholder: "FILE.yaml",
    default: null,
    description: "the network to build, instead of the example",
  },
  vms: {
    kind: "text",
    placeholder: "FILE.yaml",
    default: null,
    description: "the VMs behind its ports and what they do; without it, the example's when the network is the example",
  },
  replay: {
    kind: "list",
    placeholder: "PORT=FILE.pcap",
    default: [],
    description: "put the frames of a capture (pcap or pcapng, .gz too) into a port, named device/port or by its id",
  },
  "replay-speed": {
    kind: "text",
    placeholder: "SPEED",
    default: "recorded",
    choices: ["recorded", "max"],
    description: "with the gaps of the capture, or as fast as possible",
  },
  "no-traffic": { kind: "flag", default: false, description: "the VMs send nothing of their own accord" },
  seed: {
    kind: "integer",
    placeholder: "N",
    default: 1n,
    min: 0n,
    max: 0xffff_ffffn,
    description: "of the traffic: the same seed, the same order",
  },
  ovs: {
    kind: "flag",
    default: false,
    description:
      "on real parts: network namespaces as hosts and VMs, Open vSwitch, VXLAN, ZooKeeper, daemons as processes; needs root",
  },
  zookeepers: {
    kind: "text",
    placeholder: "N",
    default: "1",
    choices: ["1", "3"],
    description: "with --ovs: servers of the ZooKeeper ensemble",
  },
  "log-file": {
    kind: "text",
    placeholder: "FILE",
    default: null,
    description: "write every trace step to this file, which is rotated; - is standard output",
  },
  "log-format": {
    kind: "text",
    placeholder: "FORMAT",
    default: "json",
    choices: ["json", "text"],
    description: "of --log-file: one JSON object per line, or sentences",
  },
} as const satisfies OptionTable;

export type LabOptionValues = OptionValues<typeof LAB_OPTIONS>;
