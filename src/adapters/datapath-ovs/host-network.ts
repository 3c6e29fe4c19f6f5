import { createSocket, type Socket } from "node:dgram";
import { lstatSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { readRoutes, type Route } from "./routes.ts";

export interface Neighbour {
  /** An address may be known, differently, on several devices. */
  readonly address: string;
  readonly device: string;
  /** Lower case with colons. */
  readonly mac: string;
}

/** What the configuration of the switch wants to know of this host's kernel. Addresses are dotted. */
export interface HostNetwork {
  /** Number of the device of this name; null when there is none. Cheap: asked for every bound interface several times a second. */
  ifindex(name: string): number | null;
  /** The interface that has the address, with its MTU in bytes; null when none has. */
  interfaceWith(address: string): { readonly name: string; readonly mtu: number } | null;
  /** The kernel's neighbours whose MAC is known. */
  neighbours(): Promise<readonly Neighbour[]>;
  routes(): Promise<readonly Route[]>;
  /** Makes the kernel look for the way to a peer, by an empty datagram from `from` to its discard port (RFC 863). */
  provoke(from: string, to: string): void;
  close(): void;
}

const DISCARD_PORT = 9;

/** Where things are; a test may look into another network namespace. */
export interface KernelPaths {
  readonly sys: string;
  /** Directory of `arp` and `route`. */
  readonly procNet: string;
}

export class KernelNetwork implements HostNetwork {
  protected readonly paths: KernelPaths;
  /** Last seen inode of a device's directory and its number: a new device has a new inode, and looking is cheaper than reading. */
  private readonly seen = new Map<string, { readonly inode: number; readonly ifindex: number }>();
  private socket: { readonly from: string; readonly socket: Socket } | null = null;

  constructor(paths: KernelPaths = { sys: "/sys", procNet: "/proc/self/net" }) {
    this.paths = paths;
  }

  ifindex(name: string): number | null {
    const directory = join(this.paths.sys, "class/net", name);
    const inode = lstatSync(directory, { throwIfNoEntry: false })?.ino;
    if (inode === undefined) {
      this.seen.delete(name);
      return null;
    }
    const known = this.seen.get(name);
    if (known?.inode === inode) return known.ifindex;
    const ifindex = readNumber(join(directory, "ifindex"));
    if (ifindex !== null) this.seen.set(name, { inode, ifindex });
    return ifindex;
  }

  interfaceWith(address: string): { readonly name: string; readonly mtu: number } | null {
    for (const [name, addresses] of Object.entries(networkInterfaces())) {
      if (addresses?.some((a) => a.address === address) !== true) continue;
      const mtu = this.mtu(name);
      return mtu === null ? null : { name, mtu };
    }
    return null;
  }

  async neighbours(): Promise<readonly Neighbour[]> {
    const found: Neighbour[] = [];
    // Columns: address, hardware type, flags, MAC, mask, device (proc(5)). Flag 2: the MAC is known.
    for (const line of (await readFile(join(this.paths.procNet, "arp"), "utf8")).split("\n").slice(1)) {
      const [address, , flags, mac, , device] = line.split(/\s+/);
      if (address === undefined || mac === undefined || device === undefined) continue;
      if ((Number(flags) & 2) !== 0) found.push({ address, mac, device });
    }
    return found;
  }

  async routes(): Promise<readonly Route[]> {
    return readRoutes(await readFile(join(this.paths.procNet, "route"), "utf8"));
  }

  provoke(from: string, to: string): void {
    if (this.socket?.from !== from) {
      this.close();
      const socket = createSocket("udp4");
      // The address may be gone for a while; the next call tries again.
      const fail = (): void => {
        if (this.socket?.socket === socket) this.close();
      };
      socket.on("error", fail);
      socket.bind({ address: from, port: 0 });
      socket.unref();
      this.socket = { from, socket };
    }
    // An unreachable peer is no error of ours: it shows in the neighbours.
    this.socket.socket.send(new Uint8Array(0), DISCARD_PORT, to, () => undefined);
  }

  close(): void {
    const socket = this.socket?.socket;
    this.socket = null;
    socket?.close();
  }

  protected mtu(name: string): number | null {
    return readNumber(join(this.paths.sys, "class/net", name, "mtu"));
  }
}

function readNumber(path: string): number | null {
  try {
    return Number(readFileSync(path, "utf8"));
  } catch {
    // The device went between two looks.
    return null;
  }
}
