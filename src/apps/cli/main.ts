import { readFileSync } from "node:fs";
import { inlineDeeply, keepPausesShort, neverPretenure } from "#adapters/platform";
import type { Io } from "#apps/cli/options";
import { commandIndex } from "./commands.ts";
import { run } from "./run.ts";
import { askSecret, readAll } from "./terminal.ts";

/** Of a terminal that does not say, and of what is no terminal. */
const COLUMNS = 120;

/** `package.json` stands at the same distance from `src/apps/cli` and from `dist/apps/cli`. */
function version(): string {
  const text = readFileSync(new URL("../../../package.json", import.meta.url), "utf8");
  return String((JSON.parse(text) as { version: unknown }).version);
}

/** Of the terminal as it is now; of what is no terminal, as its user says (COLUMNS is what shells call it). */
function columns(): number {
  const told = Number(process.env["COLUMNS"]);
  return process.stdout.columns ?? (Number.isInteger(told) && told > 0 ? told : COLUMNS);
}

/** https://no-color.org: set and not empty means none. FORCE_COLOR wins where a pipe wants them. */
function wantsColours(env: NodeJS.ProcessEnv): boolean {
  if ((env["NO_COLOR"] ?? "") !== "") return false;
  if ((env["FORCE_COLOR"] ?? "0") !== "0") return true;
  return process.stdout.isTTY && env["TERM"] !== "dumb";
}

neverPretenure();
// Before anything has made its space large.
if (process.argv[2] === "agent") {
  keepPausesShort();
  inlineDeeply();
}
const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    // The second time the user means it.
    if (stop.signal.aborted) process.exit(1);
    stop.abort();
  });
}
let unread = false;
const readerIsGone = (error: NodeJS.ErrnoException): boolean => error.code === "EPIPE" || error.code === "EIO";
// `midotrace … | head`, or the terminal is gone: nobody reads any more, which is no failure of ours. What runs ends in order
// (a lab removes what it made).
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (!readerIsGone(error)) throw error;
  unread = true;
  stop.abort();
});
// A daemon whose log is not taken any more goes on with its work.
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  if (!readerIsGone(error)) throw error;
});

const io: Io = {
  out: (text) => process.stdout.write(text),
  err: (text) => process.stderr.write(text),
  env: process.env,
  colours: wantsColours(process.env),
  get columns() {
    return columns();
  },
  version: version(),
  ...(process.stdin.isTTY
    ? { askSecret: (prompt: string) => askSecret(process.stdin, (text) => process.stderr.write(text), prompt) }
    : {}),
  readInput: () => readAll(process.stdin),
  stop: stop.signal,
};

const code = await run(process.argv.slice(2), await commandIndex(), io);
process.exitCode = unread ? 0 : code;
