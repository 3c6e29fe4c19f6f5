import { spawn } from "node:child_process";
import { constants } from "node:os";
import { cleanTestbed, listTestbeds, type TestbedStatus, toolEnvironment } from "#adapters/testbed";
import { command } from "#apps/cli/options";
import { didYouMean, MidotraceError } from "#core/base";

const LAB_OPTION = {
  lab: {
    kind: "text",
    placeholder: "ID",
    default: null,
    description: "which lab, where several run; its id is part of the names of its namespaces",
  },
} as const;

/** As shells say it: the signal's number follows. */
const ENDED_BY_SIGNAL = 128;

/** `midotrace lab exec`: a command in a VM. */
export const labExecCommand = command({
  name: "lab exec",
  summary: "run a command in a VM, or on a host, of the lab that runs on Open vSwitch",
  positionals: [{ name: "VM", description: "name of the VM or of the host" }],
  rest: { name: "COMMAND", description: "the command and its arguments, behind --" },
  options: LAB_OPTION,
  examples: ["midotrace lab exec red-1 -- ping -c 3 10.0.2.2", "midotrace lab exec host-a -- ovs-vsctl --version"],
  async run({ options, positionals, io }) {
    const [vm = "", ...words] = positionals;
    const namespace = pickNamespace(await listTestbeds(), options.lab, vm);
    const child = spawn("ip", ["netns", "exec", namespace, ...words], { stdio: "inherit", env: toolEnvironment() });
    // From a terminal the command gets Ctrl+C itself; once more does it no harm.
    io.stop.addEventListener("abort", () => child.kill("SIGTERM"), { once: true });
    return new Promise((resolve, reject) => {
      child.once("error", (cause) =>
        reject(new MidotraceError("INTERNAL", `ip netns exec could not be started: ${cause.message}`, [], { cause })),
      );
      child.once("exit", (code, signal) => resolve(code ?? ENDED_BY_SIGNAL + constants.signals[signal ?? "SIGTERM"]));
    });
  },
});

/** `midotrace lab clean`: what crashed labs left behind. */
export const labCleanCommand = command({
  name: "lab clean",
  summary: "remove what labs on Open vSwitch left behind when they crashed",
  positionals: [],
  options: {
    ...LAB_OPTION,
    running: { kind: "flag", default: false, description: "also labs that still run: they are ended" },
  },
  examples: ["midotrace lab clean"],
  async run({ options, io }) {
    const { removed, left } = await cleanTestbed(options.lab ?? "all", { inUse: options.running });
    for (const line of removed) io.out(`removed ${line}\n`);
    for (const id of left) io.out(`left lab ${id}, which runs; --running ends it\n`);
    if (removed.length + left.length === 0) io.out("there is nothing to clean\n");
    return 0;
  },
});

/** @throws MidotraceError NOT_FOUND, or CONFLICT when it could be in several labs. */
export function pickNamespace(testbeds: readonly TestbedStatus[], lab: string | null, name: string): string {
  const running = testbeds.filter((t) => t.inUse && (lab === null || t.labId === lab));
  if (running.length === 0) {
    const which = lab === null ? "no lab on Open vSwitch runs" : `lab ${lab} does not run`;
    throw new MidotraceError("NOT_FOUND", `${which} on this machine; midotrace lab --ovs starts one`);
  }
  const found = running.filter((t) => t.namespaces.includes(namespaceOf(t, name)));
  const [first, second] = found;
  if (first === undefined) {
    const all = running.flatMap((t) => t.namespaces.map((n) => n.slice(namespaceOf(t, "").length)));
    const names = [...new Set(all)].toSorted();
    throw new MidotraceError(
      "NOT_FOUND",
      `the lab has no VM or host ${name}, only ${names.join(", ")}${didYouMean(name, names)}`,
    );
  }
  if (second !== undefined) {
    const ids = found.map((t) => t.labId).join(", ");
    throw new MidotraceError("CONFLICT", `several labs have a ${name}: name one by --lab (${ids})`);
  }
  return namespaceOf(first, name);
}

const namespaceOf = (testbed: TestbedStatus, name: string): string => `mt-${testbed.labId}-${name}`;
