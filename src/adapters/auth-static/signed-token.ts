import { createHmac, timingSafeEqual } from "node:crypto";

/** What a token says of itself. */
export interface TokenClaims {
  readonly user: string;
  readonly projectId: string;
  readonly expiresAtMs: number;
}

const PREFIX = "mt1";

/*
 * mt1.USER.PROJECT.EXPIRES.MAC, the texts in base64url, the time in ms, the MAC HMAC-SHA-256 under a key made from the user's
 * password hash. So every server with the same file knows the token, also after a restart; another password, or no user, ends it.
 */

/** @returns a token of characters that need no quotes in a cookie. */
export function signToken(claims: TokenClaims, passwordHash: string): string {
  const said = `${PREFIX}.${encode(claims.user)}.${encode(claims.projectId)}.${claims.expiresAtMs}`;
  return `${said}.${mac(said, passwordHash).toString("base64url")}`;
}

/** What a token says, whoever made it; null when it is none of ours. */
export function readToken(token: string): TokenClaims | null {
  const [prefix, user, project, expires, , ...more] = token.split(".");
  if (prefix !== PREFIX || user === undefined || project === undefined || more.length > 0) return null;
  if (expires === undefined || !/^\d{1,15}$/.test(expires)) return null;
  return { user: decode(user), projectId: decode(project), expiresAtMs: Number(expires) };
}

/** Whether it was made under this password hash. */
export function isSigned(token: string, passwordHash: string): boolean {
  const end = token.lastIndexOf(".");
  // As texts: of base64url, several texts can stand for the same bytes, and one token is one text.
  const given = Buffer.from(token.slice(end + 1));
  const right = Buffer.from(mac(token.slice(0, end), passwordHash).toString("base64url"));
  return given.length === right.length && timingSafeEqual(given, right);
}

function mac(said: string, passwordHash: string): Buffer {
  const key = createHmac("sha256", "midotrace token key").update(passwordHash).digest();
  return createHmac("sha256", key).update(said).digest();
}

const encode = (text: string): string => Buffer.from(text, "utf8").toString("base64url");
const decode = (text: string): string => Buffer.from(text, "base64url").toString("utf8");
