import type { Command } from "#apps/cli/options";

/** A command as the overview shows it, and how to get it: a server's code is loaded only when it is called. */
export interface CommandEntry {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<Command>;
}

/** In the order of the overview. */
export async function commandIndex(): Promise<readonly CommandEntry[]> {
  const { clientCommands } = await import("#apps/cli/client");
  return [
    {
      name: "lab",
      summary: "a whole cluster on this machine: API, agents, VMs and their traffic",
      load: async () => (await import("#apps/lab")).labCommand,
    },
    {
      name: "api",
      summary: "the REST API over a store",
      load: async () => (await import("#apps/api")).apiCommand,
    },
    {
      name: "agent",
      summary: "a host's agent as a process of its own (not in this release)",
      load: async () => (await import("./agent-command.ts")).agentCommand,
    },
    ...clientCommands.map((c) => ({ name: c.name, summary: c.summary, load: async () => c })),
  ];
}
