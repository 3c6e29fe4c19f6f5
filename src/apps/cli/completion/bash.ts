import { type CommandShape, nextWords, type Offer, type OptionShape } from "./shape.ts";

/**
 * For bash 4 and later, without the package bash-completion. Names of the server are only ever compared and quoted: what a
 * tenant has called a trace request is never expanded by the shell (`compgen -W` would).
 */
export function bashScript(shapes: readonly CommandShape[]): string {
  return `# Completion of midotrace for bash. In ~/.bashrc:  eval "$(midotrace completion bash)"
${FUNCTIONS}
# What stands behind a command: its options, those of them that take a value, what its arguments are.
_midotrace_shape() {
  case $1 in
${shapes.map(shapeCase).join("\n")}
  *) return 1 ;;
  esac
}

# The words that may come next in the name of a command.
_midotrace_next() {
  case \${1-} in
${nextCases(shapes)}
  esac
}

# What an option of a command takes: words, names of a kind, a file.
_midotrace_value() {
  case "$1 $2" in
${shapes.flatMap((s) => s.options.flatMap((o) => valueCase(s, o))).join("\n")}
  esac
}

complete -F _midotrace midotrace
`;
}

function nextCases(shapes: readonly CommandShape[]): string {
  return [...nextWords(shapes)]
    .map(([before, words]) => `  ${before === "" ? "''" : before}) _midotrace_words '${words.join(" ")}' ;;`)
    .join("\n");
}

function shapeCase({ name, options, positionals }: CommandShape): string {
  const flags = options.flatMap((o) => [o.flag, ...(o.short === null ? [] : [o.short])]);
  const valued = options.flatMap((o) => (o.value === null ? [] : [o.flag, ...(o.short === null ? [] : [o.short])]));
  return `  '${name}') flags='${flags.join(" ")}' valued=' ${valued.join(" ")} ' args=(${positionals.map(offerText).join(" ")}) ;;`;
}

function valueCase({ name }: CommandShape, { flag, short, value }: OptionShape): string[] {
  if (value === null || value.kind === "free") return [];
  const patterns = [flag, ...(short === null ? [] : [short])].map((f) => `'${name} ${f}'`);
  return [`  ${patterns.join(" | ")}) offer=${offerText(value)} ;;`];
}

/** `names:router`, `'words:a b'`, `file`, `free`: words are ours, and hold nothing that a shell would expand. */
function offerText(offer: Offer): string {
  if (offer.kind === "names") return `names:${offer.of}`;
  if (offer.kind === "words") return `'words:${offer.words.join(" ")}'`;
  return offer.kind;
}

const FUNCTIONS = `
# Adds the lines of standard input that begin with what is typed, quoted.
_midotrace_add() {
  local line
  while IFS= read -r line; do
    [[ $line == "$cur"* ]] && COMPREPLY+=("$(printf '%q' "$line")")
  done
}

_midotrace_words() {
  local word
  for word in $1; do printf '%s\\n' "$word"; done
}

_midotrace_offer() {
  case $1 in
  words:*) _midotrace_add < <(_midotrace_words "\${1#words:}") ;;
  names:flow) [[ -n $of ]] && _midotrace_add < <(midotrace complete flow --of "$of" "\${server[@]}" 2>/dev/null) ;;
  names:*) _midotrace_add < <(midotrace complete "\${1#names:}" "\${server[@]}" 2>/dev/null) ;;
  file)
    compopt -o default 2>/dev/null
    COMPREPLY=()
    ;;
  esac
}

_midotrace() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev='' name='' flags='' valued='' offer='' of='' word=''
  local -a args=() given=() server=() known=()
  local i count=0
  COMPREPLY=()
  # bash gives '--option=value' as three words, and 'http://host:1' as five. A value is a value, however it is written.
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if [[ $word == : || \${COMP_WORDS[i - 1]} == : ]]; then
      ((\${#known[@]})) && known[\${#known[@]}-1]+=$word
    elif [[ $word != = ]]; then
      known+=("$word")
    fi
  done
  [[ $cur == = ]] && cur=''
  # The command: the longest of one or two words that is one.
  if _midotrace_shape "\${known[0]-} \${known[1]-}"; then
    name="\${known[0]} \${known[1]}" count=2
  elif _midotrace_shape "\${known[0]-}"; then
    name=\${known[0]} count=1
  fi
  if [[ -z $name || ( $count -eq 1 && \${#known[@]} -eq 1 ) ]]; then
    _midotrace_add < <(_midotrace_next "\${known[@]}")
    [[ -z $name ]] && return
  fi
  for ((i = count; i < \${#known[@]}; i++)); do
    word=\${known[i]}
    if [[ $valued == *" $word "* ]]; then
      if ((i + 1 == \${#known[@]})); then
        prev=$word
      else
        [[ $word == --api || $word == --api-ca || $word == --token ]] && server+=("$word" "\${known[i + 1]}")
        ((i++))
      fi
    elif [[ $word != -* ]]; then
      # Quotes are as they were typed.
      word=\${word//\\\\/}
      word=\${word#[\\"\\']}
      given+=("\${word%[\\"\\']}")
    fi
  done
  of=\${given[0]-}
  if [[ -n $prev ]]; then
    _midotrace_value "$name" "$prev"
    _midotrace_offer "$offer"
  elif [[ $cur == -* ]]; then
    _midotrace_add < <(_midotrace_words "$flags")
  elif [[ \${#given[@]} -lt \${#args[@]} ]]; then
    _midotrace_offer "\${args[\${#given[@]}]}"
  fi
}
`;
