import type { ChildProcess } from "node:child_process";
import { MidotraceError } from "#core/base";
import { endChild, hasCommand, until } from "./command.ts";
import type { NetworkNamespace } from "./namespace.ts";
import type { Testbed } from "./testbed.ts";

/** tcpdump at an interface, into a file. */
export class Capture {
  readonly file: string;
  private readonly child: ChildProcess;
  private said = "";

  private constructor(file: string, child: ChildProcess) {
    this.file = file;
    this.child = child;
  }

  /** @throws MidotraceError INTERNAL with what tcpdump said, when it does not begin to capture or is not there. */
  static async start(
    testbed: Testbed,
    namespace: NetworkNamespace,
    device: string,
    file: string,
    filter = "",
  ): Promise<Capture> {
    if (!hasCommand("tcpdump")) throw new MidotraceError("INTERNAL", "tcpdump not found: apt-get install tcpdump");
    // -Z root: Debian's tcpdump gives up root before it opens the file. -U and immediate mode: nothing lies in a buffer.
    const args = ["-Z", "root", "-n", "-U", "--immediate-mode", "-s", "0", "-i", device, "-w", file, filter];
    const child = await namespace.spawn("tcpdump", args, { stdio: ["ignore", "ignore", "pipe"] });
    const capture = new Capture(file, child);
    child.stderr?.on("data", (chunk: Buffer) => {
      capture.said += chunk.toString();
    });
    testbed.onClose(() => endChild(child));
    await until(`tcpdump at ${device}`, 5000, () => {
      if (capture.ended) throw new MidotraceError("INTERNAL", `tcpdump at ${device} ended: ${capture.said.trim()}`);
      return capture.said.includes("listening on") ? true : null;
    });
    return capture;
  }

  /** Resolves when everything that was seen until now is in the file, and the capture has ended. */
  async stop(): Promise<string> {
    await this.flushed();
    await endChild(this.child, "SIGINT");
    return this.file;
  }

  /** Resolves when everything that the interface carried until now is in the file; the capture goes on. */
  async flushed(): Promise<void> {
    await until("tcpdump's counts to agree", 5000, async () => {
      if (this.ended) throw new MidotraceError("INTERNAL", `tcpdump ended: ${this.said.trim()}`);
      const from = this.said.length;
      this.child.kill("SIGUSR1");
      const counts = await until("tcpdump's counts", 5000, () =>
        /(\d+) packets? captured, (\d+) packets? received by filter/.exec(this.said.slice(from)),
      );
      return Number(counts[1]) >= Number(counts[2]) ? true : null;
    });
  }

  private get ended(): boolean {
    return this.child.exitCode !== null || this.child.signalCode !== null;
  }
}
