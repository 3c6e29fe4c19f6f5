// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Text for a terminal or a line of a log. Names are given by users, tenants among them: no control character in one may
 * begin a line of its own, move the cursor or change a colour on the screen of somebody else.
 */
export function printable(text: string): string {
  return text.replace(CONTROL, "?");
}
