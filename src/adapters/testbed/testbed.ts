import { randomBytes } from "node:crypto";
import { mkdir, symlink } from "node:fs/promises";
import { join } from "node:path";
import { MidotraceError } from "#core/base";
import { NETNS_DIR, removeEverything } from "./clean.ts";
import { run } from "./command.ts";
import { testbedMissing } from "./missing.ts";
import { NetworkNamespace } from "./namespace.ts";
import { identify } from "./processes.ts";
import { DEFAULT_REGISTRY, Registry } from "./registry.ts";

export interface TestbedOptions {
  /** Where testbeds note what they make; default /run/midotrace/testbeds. */
  readonly root?: string;
}

/**
 * Network namespaces, daemons and files of one lab or test, all noted so that `cleanTestbed` finds them even when this
 * process is killed. Namespaces are called `mt-<labId>-<name>`.
 */
export class Testbed {
  readonly labId: string;
  private readonly registry: Registry;
  private readonly endings: (() => Promise<void>)[] = [];
  private closed = false;

  private constructor(labId: string, registry: Registry) {
    this.labId = labId;
    this.registry = registry;
  }

  /** @throws MidotraceError INTERNAL when something is missing on this machine: see `testbedMissing`. */
  static async create(options: TestbedOptions = {}): Promise<Testbed> {
    const missing = testbedMissing();
    if (missing !== null) throw new MidotraceError("INTERNAL", missing);
    const labId = randomBytes(4).toString("hex");
    const testbed = new Testbed(labId, new Registry(options.root ?? DEFAULT_REGISTRY, labId));
    await testbed.registry.create();
    return testbed;
  }

  /** Removed with the testbed. Short, since paths of Unix sockets have at most 107 bytes. */
  async directory(name: string): Promise<string> {
    const path = join(this.registry.directory, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  async namespace(name: string): Promise<NetworkNamespace> {
    const namespace = new NetworkNamespace(`mt-${this.labId}-${name}`);
    await this.registry.note({ kind: "namespace", name: namespace.name });
    await namespace.create();
    return namespace;
  }

  /**
   * A second, plain name for `ip netns exec`.
   *
   * @throws MidotraceError ALREADY_EXISTS when a namespace has this name.
   */
  async alias(name: string, namespace: NetworkNamespace): Promise<void> {
    await this.registry.note({ kind: "alias", name, target: namespace.name });
    try {
      await symlink(namespace.name, join(NETNS_DIR, name));
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
      throw new MidotraceError("ALREADY_EXISTS", `a network namespace ${name} exists on this machine`, [], { cause });
    }
  }

  /** Notes an interface that is about to be made in this process's own namespace. */
  noteLink(name: string): Promise<void> {
    return this.registry.note({ kind: "link", name });
  }

  /** Notes a process that runs outside the namespaces of the testbed; those inside are found anyway. */
  async noteProcess(what: string, pid: number): Promise<void> {
    const identity = await identify(pid);
    if (identity !== null) await this.registry.note({ kind: "process", what, ...identity });
  }

  /** Called by `close`, last added first, before the namespaces go. */
  onClose(end: () => Promise<void>): void {
    this.endings.push(end);
  }

  /**
   * A veth pair between two namespaces (null: this process's own).
   *
   * @param a name of one end, at most 15 characters; @param b name of the other end.
   */
  async vethPair(a: LinkEnd, b: LinkEnd): Promise<void> {
    for (const end of [a, b]) if (end.namespace === null) await this.noteLink(end.name);
    const place = (end: LinkEnd): string[] => (end.namespace === null ? [] : ["netns", end.namespace.name]);
    const mac = (end: LinkEnd): string[] => (end.mac === undefined ? [] : ["address", end.mac]);
    const first = ["link", "add", "name", a.name, ...mac(a), ...place(a), "type", "veth"];
    await run("ip", [...first, "peer", "name", b.name, ...mac(b), ...place(b)]);
  }

  /** Ends and removes everything. Idempotent. */
  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    for (const end of this.endings.reverse()) await end();
    await removeEverything(this.registry, []);
  }
}

export interface LinkEnd {
  readonly namespace: NetworkNamespace | null;
  readonly name: string;
  /** "02:00:00:00:00:01"; default: the kernel's choice. */
  readonly mac?: string;
}
