import {
  argumentsOf,
  type Command,
  COMMON_OPTIONS,
  type Completes,
  type OptionSpec,
  type OptionTable,
} from "#apps/cli/options";

/** What stands where a value is expected. */
export type Offer =
  | { readonly kind: "words"; readonly words: readonly string[] }
  | { readonly kind: "names"; readonly of: Exclude<Completes, "file"> }
  | { readonly kind: "file" }
  | { readonly kind: "free" };

export interface OptionShape {
  /** "--drop-reason" */
  readonly flag: string;
  /** "-f"; null without. */
  readonly short: string | null;
  readonly says: string;
  /** Null: it takes none. */
  readonly value: Offer | null;
}

export interface CommandShape {
  /** "trace flows" */
  readonly name: string;
  readonly says: string;
  readonly options: readonly OptionShape[];
  readonly positionals: readonly Offer[];
}

export function shapesOf(commands: readonly Command[]): readonly CommandShape[] {
  return commands.map((c) => ({
    name: c.name,
    says: c.summary,
    options: Object.entries<OptionSpec>({ ...c.options, ...COMMON_OPTIONS } satisfies OptionTable).map(
      ([name, spec]) => ({
        flag: `--${name}`,
        short: spec.short === undefined ? null : `-${spec.short}`,
        says: spec.description,
        value: valueOf(spec),
      }),
    ),
    positionals: argumentsOf(c).map(({ completes }) => offerOf(completes)),
  }));
}

function valueOf(spec: OptionSpec): Offer | null {
  if (spec.kind === "flag") return null;
  if (spec.kind !== "text") return { kind: "free" };
  if (spec.choices !== undefined) return { kind: "words", words: spec.choices };
  return spec.completes === undefined && /FILE|DIR/.test(spec.placeholder) ? { kind: "file" } : offerOf(spec.completes);
}

function offerOf(completes: Completes | undefined): Offer {
  if (completes === undefined) return { kind: "free" };
  return completes === "file" ? { kind: "file" } : { kind: "names", of: completes };
}

/** By what stands before ("" or the first word of a command): the words that go on. */
export function nextWords(shapes: readonly CommandShape[]): ReadonlyMap<string, readonly string[]> {
  const next = new Map<string, Set<string>>([["", new Set()]]);
  for (const { name } of shapes) {
    const [first = "", second] = name.split(" ");
    next.get("")?.add(first);
    if (second === undefined) continue;
    const seconds = next.get(first) ?? new Set();
    next.set(first, seconds.add(second));
  }
  return new Map([...next].map(([before, words]) => [before, [...words]]));
}

/** In single quotes, as every POSIX-like shell reads it back. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
