import type { TopologyDocument } from "#core/topology";

export const T1 = "tenant-1";
export const T2 = "tenant-2";

/** A little of everything that a document can say. */
export const EXAMPLE: TopologyDocument = {
  hosts: [{ name: "h1", id: "11111111-1111-4111-8111-111111111111" }, { name: "h2" }],
  tunnelZones: [{ name: "tz", type: "vxlan", hosts: { h1: "192.0.2.1", h2: "192.0.2.2" } }],
  ipAddrGroups: [{ name: "bad", addresses: ["10.0.0.66", "2001:DB8::1"] }],
  portGroups: [{ name: "web", tenant: T1, stateful: true, ports: ["net/vm1", "net/vm2"] }],
  chains: [
    {
      name: "guard",
      tenant: T1,
      rules: [
        { type: "drop", condition: { ipAddrGroupSrc: "bad" } },
        { type: "jump", jump: "rest", condition: { inPortGroup: "web", inPorts: ["net/vm1"] } },
        { type: "accept", condition: { nwProto: 6, traversedDevice: "gw" } },
      ],
    },
    { name: "rest", tenant: T1, rules: [{ type: "return", condition: {} }] },
  ],
  bridges: [
    {
      name: "net",
      tenant: T1,
      up: true,
      inFilter: "guard",
      ports: [
        { name: "vm1", up: true, vlan: 0, bind: { host: "h1", interface: "tap1" } },
        { name: "vm2", up: true, vlan: 0, bind: { host: "h2", interface: "tap1" }, outFilter: "rest" },
        { name: "up", up: true, vlan: 0, link: "gw/net" },
      ],
    },
    { name: "net", tenant: T2, up: false, outFilter: "rest", ports: [] },
  ],
  routers: [
    {
      name: "gw",
      tenant: T1,
      up: true,
      ports: [
        { name: "net", up: true, address: "10.0.0.1/24", mac: "02:00:00:00:00:01", link: "net/up" },
        { name: "out", up: true, address: "198.51.100.2/30" },
      ],
      routes: [
        { type: "Normal", src: "0.0.0.0/0", dst: "10.0.0.0/24", port: "net", weight: 1 },
        { type: "Normal", src: "0.0.0.0/0", dst: "0.0.0.0/0", port: "out", gateway: "198.51.100.1", weight: 10 },
        { type: "BlackHole", src: "0.0.0.0/0", dst: "10.9.0.0/16", weight: 1 },
      ],
    },
  ],
};
