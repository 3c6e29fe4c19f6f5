import { type CommandShape, nextWords, type Offer, quoted } from "./shape.ts";

/** For fish 3. */
export function fishScript(shapes: readonly CommandShape[]): string {
  const lines = shapes.flatMap((shape) => commandLines(shape));
  for (const [before, words] of nextWords(shapes)) {
    for (const word of words) {
      const says = shapes.find((s) => s.name === (before === "" ? word : `${before} ${word}`))?.says ?? "";
      lines.push(
        `complete -c midotrace -n ${quoted(`__midotrace_next ${before}`.trim())} -a ${word} -d ${fishQuoted(says)}`,
      );
    }
  }
  return `# Completion of midotrace for fish. In ~/.config/fish/config.fish:  midotrace completion fish | source
set -g __midotrace_commands ${shapes.map((s) => quoted(s.name)).join(" ")}

function __midotrace_words
    set -l words (commandline -opc)
    set -e words[1]
    printf '%s\\n' $words
end

# Whether what is typed is this command.
function __midotrace_is
    set -l words (__midotrace_words)
    if contains -- "$words[1] $words[2]" $__midotrace_commands
        test "$words[1] $words[2]" = "$argv"
    else
        test "$words[1]" = "$argv"
    end
end

# Whether the next word of a command's name is typed.
function __midotrace_next
    set -l words (__midotrace_words)
    test "$words" = "$argv"
end

# Whether the argument of that number of a command of so many words is typed: its options are not counted.
function __midotrace_argument
    set -l words (__midotrace_words | string match -v -- '-*')
    test (count $words) -eq (math $argv[1] + $argv[2])
end

function __midotrace_flows
    set -l words (__midotrace_words | string match -v -- '-*')
    midotrace complete flow --of $words[3] 2>/dev/null
end

complete -c midotrace -f
${lines.join("\n")}
`;
}

function commandLines({ name, options, positionals }: CommandShape): string[] {
  const is = `__midotrace_is ${name}`;
  const words = name.split(" ").length;
  return [
    ...options.map(({ flag, short, says, value }) => {
      const letter = short === null ? "" : ` -s ${short.slice(1)}`;
      const takes = value === null ? "" : value.kind === "file" ? " -r -F" : ` -x${candidates(value)}`;
      return `complete -c midotrace -n ${quoted(is)} -l ${flag.slice(2)}${letter}${takes} -d ${fishQuoted(says)}`;
    }),
    ...positionals.flatMap((offer, i) => {
      if (offer.kind === "free") return [];
      const at = `${is}; and __midotrace_argument ${words} ${i}`;
      return [`complete -c midotrace -n ${quoted(at)}${offer.kind === "file" ? " -F" : candidates(offer)}`];
    }),
  ];
}

function candidates(offer: Offer): string {
  if (offer.kind === "words") return ` -a ${fishQuoted(offer.words.join(" "))}`;
  if (offer.kind !== "names") return "";
  return offer.of === "flow" ? " -a '(__midotrace_flows)'" : ` -a '(midotrace complete ${offer.of} 2>/dev/null)'`;
}

/** fish reads a backslash in single quotes only before a quote and a backslash. */
const fishQuoted = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;
