import { command } from "#apps/cli/options";
import { AGENT_OPTIONS } from "../options.ts";

export const agentDoctorCommand = command({
  name: "agent doctor",
  summary: "check what this host's agent stands on, and say what to do; exit code 1 when something failed",
  positionals: [],
  options: {
    ...AGENT_OPTIONS,
    json: { kind: "flag", default: false, description: "print one JSON document instead of lines" },
  },
  examples: ["midotrace agent doctor --config /etc/midotrace/agent.yaml"],
  async run({ options, io }) {
    const [{ examine }, { SystemProbes }, { countLine, findingLine }, { systemScheduler }] = await Promise.all([
      import("./examine.ts"),
      import("./system-probes.ts"),
      import("./finding.ts"),
      import("#adapters/platform"),
    ]);
    const probes = new SystemProbes(options);
    try {
      const found = options.json
        ? () => undefined
        : (f: Parameters<typeof findingLine>[0]) => io.out(`${findingLine(f)}\n`);
      const findings = await examine({ options, probes, scheduler: systemScheduler, found });
      const failed = findings.some((f) => f.level === "fail");
      if (options.json) io.out(`${JSON.stringify({ failed, findings }, null, 2)}\n`);
      else io.out(`${countLine(findings)}\n`);
      return failed ? 1 : 0;
    } finally {
      await probes.close();
    }
  },
});
