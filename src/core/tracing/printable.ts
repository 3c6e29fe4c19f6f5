/**
 * Control characters, characters that change the direction of what follows, line and paragraph separators, and halves of
 * surrogate pairs.
 */
const UNPRINTABLE =
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/**
 * Text for a terminal or a line of a log. Names are given by users, tenants among them: nothing in one may begin a line of
 * its own, move the cursor, change a colour, or turn round what stands behind it on the screen of somebody else.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, "?");
}
