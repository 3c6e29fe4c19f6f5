import type { Command } from "#apps/cli/options";

/** A command as the overview shows it, and how to get it: a server's code is loaded only when it is called. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** In the order of the overview. */
export async function commandIndex(): Promise<readonly CommandEntry[]> {
  const [{ clientCommands }, { authCommands }, { storeCommands }] = await Promise.all([
    import("#apps/cli/client"),
    import("#apps/cli/auth"),
    import("#apps/cli/store"),
  ]);
  return [
    {
      name: "lab",
      summary: "a whole cluster on this machine: API, agents, VMs and their traffic",
      load: async () => (await import("#apps/lab")).labCommand,
    },
    {
      name: "lab exec",
      summary: "a command in a VM of the lab on Open vSwitch",
      load: async () => (await import("#apps/lab")).labExecCommand,
    },
    {
      name: "lab clean",
      summary: "remove what crashed labs on Open vSwitch left behind",
      load: async () => (await import("#apps/lab")).labCleanCommand,
    },
    {
      name: "api",
      summary: "the REST API over a store",
      load: async () => (await import("#apps/api")).apiCommand,
    },
    {
      name: "agent",
      summary: "a host's agent: drives Open vSwitch, simulates packets, traces flows",
      load: async () => (await import("#apps/agent")).agentCommand,
    },
    {
      name: "agent doctor",
      summary: "check what this host's agent stands on, and say what to do",
      load: async () => (await import("#apps/agent")).agentDoctorCommand,
    },
    {
      name: "completion",
      summary: "complete commands, options and names in bash, zsh or fish",
      load: async () => (await import("./completion.ts")).completion,
    },
    ...[...clientCommands, ...authCommands, ...storeCommands].map((c) => ({
      name: c.name,
      summary: c.summary,
      load: async () => c,
    })),
  ];
}
