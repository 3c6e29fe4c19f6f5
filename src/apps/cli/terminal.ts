import type { ReadStream } from "node:tty";
import { usage } from "#apps/cli/options";

const CTRL_C = "\u0003";
const CTRL_D = "\u0004";
const BACKSPACE = /[\b\u007f]/;

/** What is typed at a terminal up to the end of the line, unseen. @throws MidotraceError USAGE for Ctrl-C and Ctrl-D. */
export function askSecret(input: ReadStream, show: (text: string) => void, prompt: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed = "";
    const done = (end: () => void): void => {
      input.off("data", take);
      input.setRawMode(false);
      input.pause();
      show("\n");
      end();
    };
    const take = (chunk: Buffer): void => {
      for (const key of chunk.toString("utf8")) {
        if (key === "\r" || key === "\n") return done(() => resolve(typed));
        if (key === CTRL_C || key === CTRL_D) return done(() => reject(usage("interrupted")));
        typed = BACKSPACE.test(key) ? typed.replace(/.$/u, "") : typed + key;
      }
    };
    show(prompt);
    input.setRawMode(true);
    input.resume();
    input.on("data", take);
  });
}

/** All of a stream, as text. */
export async function readAll(input: AsyncIterable<Buffer | string>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of input) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
