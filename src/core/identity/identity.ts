/** What somebody may be to the API (midonet-rest section 5), from the most to the least. */
export const ROLES = ["admin", "tenant_admin", "tenant_user"] as const;
export type Role = (typeof ROLES)[number];

/** Who asks, as the provider says it: nothing of it comes from a parameter of the request. */
export interface Identity {
  readonly userId: string;
  /** The tenant (project) that the token is for. The empty one owns nothing. */
  readonly tenantId: string;
  readonly tenantName: string;
  /** Without a repetition. None: known, but allowed nothing. */
  readonly roles: readonly Role[];
  /** Has the role admin: sees and does everything. */
  readonly admin: boolean;
  /** When the token ends by itself, ms since 1970; null: it does not. */
  readonly expiresAtMs: number | null;
}

/** Of requests to which it does not matter who asks. */
export const NOBODY: Identity = {
  userId: "",
  tenantId: "",
  tenantName: "",
  roles: [],
  admin: false,
  expiresAtMs: null,
};

export function isRole(text: string): text is Role {
  return (ROLES as readonly string[]).includes(text);
}
