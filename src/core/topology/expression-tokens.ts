import { MidotraceError } from "#core/base";

export interface Token {
  /** As written. */
  readonly text: string;
  /** Lower case. */
  readonly word: string;
  /** Column of the first character, from 1. */
  readonly position: number;
}

/** An expression's words with a cursor. Errors name the position and the word. */
export class Tokens {
  private readonly tokens: readonly Token[];
  private readonly end: Token;
  private at = 0;

  /** @param pattern global, matches one token at a time; what it skips must be blank (see `BLANK`). */
  constructor(text: string, pattern: RegExp) {
    this.tokens = [...text.matchAll(pattern)].map((m) => ({
      text: m[0],
      word: m[0].toLowerCase(),
      position: m.index + 1,
    }));
    this.end = { text: "", word: "", position: text.length + 1 };
  }

  get done(): boolean {
    return this.at >= this.tokens.length;
  }

  peek(ahead = 0): Token {
    return this.tokens[this.at + ahead] ?? this.end;
  }

  next(): Token {
    const token = this.peek();
    this.at++;
    return token;
  }

  /** Consumes the next token if it is one of the words. */
  accept(...words: readonly string[]): boolean {
    if (this.done || !words.includes(this.peek().word)) return false;
    this.at++;
    return true;
  }

  /** @throws MidotraceError BAD_EXPRESSION at the end of the text. */
  value(what: string): Token {
    if (this.done) return badExpression(this.end, `${what} is missing`);
    return this.next();
  }

  /**
   * A decimal or 0x number.
   *
   * @throws MidotraceError BAD_EXPRESSION when it is missing, not a number or out of bounds (inclusive).
   */
  number(what: string, min: number, max: number): number {
    const token = this.value(what);
    return numberOf(token, token.word, what, min, max);
  }
}

/** @throws MidotraceError BAD_EXPRESSION when `text` is no decimal or 0x number between the bounds (inclusive). */
export function numberOf(token: Token, text: string, what: string, min: number, max: number): number {
  const value = /^(\d{1,10}|0x[0-9a-f]{1,8})$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  return badExpression(token, `${what} must be a number from ${min} to ${max}`);
}

/** @throws MidotraceError BAD_EXPRESSION always; `violations` has the position (column from 1) by itself. */
export function badExpression(token: Token, message: string): never {
  const where = token.text === "" ? `position ${token.position} (end)` : `position ${token.position} ("${token.text}")`;
  throw new MidotraceError("BAD_EXPRESSION", `${where}: ${message}`, [
    { property: "position", message: String(token.position) },
  ]);
}
