import type { Condition } from "./condition.ts";
import { CONDITION_FIELDS } from "./condition-fields.ts";
import { badExpression, Tokens } from "./expression-tokens.ts";
import { parsePrimitive, type Primitive } from "./expression-words.ts";
import { normalizeCondition } from "./normalize.ts";

/** Words, operators and parentheses; everything but blanks is a token. */
const TOKEN = /&&|\|\||[()!&|]|[^\s()!&|]+/g;

/**
 * Compiles a filter expression to a condition. The words are pcap-filter's, as far as one conjunctive condition can say
 * them; what it cannot say is refused, with what to write instead:
 *
 *     tcp udp icmp icmp6 arp ip ip6 | proto N | ether proto N | ether src|dst MAC | vlan [N] | tos N
 *     src|dst host A | src|dst net A/N | src|dst port N | src|dst portrange A-B | icmptype N|name | icmpcode N
 *     inport UUID[,UUID…] | outport UUID[,UUID…] | any | not PRIMITIVE | A and B | A && B | A B | (A and B) | not (ALL)
 *
 * `not ( … )` around the whole is `condInvert`; inside, it may stand around one primitive only. A negated primitive that
 * asks for several fields (`not icmp`) stands alone or beside words that fix all of them but one (`ip and not icmp`).
 * With L4 ports, later fragments are never matched, also under `not ( … )`: the fragment policy stands for itself.
 *
 * @returns a normalized condition; the empty text and `any` give the empty condition, which matches everything.
 * @throws MidotraceError BAD_EXPRESSION naming the position (column from 1) and the word.
 */
export function parseExpression(text: string): Condition {
  const tokens = new Tokens(text, TOKEN);
  if (tokens.done) return {};
  const terms = parseConjunction(tokens, 0);
  if (!tokens.done) return badExpression(tokens.peek(), "no parenthesis is open here");
  const only = terms.length === 1 ? (terms[0] as Term) : null;
  if (only?.group === true && only.negated) return invert(combine(only.terms));
  return combine(terms.flatMap(flatten));
}

type Term =
  | { readonly group: false; readonly primitive: Primitive; readonly negated: boolean }
  | { readonly group: true; readonly terms: readonly Leaf[]; readonly negated: boolean; readonly primitive: Primitive };
type Leaf = Term & { readonly group: false };

/** Deeper nesting says nothing more; a bound keeps a hostile text off the stack. */
const MAX_DEPTH = 50;

function parseConjunction(tokens: Tokens, depth: number): Term[] {
  const terms: Term[] = [parseTerm(tokens, depth)];
  while (!tokens.done && tokens.peek().word !== ")") {
    const token = tokens.peek();
    if (token.word === "or" || token.word === "||")
      return badExpression(token, "one condition cannot say `or`; create one trace (or rule) for each side");
    if (token.word === "&" || token.word === "|")
      return badExpression(token, "write `and` (or `&&`) between two words");
    tokens.accept("and", "&&");
    terms.push(parseTerm(tokens, depth));
  }
  return terms;
}

function parseTerm(tokens: Tokens, depth: number): Term {
  let negated = false;
  while (tokens.accept("not", "!")) negated = !negated;
  const open = tokens.peek();
  if (!tokens.accept("(")) {
    if (open.word === "and" || open.word === "&&" || open.word === "or" || open.word === "||" || open.word === ")")
      return badExpression(open, "an expression is missing before this");
    const primitive = parsePrimitive(tokens);
    return { group: false, primitive, negated: negated !== (primitive.negated ?? false) };
  }
  if (depth >= MAX_DEPTH) return badExpression(open, `more than ${MAX_DEPTH} parentheses inside each other`);
  const inner = parseConjunction(tokens, depth + 1);
  if (!tokens.accept(")"))
    return badExpression(tokens.peek(), `the parenthesis opened at position ${open.position} is not closed`);
  const only = inner.length === 1 ? (inner[0] as Term) : null;
  if (only?.group === true) return { ...only, negated: only.negated !== negated };
  const primitive = only === null ? { token: open, fields: {} } : only.primitive;
  return { group: true, terms: inner.flatMap(flatten), negated, primitive };
}

/** A parenthesis inside a conjunction: its terms join those around it. */
function flatten(term: Term): Leaf[] {
  if (!term.group) return [term];
  if (!term.negated) return [...term.terms];
  const only = term.terms.length === 1 ? (term.terms[0] as Leaf) : null;
  if (only !== null) return [{ ...only, negated: !only.negated }];
  return badExpression(
    term.primitive.token,
    "`not ( … )` around several words must stand around the whole expression; otherwise write `not` before single words",
  );
}

type Fields = Record<string, unknown>;

/** Ands primitives into one condition. */
function combine(terms: readonly Leaf[]): Condition {
  const fields: Fields = {};
  for (const term of terms) if (!term.negated) addPrimitive(fields, term);
  const positive: Fields = { ...fields };
  for (const term of terms) {
    if (!term.negated) continue;
    if (terms.length === 1) return negatedAlone(term);
    addNegated(fields, positive, term);
  }
  return normalizeCondition(fields);
}

function addPrimitive(fields: Fields, { primitive }: Leaf): void {
  for (const [name, value] of Object.entries(primitive.fields)) setField(fields, primitive, name, value);
}

function setField(fields: Fields, primitive: Primitive, name: string, value: unknown): void {
  const present = fields[name];
  if (present !== undefined && JSON.stringify(present) !== JSON.stringify(value))
    badExpression(
      primitive.token,
      `${name} is already asked to be ${JSON.stringify(present)}; one condition has one ${name}`,
    );
  fields[name] = value;
}

/** The only term: a field's own inversion, or that of the whole condition. */
function negatedAlone(term: Leaf): Condition {
  const names = mainFields(term.primitive);
  const inversion = names.length === 1 ? inversionOf(names[0] as string) : undefined;
  if (inversion === undefined) return invert(normalizeCondition(term.primitive.fields));
  return normalizeCondition({ ...term.primitive.fields, [inversion]: true });
}

/** Of the fields that are negated together, all but one must be fixed elsewhere: then the one is inverted. */
function addNegated(fields: Fields, positive: Fields, { primitive }: Leaf): void {
  const wanted = primitive.fields as Fields;
  const open = mainFields(primitive).filter((n) => JSON.stringify(positive[n]) !== JSON.stringify(wanted[n]));
  const name = open[0];
  const inversion = name === undefined ? undefined : inversionOf(name);
  if (open.length === 0) badExpression(primitive.token, "is asked for and excluded at once: nothing can match");
  if (open.length > 1)
    badExpression(
      primitive.token,
      `\`not ${primitive.token.word}\` excludes ${open.join(" and ")} together; say the broader kind first, as in \`ip and not icmp\` or \`icmp and not icmptype 8\``,
    );
  if (name === undefined || inversion === undefined)
    return badExpression(
      primitive.token,
      primitive.negated === true
        ? "any VLAN tag cannot be asked for beside other words; write `vlan N`, or only `vlan`"
        : `cannot be excluded beside other words (a condition has no inversion for ${name})`,
    );
  if (fields[name] !== undefined)
    badExpression(
      primitive.token,
      `${name} is already asked for; one condition has one ${name}, either included or excluded`,
    );
  fields[name] = wanted[name];
  const width = CONDITION_FIELDS.find((f) => f.name === name)?.width;
  if (width !== undefined && wanted[width] !== undefined) fields[width] = wanted[width];
  fields[inversion] = true;
}

function mainFields(primitive: Primitive): string[] {
  const names = new Set<string>(Object.keys(primitive.fields));
  return CONDITION_FIELDS.map((f): string => f.name).filter((n) => names.has(n));
}

function inversionOf(name: string): string | undefined {
  return CONDITION_FIELDS.find((f) => f.name === name)?.inversion;
}

function invert(c: Condition): Condition {
  return normalizeCondition({ ...c, condInvert: c.condInvert !== true });
}
