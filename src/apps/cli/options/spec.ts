/** Names that a shell can offer. */
export type Completes = "trace" | "flow" | "bridge" | "router" | "port" | "device" | "chain" | "host" | "file";

/**
 * Options are declared as values, each once: name (the key of the table), unit, default, description. The command line,
 * the environment, the configuration file, the help text and the reference page are all read from the declaration.
 */
interface SpecCommon {
  /** One sentence without a full stop. */
  readonly description: string;
  /** Of the value, where it has one: "ms", "frames". */
  readonly unit?: string;
  /** One letter: `-f`. */
  readonly short?: string;
}

export interface TextSpec extends SpecCommon {
  readonly kind: "text";
  /** What help shows for the value: "FILE". */
  readonly placeholder: string;
  /** Null: absent. */
  readonly default: string | null;
  readonly choices?: readonly string[];
  /** What a shell offers for the value, asked of the server or the file system. */
  readonly completes?: Completes;
}

/** Exact, 64 bits and more: `--limit 9223372036854775807`. */
export interface IntegerSpec extends SpecCommon {
  readonly kind: "integer";
  readonly placeholder: string;
  readonly default: bigint | null;
  readonly min: bigint;
  readonly max: bigint;
}

/** True when given; `--name=false` is understood too. */
export interface FlagSpec extends SpecCommon {
  readonly kind: "flag";
  readonly default: boolean;
}

/** May be given several times; separated by commas in the environment, a list in the file. */
export interface ListSpec extends SpecCommon {
  readonly kind: "list";
  readonly placeholder: string;
  readonly default: readonly string[];
}

export type OptionSpec = TextSpec | IntegerSpec | FlagSpec | ListSpec;

/** By the name on the command line, without dashes: "log-file". The key of the file is the same. */
export type OptionTable = Readonly<Record<string, OptionSpec>>;

export type OptionValue = string | bigint | boolean | readonly string[] | null;

type ValueOf<S extends OptionSpec> = S extends FlagSpec
  ? boolean
  : S extends ListSpec
    ? readonly string[]
    : S extends IntegerSpec
      ? S["default"] extends bigint
        ? bigint
        : bigint | null
      : S["default"] extends string
        ? string
        : string | null;

export type OptionValues<T extends OptionTable> = { readonly [K in keyof T]: ValueOf<T[K]> };

/** `log-file` is `MIDOTRACE_LOG_FILE`. */
export function envName(option: string): string {
  return `MIDOTRACE_${option.toUpperCase().replaceAll("-", "_")}`;
}

/** Every command has these. */
export const COMMON_OPTIONS = {
  config: {
    kind: "text",
    placeholder: "FILE.yaml",
    default: null,
    description: "read options from this file; its keys are the names of the options",
  },
  help: { kind: "flag", default: false, short: "h", description: "print this text" },
} as const satisfies OptionTable;
