import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { endChild, type VmNamespace } from "#adapters/testbed";
import { at, kept } from "./processes.ts";
import type { Scope } from "./scope.ts";

/** What one VM sends to another. */
export interface Way {
  readonly from: VmNamespace;
  readonly to: VmNamespace;
  readonly ethSrc: string;
  /** Of the receiver, or of the router before it. */
  readonly ethDst: string;
  readonly ipSrc: string;
  readonly ipDst: string;
}

export interface NewFlows {
  readonly sent: number;
  /** As it turned out. */
  readonly perSecond: number;
  /** Behind its timetable, the sender. */
  readonly lateP99Us: number;
  readonly taken: number;
  /** From sending to arriving, microseconds. */
  readonly p50Us: number;
  readonly p99Us: number;
}

const SCRIPT = at("./peers/new_flows.py");
const PORT = 7777;

/** Ports of the sender that were used last: the next flows are new ones. */
let used = 0;

/** @param rate new flows per second. */
export async function newFlows(scope: Scope, way: Way, rate: number, seconds: number): Promise<NewFlows> {
  const { from, to, ethSrc, ethDst, ipSrc, ipDst } = way;
  const taker = await talking(scope, to, "take", String(PORT));
  await taker.line();
  const addresses = ["eth0", ethSrc, ethDst, ipSrc, ipDst];
  const sender = await talking(scope, from, "send", ...addresses, ...[PORT, rate, seconds, used].map(String));
  used += rate * seconds;
  const sent = JSON.parse(await sender.line()) as Pick<NewFlows, "sent" | "perSecond" | "lateP99Us">;
  taker.child.stdin?.end("end\n");
  const taken = JSON.parse(await taker.line()) as Pick<NewFlows, "taken" | "p50Us" | "p99Us">;
  await Promise.all([endChild(sender.child), endChild(taker.child)]);
  return { ...sent, ...taken };
}

interface Talking {
  readonly child: ChildProcess;
  /** What it says next. @throws Error when it has ended. */
  line(): Promise<string>;
}

async function talking(scope: Scope, vm: VmNamespace, ...args: readonly string[]): Promise<Talking> {
  const child = kept(scope, await vm.spawn("python3", [SCRIPT, ...args], { stdio: ["pipe", "pipe", "inherit"] }));
  if (child.stdout === null) throw new Error("it has no standard output");
  const lines: Interface = createInterface(child.stdout);
  const line = async (): Promise<string> => {
    const [text] = await Promise.race([
      once(lines, "line"),
      once(lines, "close").then(() => {
        throw new Error(`new_flows.py ${args.join(" ")} ended`);
      }),
    ]);
    return text as string;
  };
  return { child, line };
}
