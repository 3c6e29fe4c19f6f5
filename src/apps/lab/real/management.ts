import { type OvsHost, run, type Testbed, Underlay } from "#adapters/testbed";
import { MidotraceError, type Random } from "#core/base";

const NIC = "mgmt0";
const PREFIX_LENGTH = 24;
const OWN = 254;
const ATTEMPTS = 20;

/**
 * The network by which daemons reach the store and the API, and people the daemons: apart from the underlay, as on many
 * sites, so that a fault of one is not a fault of the other. The only thing of the lab that this machine's own network
 * sees: one interface, in a part of 198.18.0.0/15 (RFC 2544: for benchmarks, routed nowhere) that nobody uses.
 */
export class Management {
  /** Of this machine, dotted. */
  readonly ownAddress: string;
  private readonly segment: Underlay;
  private readonly network: string;
  private hosts = 0;

  private constructor(segment: Underlay, network: string) {
    this.segment = segment;
    this.network = network;
    this.ownAddress = `${network}.${OWN}`;
  }

  static async create(testbed: Testbed, random: Random): Promise<Management> {
    const network = await freeNetwork(random);
    const segment = await Underlay.create(testbed, { name: "management" });
    const management = new Management(segment, network);
    const nic = `mt-${testbed.labId}`;
    await segment.attach("lab", null, nic, macOf(management.ownAddress), management.ownAddress);
    await run("ip", ["address", "add", `${management.ownAddress}/${PREFIX_LENGTH}`, "dev", nic]);
    return management;
  }

  /** Plugs the host in. @returns its address, dotted. */
  async attach(host: OvsHost): Promise<string> {
    const address = `${this.network}.${++this.hosts}`;
    await this.segment.attach(host.name, host.namespace, NIC, macOf(address), address);
    await host.namespace.ip(`address add ${address}/${PREFIX_LENGTH} dev ${NIC}`);
    return address;
  }
}

const macOf = (dotted: string): string =>
  ["02", "51", ...dotted.split(".").map((b) => Number(b).toString(16).padStart(2, "0"))].join(":");

/** @throws MidotraceError CONFLICT when many tries met networks in use. */
async function freeNetwork(random: Random): Promise<string> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const network = `198.${18 + Math.floor(random.next() * 2)}.${Math.floor(random.next() * 256)}`;
    const { stdout } = await run("ip", ["-4", "route", "show", "root", `${network}.0/${PREFIX_LENGTH}`]);
    if (stdout.trim() === "") return network;
  }
  throw new MidotraceError("CONFLICT", "no part of 198.18.0.0/15 is free on this machine for the lab's own network");
}
