import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { MidotraceError } from "#core/base";
import { type RunOptions, type RunResult, run, toolEnvironment } from "./command.ts";

/** A network namespace of a testbed, with its loopback up and IPv6 off (kernels announce themselves by it otherwise). */
export class NetworkNamespace {
  /** The name in /run/netns. */
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  /** For the testbed, which has noted the name before. */
  async create(): Promise<void> {
    await run("ip", ["netns", "add", this.name]);
    const off = ["net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1"];
    await this.exec("sysctl", ["-q", "-e", ...off]);
    await this.ip("link set lo up");
  }

  /** `ip` in this namespace, one command per line; `netns /proc/1/ns/net` style arguments are not resolved here. */
  async ip(...lines: readonly string[]): Promise<void> {
    await run("ip", ["-netns", this.name, "-batch", "-"], { input: `${lines.join("\n")}\n` });
  }

  /** Runs to its end in this namespace. @throws see `run`. */
  exec(command: string, args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return run("ip", ["netns", "exec", this.name, command, ...args], options);
  }

  /**
   * Starts in this namespace; the returned process is the command itself. It has /sys of the namespace.
   *
   * @throws MidotraceError INTERNAL when it cannot be started.
   */
  async spawn(command: string, args: readonly string[], options: SpawnOptions = {}): Promise<ChildProcess> {
    const env = toolEnvironment(options.env as Record<string, string> | undefined);
    const child = spawn("ip", ["netns", "exec", this.name, command, ...args], { stdio: "ignore", ...options, env });
    try {
      await once(child, "spawn");
    } catch (cause) {
      throw new MidotraceError("INTERNAL", `${command} could not be started in ${this.name}`, [], { cause });
    }
    return child;
  }
}
