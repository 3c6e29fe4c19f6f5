import { MidotraceError } from "#core/base";
import { Capture } from "./capture.ts";
import { run } from "./command.ts";
import type { NetworkNamespace } from "./namespace.ts";
import type { Testbed } from "./testbed.ts";

const BRIDGE = "br0";
/** Frames that are cut away go into one end of this pair; nobody reads the other. */
const SINK = "sink0";

export interface UnderlayOptions {
  /** Of its namespace, unique in the testbed; default "underlay". */
  readonly name?: string;
  /** Of every interface in the underlay, bytes; default 1500. */
  readonly mtu?: number;
}

interface Attached {
  readonly mac: string;
  /** Dotted. */
  readonly address: string;
}

/** The physical network between hosts: one Ethernet segment, a Linux bridge in a namespace of its own. */
export class Underlay {
  readonly mtu: number;
  private readonly testbed: Testbed;
  private readonly namespace: NetworkNamespace;
  private readonly hosts = new Map<string, Attached>();
  /** "a>b": frames from a to b are dropped. */
  private readonly cuts = new Set<string>();

  private constructor(testbed: Testbed, namespace: NetworkNamespace, mtu: number) {
    this.testbed = testbed;
    this.namespace = namespace;
    this.mtu = mtu;
  }

  static async create(testbed: Testbed, options: UnderlayOptions = {}): Promise<Underlay> {
    const namespace = await testbed.namespace(options.name ?? "underlay");
    const mtu = options.mtu ?? 1500;
    await namespace.ip(
      `link add ${BRIDGE} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${BRIDGE} up`,
      `link add ${SINK} type veth peer name ${SINK}p`,
      `link set ${SINK} up`,
      `link set ${SINK}p up`,
    );
    return new Underlay(testbed, namespace, mtu);
  }

  /**
   * Plugs a cable in: an interface `nic` for the host, up, without an address.
   *
   * @param host its short name, unique in the underlay, at most 13 characters.
   * @param namespace of the host; null: this process's own.
   * @param mac and `address` by which the host will speak; faults go by them.
   */
  async attach(
    host: string,
    namespace: NetworkNamespace | null,
    nic: string,
    mac: string,
    address: string,
  ): Promise<void> {
    if (this.hosts.has(host)) throw new MidotraceError("ALREADY_EXISTS", `${host} is attached to the underlay already`);
    const port = portOf(host);
    await this.testbed.vethPair({ namespace: this.namespace, name: port }, { namespace, name: nic, mac });
    // Now, for later faults: the kernel stops an interface for a moment when it gets its queueing discipline.
    await this.namespace.exec("tc", ["qdisc", "add", "dev", port, "ingress"]);
    await this.namespace.ip(`link set ${port} mtu ${this.mtu} master ${BRIDGE} up`);
    const up = ["link", "set", nic, "mtu", String(this.mtu), "up"];
    if (namespace === null) await run("ip", up);
    else await namespace.ip(up.join(" "));
    this.hosts.set(host, { mac, address });
  }

  /** Nothing passes between the two hosts any more, in either direction; both still reach all others. */
  async cut(a: string, b: string): Promise<void> {
    await this.cutOneWay(a, b);
    await this.cutOneWay(b, a);
  }

  /** What `from` sends does not arrive at `to` any more; the other direction stays. */
  async cutOneWay(from: string, to: string): Promise<void> {
    this.host(to);
    this.cuts.add(`${from}>${to}`);
    await this.applyCuts(from);
  }

  /** Takes back every cut between the two. */
  async heal(a: string, b: string): Promise<void> {
    this.cuts.delete(`${a}>${b}`);
    this.cuts.delete(`${b}>${a}`);
    await this.applyCuts(a);
    await this.applyCuts(b);
  }

  /** Pulls the host's cable out: it sees no carrier. */
  async unplug(host: string): Promise<void> {
    this.host(host);
    await this.namespace.ip(`link set ${portOf(host)} down`);
  }

  async plug(host: string): Promise<void> {
    this.host(host);
    await this.namespace.ip(`link set ${portOf(host)} up`);
  }

  /**
   * Captures every frame that the underlay carries, once, in the order carried. It is capturing when this resolves.
   *
   * @param file of the capture, pcap.
   * @param filter of pcap-filter(7); "": everything.
   */
  capture(file: string, filter = ""): Promise<Capture> {
    return Capture.start(this.testbed, this.namespace, BRIDGE, file, filter);
  }

  /** Filters at the bridge's port of `from`: frames to a cut host's MAC, and ARP that asks for its address. */
  private async applyCuts(from: string): Promise<void> {
    this.host(from);
    const port = portOf(from);
    const tc = (...args: string[]): Promise<unknown> => this.namespace.exec("tc", args);
    await tc("filter", "del", "dev", port, "parent", "ffff:").catch(() => undefined);
    let preference = 1;
    for (const [host, { mac, address }] of this.hosts) {
      if (!this.cuts.has(`${from}>${host}`)) continue;
      // To a sink and not `action drop`: that needs a kernel with act_gact.
      const drop = ["action", "mirred", "egress", "redirect", "dev", SINK];
      const filter = ["filter", "add", "dev", port, "parent", "ffff:"];
      const byMac = ["protocol", "all", "pref", String(preference++), "u32", "match", "ether", "dst", mac];
      await tc(...filter, ...byMac, ...drop);
      const target = `0x${ipv4Hex(address)}`;
      const byArp = ["protocol", "arp", "pref", String(preference++), "u32", "match", "u32", target, "0xffffffff"];
      await tc(...filter, ...byArp, "at", "24", ...drop);
    }
  }

  private host(name: string): Attached {
    const host = this.hosts.get(name);
    if (host === undefined) throw new MidotraceError("NOT_FOUND", `no host ${name} in the underlay`);
    return host;
  }
}

const portOf = (host: string): string => `p-${host}`;

function ipv4Hex(dotted: string): string {
  const bytes = dotted.split(".").map(Number);
  return bytes.map((b) => b.toString(16).padStart(2, "0")).join("");
}
