/**
 * Users and tokens of a file: `--auth static:FILE`.
 *
 *     users-file.ts  what stands in it     password.ts  scrypt
 *     signed-token.ts  tokens that need no memory     provider.ts  the provider, which follows the file
 */
export { hashPassword, verifyPassword } from "./password.ts";
export { StaticIdentities, type StaticIdentitiesOptions } from "./provider.ts";
