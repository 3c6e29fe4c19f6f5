import { bashScript, fishScript, shapesOf, zshScript } from "#apps/cli/completion";
import { command, usage } from "#apps/cli/options";
import { commandIndex } from "./commands.ts";

const SCRIPTS = { bash: bashScript, zsh: zshScript, fish: fishScript } as const;

export const completion = command({
  name: "completion",
  summary: "print the script that completes commands, options and names in a shell",
  positionals: [{ name: "SHELL", description: "bash, zsh or fish" }],
  options: {},
  examples: ["midotrace completion bash"],
  async run({ positionals, io }) {
    const shell = positionals[0] as string;
    if (!Object.hasOwn(SCRIPTS, shell))
      throw usage(`completion is for bash, zsh and fish, not ${JSON.stringify(shell)}`);
    const commands = await Promise.all((await commandIndex()).map((entry) => entry.load()));
    io.out(SCRIPTS[shell as keyof typeof SCRIPTS](shapesOf(commands)));
    return 0;
  },
});
