import { MidotraceError } from "#core/base";

export interface JsonLimits {
  /** Arrays and objects within each other. */
  readonly depth: number;
  /** Members of objects and elements of arrays, all together. */
  readonly values: number;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;

/**
 * Looks how deep and how full a JSON text is, before anything is built from it: what is small in bytes can be costly to
 * parse. Says nothing of whether it is JSON.
 * @throws MidotraceError TOO_LARGE naming the limit and its value.
 */
export function checkJsonShape(text: string, limits: JsonLimits): void {
  let depth = 0;
  let values = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case QUOTE:
        i = endOfString(text, i);
        break;
      case 0x5b:
      case 0x7b:
        values++;
        if (++depth > limits.depth) throw tooLarge(`nests deeper than ${limits.depth} levels`);
        break;
      case 0x5d:
      case 0x7d:
        depth--;
        break;
      case COMMA:
        values++;
        break;
      default:
    }
    if (values > limits.values) throw tooLarge(`has more than ${limits.values} members and elements`);
  }
}

/** The closing quote of the string that begins at `from`; the end of the text when there is none. */
function endOfString(text: string, from: number): number {
  let at = text.indexOf('"', from + 1);
  while (at >= 0 && isEscaped(text, at)) at = text.indexOf('"', at + 1);
  return at < 0 ? text.length : at;
}

function isEscaped(text: string, at: number): boolean {
  let backslashes = 0;
  while (text.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes++;
  return backslashes % 2 === 1;
}

const tooLarge = (what: string): MidotraceError => new MidotraceError("TOO_LARGE", `the body ${what}`);
