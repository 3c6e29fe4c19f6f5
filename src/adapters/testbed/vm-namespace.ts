import type { ChildProcess, SpawnOptions } from "node:child_process";
import { MidotraceError } from "#core/base";
import type { RunOptions, RunResult } from "./command.ts";
import type { NetworkNamespace } from "./namespace.ts";
import type { OvsHost } from "./ovs-host.ts";
import type { Testbed } from "./testbed.ts";

const NIC = "eth0";

export interface VmOptions {
  /** Unique in the testbed. */
  readonly name: string;
  readonly host: OvsHost;
  /** Name of the port's interface on the host, at most 15 characters: what a binding names. */
  readonly interfaceName: string;
  readonly mac?: string;
  /** With prefix; none: the VM speaks only frames. */
  readonly address?: string;
  readonly gateway?: string;
  /** Of eth0; default 1450 (an underlay of 1500 less 50 of VXLAN over IPv4). */
  readonly mtu?: number;
}

/** A VM: a kernel's network stack in a namespace of its own, with one interface eth0 whose other end lies on the host. */
export class VmNamespace {
  readonly name: string;
  readonly namespace: NetworkNamespace;
  readonly interfaceName: string;
  private readonly testbed: Testbed;
  private readonly options: VmOptions;

  private constructor(testbed: Testbed, options: VmOptions, namespace: NetworkNamespace) {
    this.testbed = testbed;
    this.options = options;
    this.name = options.name;
    this.interfaceName = options.interfaceName;
    this.namespace = namespace;
  }

  /** Made and attached. */
  static async create(testbed: Testbed, options: VmOptions): Promise<VmNamespace> {
    if (options.interfaceName.length > 15)
      throw new MidotraceError("VALIDATION", `${options.interfaceName}: an interface's name has at most 15 characters`);
    const vm = new VmNamespace(testbed, options, await testbed.namespace(options.name));
    await vm.attach();
    return vm;
  }

  /** Makes the cable, and configures eth0 from the start. */
  async attach(): Promise<void> {
    const { host, mac, address, gateway, mtu } = this.options;
    const vmEnd = { namespace: this.namespace, name: NIC, ...(mac === undefined ? {} : { mac }) };
    await this.testbed.vethPair({ namespace: host.namespace, name: this.interfaceName }, vmEnd);
    // A userspace switch sends on what it gets: checksums that the kernel left to the hardware would stay empty.
    await this.namespace.exec("ethtool", ["-K", NIC, "tx", "off"]);
    await host.namespace.ip(`link set ${this.interfaceName} up`);
    const lines = [`link set ${NIC} mtu ${mtu ?? 1450} up`];
    if (address !== undefined) lines.push(`address add ${address} dev ${NIC}`);
    if (gateway !== undefined) lines.push(`route add default via ${gateway}`);
    await this.namespace.ip(...lines);
  }

  /** Takes the interface from the host; the VM keeps running without eth0. */
  async detach(): Promise<void> {
    await this.options.host.namespace.ip(`link delete ${this.interfaceName}`);
  }

  /** Runs in the VM to its end. @throws see `run`. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.namespace.exec(command, args, options);
  }

  /** Starts in the VM. */
  spawn(command: string, args: readonly string[], options?: SpawnOptions): Promise<ChildProcess> {
    return this.namespace.spawn(command, args, options);
  }
}
