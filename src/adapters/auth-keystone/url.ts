import { MidotraceError } from "#core/base";

/**
 * The root of the Identity API, version 3: `https://keystone:5000` and `https://keystone:5000/v3` are the same.
 * @returns without a slash at the end.
 * @throws MidotraceError USAGE for what is no such URL, and for version 2.
 */
export function keystoneUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== "" || url.search !== "" || url.hash !== "")
    throw wrong(`is keystone:URL, as in keystone:https://keystone:5000/v3, not keystone:${redacted(text)}`);
  const path = url.pathname.replace(/\/+$/, "");
  const version = /\/v(\d[\d.]*)$/.exec(path)?.[1];
  if (version === undefined) return `${url.origin}${path}/v3`;
  if (version === "3") return `${url.origin}${path}`;
  throw wrong(
    `keystone:${text}: the Identity API ${version} is not spoken, but version 3: give the URL that ends with /v3`,
  );
}

const wrong = (message: string): MidotraceError => new MidotraceError("USAGE", `--auth ${message}`);
/** Without a password that somebody has put in front of the host. */
const redacted = (text: string): string => text.replace(/\/\/[^/@]*@/, "//…@");
