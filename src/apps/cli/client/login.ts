import { command, readSecret, usage } from "#apps/cli/options";
import { textOf } from "./api-client.ts";
import { API_OPTIONS, clientOf } from "./api-options.ts";

/** Where a password may stand that nobody types: as with every option, but never on the command line. */
const PASSWORD_VARIABLE = "MIDOTRACE_PASSWORD";

export const login = command({
  name: "login",
  summary: "sign in to an API server and print the token, for --token or MIDOTRACE_TOKEN",
  positionals: [],
  options: {
    api: API_OPTIONS.api,
    "api-ca": API_OPTIONS["api-ca"],
    user: { kind: "text", placeholder: "NAME", default: null, description: "who signs in" },
    project: {
      kind: "text",
      placeholder: "NAME",
      default: null,
      description: "the project (tenant) to sign in to; not needed where there is only one",
    },
  },
  examples: [
    "midotrace login --user ann --project red",
    "midotrace login --user ann --api https://api.example:8181 --api-ca ca.pem",
  ],
  async run({ options, io }) {
    const { user, project } = options;
    if (user === null) throw usage("login needs --user NAME");
    // MidoNet's login divides user and password at the colon, and takes one only.
    if (user.includes(":")) throw usage("--user has no colon in it");
    const password = io.env[PASSWORD_VARIABLE] ?? (await readSecret(io, `password of ${user}: `));
    const client = clientOf({ ...options, token: null }, io.stop);
    const answer = await client.signIn(user, password, project);
    const expires = textOf(answer, "expires");
    io.out(`${textOf(answer, "key")}\n`);
    io.err(expires === "" ? "signed in\n" : `signed in until ${expires}\n`);
    return 0;
  },
});
