import type { Identity } from "./identity.ts";
import type { IdentityProvider, IssuedToken, KnownTenant } from "./provider.ts";

/** Everybody, as MidoNet's mock provider has it. */
const ADMIN: Identity = {
  userId: "admin-user",
  tenantId: "admin",
  tenantName: "admin",
  roles: ["admin"],
  admin: true,
  expiresAtMs: null,
};

/** Asks nobody who they are: any token, and none, is the administrator's; any password is right. */
export class NoAuthentication implements IdentityProvider {
  readonly kind = "none";

  start(): Promise<void> {
    return Promise.resolve();
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }

  identify(): Promise<Identity> {
    return Promise.resolve(ADMIN);
  }

  login(): Promise<IssuedToken> {
    return Promise.resolve({ token: "00000000", expiresAtMs: null, identity: ADMIN });
  }

  tenants(): Promise<readonly KnownTenant[] | null> {
    return Promise.resolve(null);
  }
}
