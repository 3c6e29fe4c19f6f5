import { type SessionOperation, whoamiDto } from "#core/api-contract";
import { MidotraceError } from "#core/base";
import type { IssuedToken } from "#core/identity";
import type { Call, Deps, Handlers, Result } from "../call.ts";
import { json } from "../call.ts";
import { tokenDate } from "../token-date.ts";

/** Signing in (midonet-rest section 5). */
export function sessionHandlers({ identity }: Deps): Handlers<SessionOperation> {
  const login = async ({ header }: Pick<Call, "header">): Promise<Result> => {
    const { user, password } = basicOf(header("authorization"));
    const project = header("x-auth-project")?.trim() ?? "";
    return signedIn(await identity.login({ user, password, project: project === "" ? null : project }));
  };
  return {
    login,
    loginByGet: login,
    loginByPut: login,
    loginByDelete: login,
    whoami: ({ viewer }) => json(whoamiDto(identity.kind, viewer)),
  };
}

/** MidoNet's clients take the token from the cookie alone: as it is, without quotes. */
function signedIn({ token, expiresAtMs, identity }: IssuedToken): Result {
  const expires = expiresAtMs === null ? null : tokenDate(expiresAtMs);
  const cookie = `sessionId=${token}${expires === null ? "" : `; Expires=${expires}`}`;
  const headers = { "set-cookie": cookie, "cache-control": "no-store" };
  return { ...json({ key: token, expires }), headers, ...(identity === null ? {} : { viewer: identity }) };
}

/** @throws MidotraceError UNAUTHENTICATED saying what is wrong with the header. */
function basicOf(header: string | undefined): { readonly user: string; readonly password: string } {
  if (header === undefined) throw refused("there is no Authorization header");
  const encoded = /^Basic +([A-Za-z0-9+/_-]+={0,2})$/i.exec(header.trim())?.[1];
  if (encoded === undefined) throw refused("the Authorization header is not of the kind Basic");
  const parts = Buffer.from(encoded, "base64").toString("utf8").split(":");
  const [user, password] = parts;
  if (user === undefined || password === undefined || parts.length !== 2 || user === "")
    throw refused("the Authorization header is not made of a user, a colon and a password");
  return { user, password };
}

function refused(why: string): MidotraceError {
  return new MidotraceError("UNAUTHENTICATED", `not signed in: ${why}`);
}
