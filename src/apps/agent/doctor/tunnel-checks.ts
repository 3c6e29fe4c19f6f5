import type { Check, Examination, InterfaceFacts, Probes } from "./examination.ts";
import { fail, type Finding, ok, unknown, warn } from "./finding.ts";

/** Outer IPv4 20 + UDP 8 + VXLAN 8 + inner Ethernet 14 bytes (RFC 7348 §5). */
export const TUNNEL_OVERHEAD_BYTES = 50;

const NO_ADDRESS = "give --tunnel-ip, or add this host to a tunnel zone (midotrace topology apply -f FILE.yaml)";

export const tunnelAddress: Check = {
  name: "tunnel address",
  timeoutMs: 2_000,
  async run(at, probes) {
    const name = "tunnel address";
    const { tunnelIp } = at;
    if (tunnelIp === null) return [unknown(name, "this host's tunnel address is not known", NO_ADDRESS)];
    const interfaces = probes.interfaces();
    const facts = interfaces.find((i) => i.addresses.includes(tunnelIp));
    if (facts === undefined) {
      const others = interfaces.filter((i) => i.name !== "lo").flatMap((i) => i.addresses);
      const known = others.length === 0 ? "it has none" : `it has ${others.join(", ")}`;
      const advice = `ip address add ${tunnelIp}/PREFIX dev DEVICE, or correct --tunnel-ip and the tunnel zone: ${known}`;
      return [fail(name, `no interface of this host has the tunnel address ${tunnelIp}`, advice)];
    }
    at.tunnelInterface = facts;
    if (!facts.up)
      return [
        fail(name, `the tunnel address ${tunnelIp} is on ${facts.name}, which is down`, `ip link set ${facts.name} up`),
      ];
    const left = facts.mtu - TUNNEL_OVERHEAD_BYTES;
    return [ok(name, `tunnel address ${tunnelIp} is on ${facts.name}, MTU ${facts.mtu}: ${left} remain for VMs`)];
  },
};

/** A userspace switch sends tunnelled packets itself, so the address has to be its own. */
export const userspaceTunnel: Check = {
  name: "tunnel bridge",
  timeoutMs: 2_000,
  async run(at, probes) {
    const name = "tunnel bridge";
    const { database, tunnelInterface: facts } = at;
    if (database === null || database.choice === null)
      return [
        unknown(
          name,
          "whether Open vSwitch can send from the tunnel address is not known",
          "put the lines about Open vSwitch in order first",
        ),
      ];
    if (database.choice.type === "system") return [ok(name, "the kernel sends tunnelled packets, by its own routes")];
    if (facts === null)
      return [
        unknown(
          name,
          "whether the tunnel address lies on a bridge of Open vSwitch is not known: no interface has it",
          NO_ADDRESS,
        ),
      ];
    const bridge = database.bridges.find((b) => b.name === facts.name);
    if (bridge === undefined) {
      const found = `the userspace datapath cannot send from ${facts.name}, which is no bridge of Open vSwitch`;
      return [fail(name, found, moveAddress(at, facts))];
    }
    if (bridge.datapathType !== "netdev")
      return [
        fail(
          name,
          `the tunnel address is on bridge ${bridge.name}, which is not of datapath_type netdev`,
          `ovs-vsctl set Bridge ${bridge.name} datapath_type=netdev`,
        ),
      ];
    const devices = bridge.ports.filter((p) => p.name !== bridge.name && p.type === "");
    if (devices.length === 0)
      return [
        fail(
          name,
          `bridge ${bridge.name} has the tunnel address, and no network card as a port`,
          `ovs-vsctl add-port ${bridge.name} NIC`,
        ),
      ];
    const broken = devices.filter((p) => p.ofport === null);
    if (broken.length > 0)
      return broken.map((p) =>
        fail(
          name,
          `port ${p.name} of bridge ${bridge.name} does not work: ${p.error ?? "it has no number"}`,
          `ip link show ${p.name}; ovs-vsctl del-port ${bridge.name} ${p.name}`,
        ),
      );
    const talkers = devices.filter((p) => answersToo(p.name, bridge.name, probes));
    if (talkers.length > 0)
      return talkers.map((p) =>
        fail(
          name,
          `the kernel answers ARP for ${facts.addresses[0]} on ${p.name}, too, with another MAC than that of ${bridge.name}: peers that believe it lose what they send through the tunnel`,
          `sysctl -w net.ipv4.conf.${p.name}.arp_ignore=8 net.ipv4.conf.${p.name}.rp_filter=1; and for the next start: docs/guide/installing.md, "In userspace"`,
        ),
      );
    return [
      ok(
        name,
        `bridge ${bridge.name} (netdev) has the tunnel address, and the port ${devices.map((p) => p.name).join(", ")}`,
      ),
    ];
  },
};

/**
 * A userspace switch reads copies of what comes in by a card; the kernel gets the frames, too, and answers ARP for every
 * address of the host on every interface (ip-sysctl, arp_ignore 0). Two answers with two MACs: the last one to come wins.
 */
function answersToo(device: string, bridge: string, probes: Probes): boolean {
  const mac = (name: string): string => probes.readText(`/sys/class/net/${name}/address`)?.trim() ?? "";
  if (mac(device) === mac(bridge)) return false;
  const ignores = (name: string): number =>
    Number(probes.readText(`/proc/sys/net/ipv4/conf/${name}/arp_ignore`)?.trim() ?? "1");
  return Math.max(ignores("all"), ignores(device)) === 0;
}

const moveAddress = ({ tunnelIp }: Examination, { name, mtu }: InterfaceFacts): string =>
  [
    `ovs-vsctl add-br br-phy -- set Bridge br-phy datapath_type=netdev other_config:hwaddr=$(cat /sys/class/net/${name}/address)`,
    `-- add-port br-phy ${name}; sysctl -w net.ipv4.conf.${name}.arp_ignore=8 net.ipv4.conf.${name}.rp_filter=1;`,
    `ip address del ${tunnelIp}/PREFIX dev ${name}; ip address add ${tunnelIp}/PREFIX dev br-phy;`,
    `ip link set br-phy mtu ${mtu} up`,
  ].join(" ");

export const overlayMtu: Check = {
  name: "overlay MTU",
  timeoutMs: 2_000,
  async run(at, probes) {
    const name = "overlay MTU";
    const { tunnelInterface: facts, bindings } = at;
    if (facts === null || bindings === null)
      return [
        unknown(
          name,
          "whether bound interfaces have a fitting MTU is not known",
          "put the lines about tunnel address and bindings in order first",
        ),
      ];
    const left = facts.mtu - TUNNEL_OVERHEAD_BYTES;
    const findings: Finding[] = [];
    for (const device of probes.interfaces()) {
      if (!bindings.has(device.name) || device.mtu <= left) continue;
      const found = `interface ${device.name} has MTU ${device.mtu}, and ${left} fit through the tunnel`;
      const advice = `ip link set ${device.name} mtu ${left}, and the same in its VM; or MTU ${device.mtu + TUNNEL_OVERHEAD_BYTES} on ${facts.name} and all that lies between the hosts`;
      findings.push(warn(name, found, advice));
    }
    return findings.length > 0 ? findings : [ok(name, `no bound interface has a larger MTU than ${left}`)];
  },
};

export const TUNNEL_CHECKS: readonly Check[] = [tunnelAddress, userspaceTunnel, overlayMtu];
