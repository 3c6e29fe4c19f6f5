import type { Io } from "./command.ts";

/**
 * A secret that the user types at a prompt, unseen; or the first line of standard input, where that is no terminal.
 * @throws MidotraceError USAGE when the user gives up.
 */
export async function readSecret(io: Pick<Io, "askSecret" | "readInput">, prompt: string): Promise<string> {
  if (io.askSecret !== undefined) return io.askSecret(prompt);
  const text = (await io.readInput?.()) ?? "";
  return text.split(/\r?\n/, 1)[0] ?? "";
}
