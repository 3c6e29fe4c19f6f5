import { type Identity, PROVIDER_KINDS, type ProviderKind, ROLES } from "#core/identity";
import * as z from "zod";

/** What MidoNet's clients look for (midonet-rest section 5); they take the token from the cookie, though. */
export const tokenAnswer = z.object({
  key: z.string().describe("the token, for X-Auth-Token"),
  expires: z.nullable(z.string()).describe("such as Mon, 23-11-2026 08:10:53 UTC; null: never"),
});
export type TokenDto = z.output<typeof tokenAnswer>;

export const whoamiAnswer = z.object({
  auth: z.enum(PROVIDER_KINDS),
  tenantId: z.string(),
  tenantName: z.string(),
  userId: z.string(),
  roles: z.array(z.enum(ROLES)),
  expiresAtMs: z.nullable(z.int()),
});
export type WhoamiDto = z.output<typeof whoamiAnswer>;

export function whoamiDto(auth: ProviderKind, who: Identity): WhoamiDto {
  const { tenantId, tenantName, userId, roles, expiresAtMs } = who;
  return { auth, tenantId, tenantName, userId, roles: [...roles], expiresAtMs };
}
