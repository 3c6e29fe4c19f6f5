import type { Lifecycle } from "#core/base";
import type { Identity } from "./identity.ts";

export const PROVIDER_KINDS = ["none", "static", "keystone"] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

/** What somebody signs in with. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
  /** Name or id of the project to sign in to; null: the only one, or the provider's default. */
  readonly project: string | null;
}

export interface IssuedToken {
  /** Of characters that need no quotes in a cookie, and no `;`. */
  readonly token: string;
  /** ms since 1970; null: never. */
  readonly expiresAtMs: number | null;
  /** Whose it is: what `identify` says of it; null: it lets nobody in. */
  readonly identity: Identity | null;
}

/** A tenant that the provider knows. */
export interface KnownTenant {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly enabled: boolean;
}

/**
 * Who knows the users. May be called at any time between `start` and `stop`, also many times at once; each call is bounded in
 * time by the provider. Doubt never lets anybody in: whatever is not a clear yes is an error.
 */
export interface IdentityProvider extends Lifecycle {
  readonly kind: ProviderKind;
  /**
   * Whose token this is; null: the request had none. What was valid and was revoked is refused at the latest 20 s later.
   * @throws MidotraceError UNAUTHENTICATED for no, a wrong, an expired or a revoked token; AUTH_UNAVAILABLE when that cannot
   *   be found out now.
   */
  identify(token: string | null): Promise<Identity>;
  /** @throws MidotraceError UNAUTHENTICATED with the cause; AUTH_UNAVAILABLE. */
  login(credentials: Credentials): Promise<IssuedToken>;
  /**
   * Every tenant that there is, or null where the provider does not know them.
   * @throws MidotraceError AUTH_UNAVAILABLE
   */
  tenants(): Promise<readonly KnownTenant[] | null>;
}
