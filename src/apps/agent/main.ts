import { command, untilStopped } from "#apps/cli/options";
import { AGENT_OPTIONS } from "./options.ts";

export const agentCommand = command({
  name: "agent",
  summary: "run this host's agent: it drives Open vSwitch, simulates packets and traces flows",
  positionals: [],
  options: AGENT_OPTIONS,
  examples: [
    "midotrace agent --store zookeeper://10.0.0.1:2181,10.0.0.2:2181,10.0.0.3:2181/midonet/v1 --tunnel-ip 10.0.0.21",
    "midotrace agent --config /etc/midotrace/agent.yaml",
  ],
  async run({ options, io }) {
    // Loaded here: whoever only wants the command's name and options does not load a switch's protocols.
    const { AgentProcess } = await import("./agent-process.ts");
    const agent = new AgentProcess(options, (line) => io.err(line));
    // Whatever it waits for, it can be told to stop.
    const started = agent.start().catch(async (error: unknown) => {
      await agent.stop();
      throw error;
    });
    await Promise.race([untilStopped(io), started.then(() => untilStopped(io))]);
    agent.log("info", "agent stopping");
    await agent.stop();
    return 0;
  },
});
