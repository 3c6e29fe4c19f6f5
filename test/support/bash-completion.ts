import { spawn, spawnSync } from "node:child_process";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { commandIndex, type Io, run } from "#apps/cli";
import { bashScript, shapesOf } from "#apps/cli/completion";

const script = bashScript(shapesOf(await Promise.all((await commandIndex()).map((entry) => entry.load()))));

/** As readline hands a line to a completion function: `=` and `:` are words of their own. */
const wordsOf = (line: string): string[] => line.split(/ |([=:])/).filter((w) => w !== undefined);

/** The program for the script: its arguments go to this process, which runs them; a new one each time would take seconds. */
const PROGRAM = `midotrace() {
  local wire
  exec {wire}<>"/dev/tcp/127.0.0.1/$RUNNER"
  printf '%s\\0' "$@" >&"$wire"
  printf '\\n' >&"$wire"
  cat <&"$wire"
  exec {wire}>&-
}`;

/** Completes a line in a real bash, by the function that `complete` has registered. @returns what bash would put there. */
export async function completed(line: string, env: Readonly<Record<string, string>> = {}): Promise<string[]> {
  const runner = createServer((socket) => void answer(socket, env));
  await new Promise<void>((resolve) => runner.listen(0, "127.0.0.1", resolve));
  const words = wordsOf(line);
  const quoted = words.map((w) => `'${w.replaceAll("'", `'\\''`)}'`).join(" ");
  const program = `${PROGRAM}
eval "$COMPLETION"
registered=$(complete -p midotrace) || exit 9
registered=\${registered#complete -F }
COMP_WORDS=(${quoted}) COMP_CWORD=${words.length - 1}
\${registered% midotrace}
((\${#COMPREPLY[@]})) && printf '%s\\n' "\${COMPREPLY[@]}"
exit 0
`;
  const { port } = runner.address() as AddressInfo;
  const bash = spawn("bash", ["--norc", "-c", program], {
    env: { ...process.env, COMPLETION: script, RUNNER: String(port) },
  });
  let out = "";
  let err = "";
  bash.stdout.setEncoding("utf8").on("data", (text: string) => (out += text));
  bash.stderr.setEncoding("utf8").on("data", (text: string) => (err += text));
  const code = await new Promise<number | null>((resolve) => bash.on("close", resolve));
  runner.close();
  if (code !== 0 || err !== "") throw new Error(`bash ended with ${code}: ${err}`);
  return out === "" ? [] : out.trimEnd().split("\n");
}

async function answer(socket: Socket, env: Readonly<Record<string, string>>): Promise<void> {
  socket.on("error", () => undefined);
  let asked = "";
  for await (const chunk of socket.setEncoding("utf8").iterator({ destroyOnReturn: false })) {
    asked += String(chunk);
    if (asked.endsWith("\n")) break;
  }
  const io: Io = {
    out: (text) => void socket.write(text),
    err: () => undefined,
    env,
    colours: false,
    columns: 100,
    version: "0",
    stop: new AbortController().signal,
  };
  await run(asked.slice(0, -2).split("\0"), await commandIndex(), io);
  socket.end();
}

export const bashMissing = (): string | null =>
  spawnSync("bash", ["--version"]).status === 0 ? null : "bash not found: apt-get install bash";
