import type { Completes, OptionTable, OptionValues } from "./spec.ts";

/** What a command ends with. */
export const EXIT_CODES = { 0: "done", 1: "failed", 2: "usage" } as const;

export type ExitCode = keyof typeof EXIT_CODES;

/** What a command may touch of the process it runs in; tests hand in their own. */
export interface Io {
  /** Standard output, as is. Whole lines end with "\n". */
  out(text: string): void;
  /** Standard error, as is. */
  err(text: string): void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Standard output is a terminal that wants colours. */
  readonly colours: boolean;
  /** Width of the terminal; of what is no terminal, a width that reads well. */
  readonly columns: number;
  /** Of the program. */
  readonly version: string;
  /** Asks at the terminal for what nobody may see; absent where standard input is none. */
  readonly askSecret?: (prompt: string) => Promise<string>;
  /** All of standard input. */
  readonly readInput?: () => Promise<string>;
  /** Aborted by SIGINT and SIGTERM. */
  readonly stop: AbortSignal;
}

/** For commands that run until the user ends them. */
export function untilStopped({ stop }: Pick<Io, "stop">): Promise<void> {
  return new Promise((resolve) => {
    if (stop.aborted) resolve();
    else stop.addEventListener("abort", () => resolve(), { once: true });
  });
}

export interface Positional {
  readonly name: string;
  readonly description: string;
  /** What a shell offers for it. */
  readonly completes?: Completes;
}

export interface Invocation<T extends OptionTable> {
  readonly options: OptionValues<T>;
  /** As many as the command declares, and those of `rest` behind them. */
  readonly positionals: readonly string[];
  readonly io: Io;
}

export interface Command<T extends OptionTable = OptionTable> {
  /** The words that call it: "trace create". */
  readonly name: string;
  /** One sentence without a full stop. */
  readonly summary: string;
  readonly positionals: readonly Positional[];
  /** Any number of further words, at least one, behind `--`. */
  readonly rest?: Positional;
  readonly options: T;
  /** Whole command lines, shown by help. */
  readonly examples: readonly string[];
  /**
   * @returns an `ExitCode`, or that of the command it ran for the user.
   * @throws MidotraceError: USAGE ends with 2, every other with 1; its message is all that the user sees.
   */
  run(invocation: Invocation<T>): Promise<number>;
}

/** Keeps the types of the options inside, and gives a command that stands in a list with others. */
export function command<const T extends OptionTable>(definition: Command<T>): Command {
  return definition;
}

/** `midotrace lab exec VM [options] -- COMMAND…`: how the command is called. */
export function callOf(c: Command): string {
  const rest = c.rest === undefined ? [] : ["--", `${c.rest.name}…`];
  return ["midotrace", c.name, ...c.positionals.map((p) => p.name), "[options]", ...rest].join(" ");
}

/** Every word that it takes besides options. */
export function argumentsOf(c: Command): readonly Positional[] {
  return c.rest === undefined ? c.positionals : [...c.positionals, c.rest];
}
