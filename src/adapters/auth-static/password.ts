import { randomBytes, scrypt, type ScryptOptions, timingSafeEqual } from "node:crypto";

/** RFC 7914; OWASP's recommendation of 2024 for one thread: 32 MiB and some 100 ms for each guess. */
const LOG2_N = 15;
const R = 8;
const P = 3;
const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** What a hash of somebody else's may cost: 2^20 · 8 is a gigabyte. */
const MAX_LOG2_N = 18;
const MAX_R_P = 32;

interface Hash {
  readonly options: ScryptOptions;
  readonly salt: Buffer;
  readonly key: Buffer;
}

/** @returns `$scrypt$ln=15,r=8,p=3$SALT$HASH`, base64 without padding (the PHC string format). */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const key = await derive(password, salt, KEY_BYTES, optionsOf(LOG2_N, R, P));
  return `$scrypt$ln=${LOG2_N},r=${R},p=${P}$${base64(salt)}$${base64(key)}`;
}

/** @param hash checked by `isPasswordHash`; of another form, no password is right. */
export async function verifyPassword(password: string, hash: string): Promise<boolean> {
  const parsed = parse(hash);
  if (parsed === null) return false;
  const key = await derive(password, parsed.salt, parsed.key.length, parsed.options);
  return timingSafeEqual(key, parsed.key);
}

export function isPasswordHash(text: string): boolean {
  return parse(text) !== null;
}

function parse(text: string): Hash | null {
  const m = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,})\$([A-Za-z0-9+/]{22,})$/.exec(text);
  if (m === null) return null;
  const [ln, r, p] = [Number(m[1]), Number(m[2]), Number(m[3])];
  if (ln < 10 || ln > MAX_LOG2_N || r < 1 || p < 1 || r * p > MAX_R_P) return null;
  return {
    options: optionsOf(ln, r, p),
    salt: Buffer.from(m[4] ?? "", "base64"),
    key: Buffer.from(m[5] ?? "", "base64"),
  };
}

function optionsOf(log2N: number, r: number, p: number): ScryptOptions {
  const N = 2 ** log2N;
  return { N, r, p, maxmem: 128 * r * (N + p + 2) };
}

/** Unicode in one form (RFC 8265 §4), so that a password is the same from every keyboard. */
function derive(password: string, salt: Buffer, bytes: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize("NFC"), salt, bytes, options, (error, key) => {
      if (error === null) resolve(key);
      else reject(error);
    });
  });
}

const base64 = (bytes: Buffer): string => bytes.toString("base64").replace(/=+$/, "");
