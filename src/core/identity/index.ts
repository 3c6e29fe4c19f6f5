/** Who asks: identities, the roles they have, and the interface of whoever knows them. */
export * from "./identity.ts";
export * from "./none.ts";
export * from "./provider.ts";
