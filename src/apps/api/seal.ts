import { createCipheriv, createDecipheriv, createHash, createHmac } from "node:crypto";

/** Longer texts than any cursor, so that the length says nothing. */
const PADDED = 40;

interface Keys {
  readonly secret: string;
  readonly encryption: Buffer;
  readonly authentication: Buffer;
}

/**
 * Makes texts unreadable to who has not got the secret: cursors and event ids count the flows of everybody, and how many
 * flows others have is not a tenant's to know. The same text gives the same seal (RFC 5297's construction: the initial
 * vector is a code of the text, so a seal that somebody made up does not open).
 */
export class Seal {
  private readonly secret: () => string;
  private keys: Keys | null = null;

  /** @param secret asked each time: it may become known later, as the identity of a store does. */
  constructor(secret: () => string) {
    this.secret = secret;
  }

  seal(text: string): string {
    const padded = text.padEnd(PADDED);
    const code = this.codeOf(padded);
    const cipher = createCipheriv("aes-256-ctr", this.current().encryption, code);
    return Buffer.concat([code, cipher.update(padded), cipher.final()]).toString("base64url");
  }

  /** Null for what was not sealed with this secret. */
  open(sealed: string): string | null {
    const bytes = Buffer.from(sealed, "base64url");
    if (bytes.length < 16 + PADDED) return null;
    const code = bytes.subarray(0, 16);
    const cipher = createDecipheriv("aes-256-ctr", this.current().encryption, code);
    const padded = Buffer.concat([cipher.update(bytes.subarray(16)), cipher.final()]).toString("utf8");
    return this.codeOf(padded).equals(code) ? padded.trimEnd() : null;
  }

  private codeOf(text: string): Buffer {
    return createHmac("sha256", this.current().authentication).update(text).digest().subarray(0, 16);
  }

  private current(): Keys {
    const secret = this.secret();
    if (this.keys?.secret !== secret)
      this.keys = {
        secret,
        encryption: createHash("sha256").update(`encrypt ${secret}`).digest(),
        authentication: createHash("sha256").update(`authenticate ${secret}`).digest(),
      };
    return this.keys;
  }
}
