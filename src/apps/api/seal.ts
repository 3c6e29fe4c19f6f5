import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";

/** Longer texts than any cursor, so that the length says nothing. */
const PADDED = 40;

/**
 * Makes texts unreadable to who has not got the secret: cursors and event ids count the flows of everybody, and how many
 * flows others have is not a tenant's to know. The same text gives the same seal (RFC 5297's construction: the initial
 * vector is a code of the text, so a seal that somebody made up does not open).
 */
export class Seal {
  private readonly encryption: Buffer;
  private readonly authentication: Buffer;

  constructor(secret: string) {
    this.encryption = createHash("sha256").update(`encrypt ${secret}`).digest();
    this.authentication = createHash("sha256").update(`authenticate ${secret}`).digest();
  }

  seal(text: string): string {
    const padded = text.padEnd(PADDED);
    const code = this.codeOf(padded);
    const cipher = createCipheriv("aes-256-ctr", this.encryption, code);
    return Buffer.concat([code, cipher.update(padded), cipher.final()]).toString("base64url");
  }

  /** Null for what was not sealed with this secret. */
  open(sealed: string): string | null {
    const bytes = Buffer.from(sealed, "base64url");
    if (bytes.length < 16 + PADDED) return null;
    const code = bytes.subarray(0, 16);
    const cipher = createDecipheriv("aes-256-ctr", this.encryption, code);
    const padded = Buffer.concat([cipher.update(bytes.subarray(16)), cipher.final()]).toString("utf8");
    return this.codeOf(padded).equals(code) ? padded.trimEnd() : null;
  }

  private codeOf(text: string): Buffer {
    return createHmac("sha256", this.authentication).update(text).digest().subarray(0, 16);
  }
}
