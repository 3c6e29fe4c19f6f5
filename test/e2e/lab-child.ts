import { type ChildProcess, spawn } from "node:child_process";
import { fileURLToPath } from "node:url";

const LAUNCHER = fileURLToPath(new URL("../../bin/midotrace.js", import.meta.url));

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** Generous: a loaded machine is no failure. */
const DEADLINE_MS = 60_000;

/** The program as a child process, as a user starts it; what it prints can be waited for. */
export class Program {
  out = "";
  err = "";
  readonly ended: Promise<number | null>;
  private readonly child: ChildProcess;
  private readonly looking = new Set<() => void>();

  constructor(argv: readonly string[], env: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, [LAUNCHER, ...argv], {
      cwd: ROOT,
      env: { ...process.env, NO_COLOR: "", ...env },
      // A group of its own, so that the last resort reaches the process behind the launcher too.
      detached: true,
    });
    const collect = (stream: "out" | "err") => (text: string) => {
      this[stream] += text;
      for (const look of this.looking) look();
    };
    this.child.stdout?.setEncoding("utf8").on("data", collect("out"));
    this.child.stderr?.setEncoding("utf8").on("data", collect("err"));
    this.ended = new Promise((resolve) => {
      this.child.on("close", (code) => {
        resolve(code);
        for (const look of this.looking) look();
      });
    });
  }

  /** Until standard output matches. @throws Error, with everything printed, when the program ends or the deadline passes first. */
  async seen(pattern: RegExp): Promise<RegExpMatchArray> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    for (;;) {
      const match = this.out.match(pattern);
      if (match !== null) return match;
      if (deadline.aborted || this.child.exitCode !== null) {
        throw new Error(`never printed ${String(pattern)}:\n${this.out}\n${this.err}`);
      }
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.looking.delete(look);
          deadline.removeEventListener("abort", look);
          resolve();
        };
        this.looking.add(look);
        deadline.addEventListener("abort", look);
      });
    }
  }

  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** The last resort at the end of a test. */
  kill(): void {
    if (this.child.exitCode !== null || this.child.pid === undefined) return;
    try {
      process.kill(-this.child.pid, "SIGKILL");
    } catch {
      // It has ended by itself meanwhile.
    }
  }
}

/** Runs a command line to its end. */
export async function ran(...argv: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const program = new Program(argv);
  const code = await program.ended;
  return { code, out: program.out, err: program.err };
}
