import { OvsDaemons } from "./ovs-daemons.ts";
import type { NetworkNamespace } from "./namespace.ts";
import type { Testbed } from "./testbed.ts";
import type { Underlay } from "./underlay.ts";

const NIC = "phy0";
const PHYSICAL_BRIDGE = "br-phy";

export interface OvsHostOptions {
  /** Short and unique in the testbed, at most 13 characters. */
  readonly name: string;
  /** On the underlay, with prefix: "192.168.10.1/24". */
  readonly tunnelAddress: string;
  /** "netdev" (default): everything in userspace, as on a machine without Open vSwitch's kernel module. */
  readonly datapath?: "system" | "netdev";
}

/**
 * One host: a namespace, a cable to the underlay, and an Open vSwitch of its own. In userspace the address lies on the
 * bridge br-phy, whose port the cable is, since only so can that switch send tunnelled packets itself.
 */
export class OvsHost {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  readonly daemons: OvsDaemons;
  /** Dotted, without prefix. */
  readonly tunnelIp: string;
  private readonly options: OvsHostOptions;
  private readonly mac: string;
  private readonly mtu: number;

  private constructor(options: OvsHostOptions, namespace: NetworkNamespace, daemons: OvsDaemons, mtu: number) {
    this.name = options.name;
    this.options = options;
    this.namespace = namespace;
    this.daemons = daemons;
    this.tunnelIp = options.tunnelAddress.split("/")[0] ?? "";
    this.mac = macOf(this.tunnelIp);
    this.mtu = mtu;
  }

  /** Where the switch's sockets are; `--ovs-run-dir` of an agent. */
  get runDir(): string {
    return this.daemons.runDir;
  }

  /** Made, and both daemons running. */
  static async create(testbed: Testbed, underlay: Underlay, options: OvsHostOptions): Promise<OvsHost> {
    const namespace = await testbed.namespace(options.name);
    const runDir = await testbed.directory(options.name);
    const daemons = new OvsDaemons(namespace, runDir, options.datapath === "system");
    testbed.onClose(() => daemons.stop());
    const host = new OvsHost(options, namespace, daemons, underlay.mtu);
    await underlay.attach(host.name, namespace, NIC, host.mac, host.tunnelIp);
    if (options.datapath !== "system") await host.leaveNicToSwitch();
    await daemons.startDatabase();
    await host.startSwitch();
    return host;
  }

  /**
   * A userspace switch reads copies: the kernel itself must not answer what comes in by the NIC. Another MAC than the
   * bridge's makes it somebody else's packets, and it speaks ARP only for addresses of the interface that was asked.
   */
  private async leaveNicToSwitch(): Promise<void> {
    await this.namespace.ip(`link set ${NIC} address ${this.mac.replace(/^02:50/, "02:51")}`);
    await this.namespace.exec("sysctl", ["-q", "net.ipv4.conf.all.arp_ignore=1"]);
  }

  /** Starts a killed or stopped ovs-vswitchd again, and puts the address on the bridge that vanished with it. */
  async startSwitch(): Promise<void> {
    await this.daemons.startSwitch();
    if (this.options.datapath === "system") {
      await this.namespace.ip(`address replace ${this.options.tunnelAddress} dev ${NIC}`);
      return;
    }
    const bridge = ["--may-exist", "add-br", PHYSICAL_BRIDGE];
    const kind = ["--", "set", "Bridge", PHYSICAL_BRIDGE, "datapath_type=netdev", "fail_mode=standalone"];
    const mac = [`other_config:hwaddr=${this.mac}`];
    await this.daemons.vsctl([...bridge, ...kind, ...mac, "--", "--may-exist", "add-port", PHYSICAL_BRIDGE, NIC]);
    await this.namespace.ip(
      `link set ${PHYSICAL_BRIDGE} mtu ${this.mtu} up`,
      `address replace ${this.options.tunnelAddress} dev ${PHYSICAL_BRIDGE}`,
    );
  }

  /** The machine stops: both daemons, by SIGKILL. */
  async crash(): Promise<void> {
    await this.daemons.killSwitch();
    await this.daemons.killDatabase();
  }

  async start(): Promise<void> {
    await this.daemons.startDatabase();
    await this.startSwitch();
  }
}

/** A locally administered MAC with the address in it, the same after every restart. */
function macOf(dotted: string): string {
  const bytes = dotted.split(".").map((b) => Number(b).toString(16).padStart(2, "0"));
  return ["02", "50", ...bytes].join(":");
}
