import { type CommandShape, nextWords, type Offer, type OptionShape, quoted } from "./shape.ts";

/** For zsh 5 with compinit. */
export function zshScript(shapes: readonly CommandShape[]): string {
  const next = [...nextWords(shapes)].map(
    ([before, words]) => `    ${before === "" ? "''" : before}) compadd -- ${words.join(" ")} ;;`,
  );
  return `#compdef midotrace
# Completion of midotrace for zsh. In ~/.zshrc, behind compinit:  eval "$(midotrace completion zsh)"

_midotrace_names() {
  local -a names
  names=("\${(@f)$(midotrace complete "$@" 2>/dev/null)}")
  (( \${#names} )) && compadd -a names
}
${KINDS.map((kind) => `_midotrace_${kind}() { _midotrace_names ${kind} }`).join("\n")}
_midotrace_flow() {
  local word
  for word in "\${words[@]:1}"; do
    [[ $word != -* ]] && { _midotrace_names flow --of "\${(Q)word}"; return }
  done
}

_midotrace_next() {
  case \${1-} in
${next.join("\n")}
  esac
}

_midotrace() {
  if (( CURRENT == 2 )); then
    _midotrace_next ''
    return
  fi
  case "\${words[2]} \${words[3]}" in
${shapes.map(commandCase).join("\n")}
  *) (( CURRENT == 3 )) && _midotrace_next "\${words[2]}" ;;
  esac
}

compdef _midotrace midotrace
`;
}

const KINDS = ["trace", "bridge", "router", "port", "device", "chain", "host"] as const;

function commandCase({ name, options, positionals }: CommandShape): string {
  const words = name.split(" ").length;
  const pattern = words === 2 ? quoted(name) : `${quoted(`${name} `)}*`;
  const specs = [
    ...options.flatMap((o) => optionSpecs(o)),
    ...positionals.map((offer, i) => quoted(`${i + 1}: :${action(offer)}`)),
  ];
  return `  ${pattern})
    shift ${words} words
    (( CURRENT -= ${words} ))
    _arguments ${specs.join(" \\\n      ")}
    ;;`;
}

function optionSpecs({ flag, short, says, value }: OptionShape): string[] {
  const told = says.replaceAll(/[[\]:\\]/g, String.raw`\$&`);
  const behind = value === null ? "" : `: :${action(value)}`;
  return [flag, ...(short === null ? [] : [short])].map((f) => quoted(`${f}[${told}]${behind}`));
}

function action(offer: Offer): string {
  switch (offer.kind) {
    case "words":
      return `(${offer.words.join(" ")})`;
    case "names":
      return `_midotrace_${offer.of}`;
    case "file":
      return "_files";
    case "free":
      return " ";
  }
}
