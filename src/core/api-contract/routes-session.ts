import { tokenAnswer, whoamiAnswer } from "./dto-session.ts";
import { itemMedia, JSON_MEDIA } from "./media.ts";
import { ANONYMOUS, EVERYBODY, type Method, route } from "./route.ts";

const login = (method: Method) =>
  route({
    method,
    path: "/midonet-api/login",
    tag: "session",
    summary:
      "Sign in by Basic authentication, to the project of X-Auth-Project: the token comes as cookie sessionId, too",
    roles: ANONYMOUS,
    evenReadOnly: true,
    answer: { kind: "body", media: itemMedia("Token"), schema: tokenAnswer },
    errors: ["UNAUTHENTICATED", "NOT_ACCEPTABLE", "AUTH_UNAVAILABLE"],
  });

/** Signing in, and who is signed in. MidoNet takes any method for a login. */
export const sessionRoutes = {
  login: login("POST"),
  loginByGet: login("GET"),
  loginByPut: login("PUT"),
  loginByDelete: login("DELETE"),
  whoami: route({
    method: "GET",
    path: "/midonet-api/whoami",
    tag: "session",
    summary: "Whose token this is",
    roles: EVERYBODY,
    answer: { kind: "body", media: [JSON_MEDIA], schema: whoamiAnswer },
    errors: ["NOT_ACCEPTABLE"],
  }),
} as const;
