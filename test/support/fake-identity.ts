import { MidotraceError } from "#core/base";
import type { Identity, IdentityProvider, IssuedToken, Role } from "#core/identity";

export function identityOf(tenantId: string, ...roles: Role[]): Identity {
  const admin = roles.includes("admin");
  return {
    userId: `user of ${tenantId}`,
    tenantId,
    tenantName: tenantId.toUpperCase(),
    roles,
    admin,
    expiresAtMs: null,
  };
}

/** Tokens and whose they are, to be changed at any time. */
export class FakeIdentity implements IdentityProvider {
  readonly kind = "static";
  readonly tokens: Map<string, Identity>;
  /** While set, nothing can be found out. */
  away = false;

  constructor(tokens: Readonly<Record<string, Identity>>) {
    this.tokens = new Map(Object.entries(tokens));
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  async identify(token: string | null): Promise<Identity> {
    if (this.away) throw new MidotraceError("AUTH_UNAVAILABLE", "the identity service is away");
    const found = token === null ? undefined : this.tokens.get(token);
    if (found === undefined) throw new MidotraceError("UNAUTHENTICATED", "unknown token");
    return Promise.resolve(found);
  }

  async login({ user, password }: { readonly user: string; readonly password: string }): Promise<IssuedToken> {
    if (this.away) throw new MidotraceError("AUTH_UNAVAILABLE", "the identity service is away");
    const identity = this.tokens.get(user);
    if (identity === undefined || password !== "right") throw new MidotraceError("UNAUTHENTICATED", "wrong password");
    return Promise.resolve({ token: user, expiresAtMs: Date.UTC(2026, 10, 23, 8, 10, 53), identity });
  }

  tenants(): Promise<null> {
    return Promise.resolve(null);
  }
}
