import { command, type OptionTable, usage } from "#apps/cli/options";

/** The names are promised, so that a command line of the next release is told what is missing, and not that it is misspelt. */
const AGENT_OPTIONS = {
  store: { kind: "text", placeholder: "URL", default: null, description: "the store with the virtual network" },
  "host-id": { kind: "text", placeholder: "UUID", default: null, description: "which host this is" },
  "tunnel-ip": { kind: "text", placeholder: "ADDRESS", default: null, description: "this host's end of the tunnels" },
  bridge: { kind: "text", placeholder: "NAME", default: null, description: "the switch to drive" },
  "ovs-run-dir": { kind: "text", placeholder: "DIR", default: null, description: "where Open vSwitch has its sockets" },
} as const satisfies OptionTable;

/** `midotrace agent`: known by name, and refused. */
export const agentCommand = command({
  name: "agent",
  summary: "run a host's agent as a process of its own (not in this release)",
  positionals: [],
  options: AGENT_OPTIONS,
  examples: [],
  run: () =>
    Promise.reject(
      usage("agents as processes of their own come with the next release; midotrace lab runs an agent for every host"),
    ),
});
