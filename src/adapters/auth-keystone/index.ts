/**
 * OpenStack's identity service, Keystone (Identity API v3): `--auth keystone:URL`.
 *
 *     url.ts  which service     transport.ts  one request     answers.ts  what it said     service-token.ts  our own token
 *     token-cache.ts  what is remembered, for how long     provider.ts  the provider
 */
export { KeystoneIdentities, type KeystoneOptions, REMEMBERED_MS } from "./provider.ts";
export type { RoleNames } from "./answers.ts";
export { keystoneUrl } from "./url.ts";
